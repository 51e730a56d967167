import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

/**
 * In China: `base_url: https://api.minimaxi.com/v1`. `reasoning_split` puts thinking into
 * `reasoning_details`; without it, it stands in the text between `<think>` marks.
 */
export default {
  id: 'minimax',
  label: 'MiniMax',
  docs: 'https://platform.minimax.io/docs',
  baseUrl: 'https://api.minimax.io/v1',
  environment: ['MINIMAX_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_details',
      choices: false,
      extraBody: { reasoning_split: true },
    }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'no', rateLimits: 'retry-after-only' },
} satisfies Provider;
