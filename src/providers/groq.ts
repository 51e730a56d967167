import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

export default {
  id: 'groq',
  label: 'Groq',
  docs: 'https://console.groq.com/docs',
  baseUrl: 'https://api.groq.com/openai/v1',
  environment: ['GROQ_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      outputTokensField: 'max_completion_tokens',
      reasoningReplay: 'reasoning',
      refused: ['logit_bias', 'logprobs', 'top_logprobs', 'store', 'metadata'],
      choices: false,
    }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'no', rateLimits: 'x-ratelimit-duration-daily-requests' },
} satisfies Provider;
