import { bearer, openaiChat, openaiResponses, type Provider } from './provider.ts';

export default {
  id: 'xai',
  label: 'xAI',
  docs: 'https://docs.x.ai',
  baseUrl: 'https://api.x.ai/v1',
  environment: ['XAI_API_KEY'],
  speaks: [
    openaiResponses({ webSearchTool: 'web_search', customTools: false }),
    openaiChat({ systemRole: 'system', usageExcludesReasoning: true, customTools: false }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'yes', rateLimits: 'x-ratelimit-seconds' },
} satisfies Provider;
