import {
  bearer,
  compatible,
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  type Provider,
} from './provider.ts';

export default {
  id: 'together',
  label: 'Together AI',
  docs: 'https://docs.together.ai',
  baseUrl: 'https://api.together.xyz/v1',
  environment: ['TOGETHER_API_KEY'],
  speaks: [
    openaiChat({ ...compatible, reasoningReplay: 'reasoning' }),
    openaiCompletions(),
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'yes', rateLimits: 'x-ratelimit-plain-seconds' },
} satisfies Provider;
