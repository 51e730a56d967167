import { compatible, openaiChat, openaiEmbeddings, type Provider } from './provider.ts';

/** A local server: no key; OLLAMA_HOST names where it is. */
export default {
  id: 'ollama',
  label: 'Ollama',
  docs: 'https://docs.ollama.com/openai',
  baseUrl: 'http://127.0.0.1:11434',
  environment: ['OLLAMA_HOST'],
  keyless: true,
  speaks: [
    openaiChat(
      { ...compatible, reasoningReplay: 'reasoning', fetchesUrls: false, choices: false },
      '/v1/chat/completions',
    ),
    openaiEmbeddings({}, '/v1/embeddings'),
  ],
  authorize: (request) => request,
  facts: { abortStopsBilling: 'yes', rateLimits: 'retry-after-only' },
} satisfies Provider;
