import {
  anthropicMessages,
  bearer,
  compatible,
  openaiChat,
  openaiCompletions,
  openaiResponses,
  type Provider,
} from './provider.ts';

export default {
  id: 'deepseek',
  label: 'DeepSeek',
  docs: 'https://api-docs.deepseek.com',
  baseUrl: 'https://api.deepseek.com',
  environment: ['DEEPSEEK_API_KEY'],
  speaks: [
    openaiChat({
      ...compatible,
      reasoningReplay: 'reasoning_content_required',
      thinkingField: 'thinking_and_effort',
      jsonSchema: 'json_object',
      media: [],
    }),
    openaiResponses({
      encryptedReasoning: false,
      reasoningReplay: 'content',
      webSearchTool: 'refused',
    }),
    anthropicMessages(
      { thinkingWithoutSignature: true, fetchesUrls: false },
      '/anthropic/v1/messages',
    ),
    openaiCompletions('/beta/completions'),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'yes', rateLimits: 'retry-after-only' },
} satisfies Provider;
