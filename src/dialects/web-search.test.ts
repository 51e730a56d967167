/** How a search of the web is to be done, from one dialect to another: said again, or reported. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest } from '#canonical';
import type { JsonObject } from '#std';
import { anthropicMessages } from './anthropic-messages/index.ts';
import type { Dialect } from './dialect.ts';
import { geminiGenerate } from './gemini-generate/index.ts';
import { openaiChat } from './openai-chat/index.ts';
import { openaiResponses } from './openai-responses/index.ts';

const messages = [{ role: 'user', content: 'x' }];
const place = { type: 'approximate', city: 'Oslo', country: 'NO' };

function anthropicSearch(options: JsonObject): ChatRequest {
  const tool = { type: 'web_search_20250305', name: 'web_search', ...options };
  return anthropicMessages.request.decode(
    { model: 'm', max_tokens: 5, messages, tools: [tool] },
    {},
  );
}

function responsesSearch(options: JsonObject): ChatRequest {
  const tool = { type: 'web_search', ...options };
  return openaiResponses.request.decode({ model: 'm', input: 'x', tools: [tool] }, {});
}

function chatSearch(options: JsonObject): ChatRequest {
  return openaiChat.request.decode({ model: 'm', messages, web_search_options: options }, {});
}

function written(
  { request: codec }: Dialect,
  request: ChatRequest,
): { readonly search: unknown; readonly lost: readonly string[] } {
  const { value, losses } = codec.encode(request, {});
  const tools = value['tools'] as readonly unknown[] | undefined;
  return {
    search: value['web_search_options'] ?? tools?.[0],
    lost: losses.map(({ path }) => path),
  };
}

test('chat is told the place and the size, and what it cannot be told is reported', () => {
  const domains = { allowed_domains: ['a.example'] };
  const nested = { type: 'approximate', approximate: { city: 'Oslo', country: 'NO' } };
  assert.deepEqual(
    written(openaiChat, anthropicSearch({ ...domains, max_uses: 3, user_location: place })),
    {
      search: { user_location: nested },
      lost: ['tools[0].allowed_domains', 'tools[0].max_uses'],
    },
  );
  const asked = { search_context_size: 'high', user_location: place, filters: domains };
  assert.deepEqual(written(openaiChat, responsesSearch(asked)), {
    search: { search_context_size: 'high', user_location: nested },
    lost: ['tools[0].allowed_domains'],
  });
});

test('Gemini searches as it likes: every option is reported', () => {
  const options = { blocked_domains: ['b.example'], max_uses: 1, user_location: place };
  assert.deepEqual(written(geminiGenerate, anthropicSearch(options)), {
    search: { googleSearch: {} },
    lost: ['tools[0].blocked_domains', 'tools[0].max_uses', 'tools[0].user_location'],
  });
  const plain = { search: { googleSearch: {} }, lost: [] };
  assert.deepEqual(written(geminiGenerate, anthropicSearch({})), plain);
  assert.deepEqual(written(geminiGenerate, chatSearch({})), plain);
});

test('Anthropic is told place and domains', () => {
  const own = { type: 'web_search_20250305', name: 'web_search' };
  const nested = { type: 'approximate', approximate: { city: 'Oslo', country: 'NO' } };
  const asked = { search_context_size: 'low', user_location: nested };
  assert.deepEqual(written(anthropicMessages, chatSearch(asked)), {
    search: { ...own, user_location: place },
    lost: ['tools[0].search_context_size'],
  });
  const filters = { allowed_domains: ['a.example'] };
  assert.deepEqual(written(anthropicMessages, responsesSearch({ filters })), {
    search: { ...own, ...filters },
    lost: [],
  });
});

test('Responses is told place, size and domains', () => {
  const options = { allowed_domains: ['a.example'], user_location: place, max_uses: 2 };
  assert.deepEqual(written(openaiResponses, anthropicSearch(options)), {
    search: {
      type: 'web_search',
      user_location: place,
      filters: { allowed_domains: ['a.example'] },
    },
    lost: ['tools[0].max_uses'],
  });
});
