import {
  openaiChat,
  openaiEmbeddings,
  openaiResponses,
  withHeader,
  type Provider,
} from './provider.ts';

/** The v1 API: deployments are named like models in the body. Source: learn.microsoft.com, "Azure OpenAI v1 API". */
export default {
  id: 'azure',
  label: 'Azure OpenAI',
  docs: 'https://learn.microsoft.com/azure/ai-foundry/openai/latest',
  baseUrl: 'https://{resource}.openai.azure.com/openai/v1',
  parameters: {
    resource: {
      meaning: 'the name of the Azure OpenAI resource',
      environment: 'AZURE_OPENAI_RESOURCE',
    },
  },
  environment: ['AZURE_OPENAI_API_KEY'],
  speaks: [
    openaiResponses({ outputTokensMin: 16 }),
    openaiChat({ toolIdForm: 'max-64' }),
    openaiEmbeddings(),
  ],
  authorize: (request, credential) => withHeader(request, 'api-key', credential.secret),
  facts: { abortStopsBilling: 'yes', rateLimits: 'x-ratelimit-seconds' },
} satisfies Provider;
