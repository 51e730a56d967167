import {
  bearer,
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  openaiResponses,
  type Provider,
} from './provider.ts';

export default {
  id: 'openai',
  label: 'OpenAI',
  docs: 'https://platform.openai.com/docs/api-reference',
  baseUrl: 'https://api.openai.com/v1',
  environment: ['OPENAI_API_KEY'],
  speaks: [
    openaiResponses({ outputTokensMin: 16 }),
    openaiChat({ toolIdForm: 'max-64' }),
    openaiCompletions(),
    openaiEmbeddings(),
    {
      operation: 'count-tokens',
      dialect: 'openai-responses',
      path: () => '/responses/input_tokens',
    },
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'yes', rateLimits: 'x-ratelimit-duration' },
} satisfies Provider;
