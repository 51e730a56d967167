import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

export default {
  id: 'minimax',
  label: 'MiniMax',
  docs: 'https://platform.minimax.io/docs',
  baseUrl: 'https://api.minimax.io/v1',
  environment: ['MINIMAX_API_KEY'],
  speaks: [
    openaiChat({ ...compatible, reasoningReplay: 'reasoning_details', choices: false }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'retry-after-only' },
} satisfies Provider;
