import { bearer, compatible, openaiChat, openaiEmbeddings, type Provider } from './provider.ts';

export default {
  id: 'mistral',
  label: 'Mistral AI',
  docs: 'https://docs.mistral.ai/api',
  baseUrl: 'https://api.mistral.ai/v1',
  environment: ['MISTRAL_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      toolIdForm: 'alphanumeric-9',
      streamUsage: false,
      reasoningReplay: 'content',
      strictToolMessages: true,
      toolChoiceRequired: 'any',
      prefill: 'prefix',
      refused: [
        'logit_bias',
        'user',
        'store',
        'metadata',
        'service_tier',
        'logprobs',
        'top_logprobs',
        'stream_options',
      ],
    }),
    openaiEmbeddings(),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'no', rateLimits: 'x-ratelimit-named-window' },
} satisfies Provider;
