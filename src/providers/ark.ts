import { bearer, compatible, openaiChat, openaiEmbeddings, type Provider } from './provider.ts';

/** Outside China (BytePlus ModelArk): `base_url: https://ark.ap-southeast.bytepluses.com/api/v3`. */
export default {
  id: 'ark',
  label: 'Volcengine Ark (Doubao)',
  docs: 'https://www.volcengine.com/docs/82379',
  baseUrl: 'https://ark.cn-beijing.volces.com/api/v3',
  environment: ['ARK_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_content',
      thinkingField: 'thinking',
      media: ['image', 'video'],
    }),
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'retry-after-only' },
} satisfies Provider;
