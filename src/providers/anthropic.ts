import { anthropicMessages, withHeader, type Provider } from './provider.ts';

export default {
  id: 'anthropic',
  label: 'Anthropic',
  docs: 'https://platform.claude.com/docs/en/api',
  baseUrl: 'https://api.anthropic.com/v1',
  environment: ['ANTHROPIC_API_KEY'],
  speaks: [
    anthropicMessages(),
    {
      operation: 'count-tokens',
      dialect: 'anthropic-messages',
      path: () => '/messages/count_tokens',
      headers: { 'anthropic-version': '2023-06-01' },
      forwards: ['anthropic-version', 'anthropic-beta'],
    },
  ],
  authorize: (request, credential) => withHeader(request, 'x-api-key', credential.secret),
  facts: { abortStopsBilling: 'yes', rateLimits: 'anthropic-ratelimit' },
} satisfies Provider;
