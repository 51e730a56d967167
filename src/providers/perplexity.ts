import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

export default {
  id: 'perplexity',
  label: 'Perplexity',
  docs: 'https://docs.perplexity.ai',
  baseUrl: 'https://api.perplexity.ai',
  environment: ['PERPLEXITY_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      streamUsage: false,
      usageExcludesReasoning: true,
      refused: [
        'tools',
        'tool_choice',
        'parallel_tool_calls',
        'seed',
        'logit_bias',
        'n',
        'stop',
        'web_search_options',
      ],
    }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'no', rateLimits: 'retry-after-only' },
} satisfies Provider;
