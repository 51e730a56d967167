export type * from './dialect.ts';
export * from './pass-through.ts';
export * from './gemini-generate/index.ts';
export { anthropicCountTokens, anthropicMessages } from './anthropic-messages/index.ts';
export * from './openai-responses/index.ts';
export * from './gemini-embed/index.ts';
export { openaiChat } from './openai-chat/index.ts';
export { nativeOnlyReason, openaiCompletions } from './openai-completions/index.ts';
export { openaiEmbeddings } from './openai-embeddings/index.ts';
