import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

export default {
  id: 'cerebras',
  label: 'Cerebras',
  docs: 'https://inference-docs.cerebras.ai',
  baseUrl: 'https://api.cerebras.ai/v1',
  environment: ['CEREBRAS_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      outputTokensField: 'max_completion_tokens',
      reasoningReplay: 'reasoning',
      choices: false,
      media: [],
      refused: ['frequency_penalty', 'presence_penalty', 'logit_bias', 'store', 'metadata'],
    }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'x-ratelimit-seconds' },
} satisfies Provider;
