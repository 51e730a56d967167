import { bearer, compatible, openaiChat, openaiEmbeddings, type Provider } from './provider.ts';

/** In China: `base_url: https://dashscope.aliyuncs.com/compatible-mode/v1`; keys of one region do not work in the other. */
export default {
  id: 'dashscope',
  label: 'Alibaba Cloud Model Studio (Qwen)',
  docs: 'https://www.alibabacloud.com/help/en/model-studio',
  baseUrl: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1',
  environment: ['DASHSCOPE_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_content',
      thinkingField: 'enable_thinking',
      webSearch: 'enable_search',
      media: ['image', 'audio', 'video'],
    }),
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'no', rateLimits: 'retry-after-only' },
} satisfies Provider;
