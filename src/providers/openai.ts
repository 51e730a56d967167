import { bearer, openaiChat, openaiCompletions, openaiEmbeddings, openaiResponses, type Provider } from './provider.ts';

export default {
  id: 'openai',
  label: 'OpenAI',
  docs: 'https://platform.openai.com/docs/api-reference',
  baseUrl: 'https://api.openai.com/v1',
  environment: ['OPENAI_API_KEY'],
  speaks: [
    openaiResponses(),
    openaiChat(),
    openaiCompletions(),
    openaiEmbeddings(),
    { operation: 'count-tokens', dialect: 'openai-responses', path: () => '/responses/input_tokens' },
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'yes', rateLimits: 'x-ratelimit-duration' },
} satisfies Provider;
