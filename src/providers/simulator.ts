import {
  anthropicMessages,
  bearer,
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  openaiResponses,
  type Call,
  type Provider,
} from './provider.ts';

const verb = ({ stream }: Call): string =>
  stream ? 'streamGenerateContent?alt=sse' : 'generateContent';

/** The built-in simulator: speaks every dialect, so that everything can be tried without a vendor. */
export default {
  id: 'simulator',
  label: 'Simulator',
  docs: 'docs/guide/simulator.md',
  baseUrl: 'http://127.0.0.1:0',
  environment: [],
  speaks: [
    openaiChat({}, '/v1/chat/completions'),
    openaiResponses({}, '/v1/responses'),
    anthropicMessages({}, '/v1/messages'),
    {
      operation: 'chat',
      dialect: 'gemini-generate',
      path: (call) => `/v1beta/models/${encodeURIComponent(call.model)}:${verb(call)}`,
    },
    openaiCompletions('/v1/completions'),
    openaiEmbeddings({}, '/v1/embeddings'),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'yes', rateLimits: 'x-ratelimit-duration', fetchesUrls: true },
} satisfies Provider;
