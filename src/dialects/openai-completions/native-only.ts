import type { ChatRequest } from '#canonical';

/** Why only an upstream with this very endpoint can answer; `undefined` when a chat model can, too. */
export function nativeOnlyReason(request: ChatRequest): string | undefined {
  if (request.dialect !== 'openai-completions') return undefined;
  if (request.messages.length > 1) return 'several prompts in one request';
  if (request.messages.some((message) => message.parts.some((part) => part.kind === 'native')))
    return 'a prompt of token ids';
  if (request.extensions['echo'] === true) return 'echo';
  if (typeof request.extensions['suffix'] === 'string' && request.extensions['suffix'] !== '')
    return 'suffix';
  return undefined;
}
