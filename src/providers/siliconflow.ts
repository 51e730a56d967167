import { bearer, compatible, openaiChat, openaiEmbeddings, type Provider } from './provider.ts';

/** In China: `base_url: https://api.siliconflow.cn/v1`. */
export default {
  id: 'siliconflow',
  label: 'SiliconFlow',
  docs: 'https://docs.siliconflow.com',
  baseUrl: 'https://api.siliconflow.com/v1',
  environment: ['SILICONFLOW_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_content',
      thinkingField: 'enable_thinking',
    }),
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'retry-after-only' },
} satisfies Provider;
