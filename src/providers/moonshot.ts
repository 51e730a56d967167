import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

export default {
  id: 'moonshot',
  label: 'Moonshot AI',
  docs: 'https://platform.moonshot.ai/docs',
  baseUrl: 'https://api.moonshot.ai/v1',
  environment: ['MOONSHOT_API_KEY'],
  speaks: [
    openaiChat({ ...compatible, reasoningReplay: 'reasoning_content_required', prefill: 'partial', fetchesUrls: false, thinkingField: 'thinking' }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'retry-after-only' },
} satisfies Provider;
