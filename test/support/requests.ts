/** Requests that say nothing, for tests of what is answered to them. */

import type { ChatRequest, DialectId } from '#canonical';

export function requestOf(dialect: DialectId, rest: Partial<ChatRequest> = {}): ChatRequest {
  return {
    dialect,
    model: 'm',
    messages: [],
    tools: [],
    stream: true,
    streamUsage: true,
    extensions: {},
    ...rest,
  };
}

export const emptyRequest = requestOf('openai-chat');
