import {
  bearer,
  compatible,
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  type Provider,
} from './provider.ts';

export default {
  id: 'fireworks',
  label: 'Fireworks AI',
  docs: 'https://docs.fireworks.ai',
  baseUrl: 'https://api.fireworks.ai/inference/v1',
  environment: ['FIREWORKS_API_KEY'],
  speaks: [
    openaiChat({ ...compatible, reasoningReplay: 'reasoning_content' }),
    openaiCompletions(),
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'yes', rateLimits: 'x-ratelimit-seconds' },
} satisfies Provider;
