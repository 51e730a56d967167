/** Ids of 64 bits in calls: dialects with objects for arguments, and those with texts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJsonObject, type JsonObject } from '#std';
import { anthropicMessages } from './anthropic-messages/index.ts';
import { geminiGenerate } from './gemini-generate/index.ts';
import { openaiChat } from './openai-chat/index.ts';

const input = '{"id":1234567890123456789,"small":1}';

function parsed(text: string): JsonObject {
  const object = parseJsonObject(text);
  assert.ok(object);
  return object;
}

test('a call that an answer holds as an object keeps its numbers as a text', () => {
  const block = `{"type":"tool_use","id":"t","name":"f","input":${input}}`;
  const message = `{"id":"m","type":"message","role":"assistant","model":"m","content":[${block}],"stop_reason":"tool_use","usage":{}}`;
  const call = `{"functionCall":{"name":"f","args":${input}}}`;
  const chunk = `{"candidates":[{"content":{"parts":[${call}]},"finishReason":"STOP"}]}`;
  const decoder = geminiGenerate.stream.decoder({});
  const events = [...decoder.push({ data: chunk }), ...decoder.end()];
  assert.ok(JSON.stringify(events).includes(JSON.stringify(input)));
  for (const { choices } of [
    anthropicMessages.response.decode(parsed(message), {}),
    geminiGenerate.response.decode(parsed(chunk), {}),
  ])
    assert.deepEqual(
      choices[0]?.parts.map((part) => part.kind === 'tool-call' && part.input),
      [input],
    );
});

test('a call that a conversation holds as a text keeps them as an object', () => {
  const call = { id: 't', type: 'function', function: { name: 'f', arguments: input } };
  const messages = [
    { role: 'user', content: 'x' },
    { role: 'assistant', tool_calls: [call] },
    { role: 'tool', tool_call_id: 't', content: 'y' },
  ];
  const request = openaiChat.request.decode({ model: 'm', messages }, {});
  for (const { request: codec } of [anthropicMessages, geminiGenerate])
    assert.ok(JSON.stringify(codec.encode(request, {}).value).includes(`:${input}`));
});

test('a seed may have 64 bits', () => {
  const wire = { model: 'm', messages: [{ role: 'user', content: 'x' }], seed: 2 ** 62 };
  assert.equal(openaiChat.request.decode(wire, {}).seed, 2 ** 62);
  assert.throws(() => openaiChat.request.decode({ ...wire, seed: 1.5 }, {}), /integer/);
});
