import { bearer, compatible, openaiChat, openaiEmbeddings, type Provider } from './provider.ts';

export default {
  id: 'cohere',
  label: 'Cohere',
  docs: 'https://docs.cohere.com/docs/compatibility-api',
  baseUrl: 'https://api.cohere.ai/compatibility/v1',
  environment: ['COHERE_API_KEY', 'CO_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      choices: false,
      refused: [
        'parallel_tool_calls',
        'logit_bias',
        'top_logprobs',
        'store',
        'metadata',
        'service_tier',
      ],
    }),
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'yes', rateLimits: 'retry-after-only' },
} satisfies Provider;
