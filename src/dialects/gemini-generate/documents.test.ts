/** Files and documents of other dialects on their way to Gemini. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest } from '#canonical';
import type { JsonObject } from '#std';
import { anthropicMessages } from '../anthropic-messages/index.ts';
import { openaiChat } from '../openai-chat/index.ts';
import { openaiResponses } from '../openai-responses/index.ts';
import { geminiGenerate } from './index.ts';

function lostBy(request: ChatRequest): readonly string[] {
  return geminiGenerate.request.encode(request, {}).losses.map(({ path }) => path);
}

function partsOf(request: ChatRequest, quirks: JsonObject = {}): unknown {
  const { value } = geminiGenerate.request.encode(request, quirks);
  return (value['contents'] as { parts: unknown }[]).at(-1)?.parts;
}

test('the name of a file stays behind where the upstream refuses a request with one', () => {
  const file = { filename: 'report.pdf', file_data: 'data:application/pdf;base64,JVBERi0=' };
  const messages = [{ role: 'user', content: [{ type: 'file', file }] }];
  const request = openaiChat.request.decode({ model: 'm', messages }, {});
  const inlineData = { mimeType: 'application/pdf', data: 'JVBERi0=' };
  assert.deepEqual(partsOf(request), [{ inlineData }]);
  assert.deepEqual(lostBy(request), ['messages[0].content[0].filename']);
  assert.deepEqual(partsOf(request, { displayNames: true }), [
    { inlineData: { ...inlineData, displayName: 'report.pdf' } },
  ]);
});

/** What a search of the client's own gave, as Anthropic's clients hand it back. */
function askWithResult(): ChatRequest {
  const found = {
    type: 'search_result',
    source: 'https://example.org/otters',
    title: 'Otters',
    content: [{ type: 'text', text: 'They hold hands.' }],
  };
  return anthropicMessages.request.decode(
    {
      model: 'm',
      max_tokens: 100,
      messages: [
        { role: 'user', content: 'otters?' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'find', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: [found] }] },
      ],
    },
    {},
  );
}

test('texts that a tool gave as documents stay in its result, with their titles', () => {
  const request = askWithResult();
  const text = '<document title="Otters">\nThey hold hands.\n</document>';
  const functionResponse = { id: 't', name: 'find', response: { result: text } };
  assert.deepEqual(partsOf(request), [{ functionResponse }]);
  assert.ok(lostBy(request).some((path) => path.endsWith('.source')));
});

test('so they do with other upstreams, and what is not said of them is reported', () => {
  const request = askWithResult();
  const chat = openaiChat.request.encode(request, {});
  assert.deepEqual((chat.value['messages'] as unknown[]).slice(2), [
    { role: 'tool', tool_call_id: 't', content: 'Otters\n\nThey hold hands.' },
  ]);
  const responses = openaiResponses.request.encode(request, {});
  for (const { losses } of [chat, responses])
    assert.ok(losses.some(({ path }) => path.endsWith('.source')));
});

test('a document of plain text is a text with its title', () => {
  const document = {
    type: 'document',
    title: 'Notes',
    source: { type: 'text', media_type: 'text/plain', data: 'Fish.' },
  };
  const messages = [{ role: 'user', content: [document, { type: 'text', text: 'What?' }] }];
  const request = anthropicMessages.request.decode({ model: 'm', max_tokens: 9, messages }, {});
  assert.deepEqual(partsOf(request), [
    { text: '<document title="Notes">\nFish.\n</document>' },
    { text: 'What?' },
  ]);
});
