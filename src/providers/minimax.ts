import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

/** HTTP statuses that error numbers stand for; any other is a fault of the vendor (platform.minimax.io/docs/api-reference/errorcode). */
const baseResponseStatuses = {
  1002: 429,
  1004: 401,
  1008: 402,
  1026: 400,
  1027: 400,
  1039: 400,
  1041: 429,
  1042: 400,
  2013: 400,
  2045: 429,
  2049: 401,
  2056: 429,
};

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
      baseResponseStatuses,
    }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'no', rateLimits: 'retry-after-only' },
} satisfies Provider;
