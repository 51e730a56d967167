import { withHeader, type Call, type Provider } from './provider.ts';

const verb = ({ stream }: Call): string =>
  stream ? 'streamGenerateContent?alt=sse' : 'generateContent';

export default {
  id: 'gemini',
  label: 'Google Gemini API',
  docs: 'https://ai.google.dev/api',
  baseUrl: 'https://generativelanguage.googleapis.com/v1beta',
  environment: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'],
  speaks: [
    {
      operation: 'chat',
      dialect: 'gemini-generate',
      path: (call) => `/models/${encodeURIComponent(call.model)}:${verb(call)}`,
    },
    {
      operation: 'count-tokens',
      dialect: 'gemini-generate',
      path: (call) => `/models/${encodeURIComponent(call.model)}:countTokens`,
    },
    {
      operation: 'embeddings',
      dialect: 'gemini-embed',
      path: (call) => `/models/${encodeURIComponent(call.model)}:batchEmbedContents`,
    },
  ],
  authorize: (request, credential) => withHeader(request, 'x-goog-api-key', credential.secret),
  facts: { abortStopsBilling: 'no', rateLimits: 'retry-after-only', fetchesUrls: false },
} satisfies Provider;
