import { bearer, compatible, openaiChat, type Provider, type Speech } from './provider.ts';

const isThinking = (model: string): boolean => /^kimi-(?:k2\.\d|k[3-9])/.test(model);
const isEffort = (model: string): boolean => /^kimi-k[3-9]/.test(model);

/** Kimi K2.5 and later think by default, take no temperature but 1, and want their thinking back; K3 has efforts. */
const speaks: readonly Speech[] = [
  {
    ...openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_content_required',
      prefill: 'partial',
      fetchesUrls: false,
      temperature: 'only-1',
      thinkingField: 'effort',
    }),
    models: isEffort,
  },
  {
    ...openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_content_required',
      prefill: 'partial',
      fetchesUrls: false,
      temperature: 'only-1',
      thinkingField: 'thinking',
    }),
    models: (model) => isThinking(model) && !isEffort(model),
  },
  {
    ...openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_content',
      prefill: 'partial',
      fetchesUrls: false,
      temperature: 1,
      thinkingField: 'none',
    }),
    models: (model) => !isThinking(model),
  },
];

/** In China: `base_url: https://api.moonshot.cn/v1`, with a key of that site. */
export default {
  id: 'moonshot',
  label: 'Moonshot AI',
  docs: 'https://platform.moonshot.ai/docs',
  baseUrl: 'https://api.moonshot.ai/v1',
  environment: ['MOONSHOT_API_KEY'],
  speaks,
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'retry-after-only' },
} satisfies Provider;
