/** Endpoints that are merely compatible: no file, a channel with `dialect` and `base_url` is enough. */

import {
  anthropicMessages,
  bearer,
  compatible,
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  openaiResponses,
  withHeader,
  type Provider,
  type Speech,
} from './provider.ts';

type CompatibleDialect =
  | 'openai-chat'
  | 'openai-responses'
  | 'anthropic-messages'
  | 'gemini-generate';

const speaks: { readonly [dialect in CompatibleDialect]: readonly Speech[] } = {
  'openai-chat': [openaiChat(compatible), openaiCompletions(), openaiEmbeddings()],
  'openai-responses': [openaiResponses()],
  'anthropic-messages': [anthropicMessages()],
  'gemini-generate': [
    {
      operation: 'chat',
      dialect: 'gemini-generate',
      path: (call) =>
        `/models/${encodeURIComponent(call.model)}:${call.stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    },
  ],
};

function authorize(dialect: CompatibleDialect): Provider['authorize'] {
  if (dialect === 'anthropic-messages')
    return (request, credential) => withHeader(request, 'x-api-key', credential.secret);
  if (dialect === 'gemini-generate')
    return (request, credential) => withHeader(request, 'x-goog-api-key', credential.secret);
  return (request, credential) =>
    credential.secret === '' ? request : bearer(request, credential);
}

/** One nameless provider per dialect; its id is `compatible-<dialect>`. */
export const compatibleProviders: readonly Provider[] = (
  Object.keys(speaks) as CompatibleDialect[]
).map((dialect) => ({
  id: `compatible-${dialect}`,
  label: `Any endpoint that speaks ${dialect}`,
  docs: 'docs/guide/channels.md',
  baseUrl: 'https://invalid.invalid',
  environment: [],
  keyless: true,
  speaks: speaks[dialect],
  authorize: authorize(dialect),
  facts: { abortStopsBilling: 'unknown', rateLimits: 'x-ratelimit-duration' },
}));
