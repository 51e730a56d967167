/** A request that says nothing, for tests of what is answered to it. */

import type { ChatRequest } from '#canonical';

export const emptyRequest: ChatRequest = {
  dialect: 'openai-chat',
  model: 'm',
  messages: [],
  tools: [],
  stream: true,
  streamUsage: true,
  extensions: {},
};
