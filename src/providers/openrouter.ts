import {
  anthropicMessages,
  bearer,
  compatible,
  openaiChat,
  openaiEmbeddings,
  openaiResponses,
  type Provider,
} from './provider.ts';

export default {
  id: 'openrouter',
  label: 'OpenRouter',
  docs: 'https://openrouter.ai/docs',
  baseUrl: 'https://openrouter.ai/api/v1',
  environment: ['OPENROUTER_API_KEY'],
  speaks: [
    {
      ...openaiChat({
        ...compatible,
        reasoningReplay: 'reasoning_details',
        thinkingField: 'reasoning',
        webSearch: 'openrouter',
        cacheMarks: 'cache_control',
        media: ['image', 'audio', 'video', 'document'],
      }),
      forwardsWishes: true,
    },
    openaiResponses(),
    { ...anthropicMessages(), models: (model) => model.startsWith('anthropic/') },
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'x-ratelimit-plain-epoch' },
} satisfies Provider;
