import { bearer, compatible, openaiChat, openaiEmbeddings, type Provider } from './provider.ts';

/**
 * In China: `base_url: https://open.bigmodel.cn/api/paas/v4`. Keys of a coding plan work at
 * `https://api.z.ai/api/coding/paas/v4` only.
 */
export default {
  id: 'zhipu',
  label: 'Zhipu AI (Z.ai)',
  docs: 'https://docs.z.ai',
  baseUrl: 'https://api.z.ai/api/paas/v4',
  environment: ['ZAI_API_KEY', 'ZHIPU_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_content',
      thinkingField: 'thinking',
      jsonSchema: 'json_object',
      webSearch: 'zai',
      choices: false,
      stopMax: 1,
    }),
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'retry-after-only' },
} satisfies Provider;
