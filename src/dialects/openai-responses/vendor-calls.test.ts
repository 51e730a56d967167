/** Calls with free text at a vendor that has no such tools of the client's: they are the vendor's own (xAI's searches on X). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, type ChatRequest } from '#canonical';
import type { JsonObject } from '#std';
import { emptyRequest } from '../../../test/support/requests.ts';
import { openaiChat, openaiResponses } from '../index.ts';

const quirks = { customTools: false };
const search = {
  type: 'custom_tool_call',
  id: 'ctc_1_xs_call_1',
  call_id: 'xs_call_1',
  name: 'x_keyword_search',
  input: '{"query":"ships"}',
  status: 'completed',
};
const said = {
  type: 'message',
  id: 'msg_1',
  role: 'assistant',
  content: [{ type: 'output_text', text: 'Three ships.', annotations: [] }],
};

function streamed(): readonly JsonObject[] {
  const at = { item_id: search.id, output_index: 0 };
  return [
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { ...search, input: '', status: 'in_progress' },
    },
    { type: 'response.custom_tool_call_input.delta', ...at, delta: search.input },
    { type: 'response.custom_tool_call_input.done', ...at, input: search.input },
    { type: 'response.output_item.done', output_index: 0, item: search },
    { type: 'response.output_item.done', output_index: 1, item: said },
    { type: 'response.completed', response: { status: 'completed', output: [search, said] } },
  ];
}

test('a call that the vendor has run is not handed to the client to run', () => {
  const whole = openaiResponses.response.decode({ output: [search, said] }, quirks);
  const decoder = openaiResponses.stream.decoder(quirks);
  const collector = new ChatCollector('openai-responses');
  for (const event of streamed())
    for (const told of decoder.push({ data: JSON.stringify(event) })) collector.push(told);
  for (const { choices } of [whole, collector.finish()]) {
    assert.equal(choices[0]?.finish.reason, 'stop');
    assert.deepEqual(choices[0]?.parts, [
      { kind: 'native', dialect: 'openai-responses', value: search },
      { kind: 'text', text: 'Three ships.' },
    ]);
  }
  const { value, losses } = openaiChat.response.encode(whole, emptyRequest);
  assert.doesNotMatch(JSON.stringify(value), /x_keyword_search|tool_calls/);
  assert.equal(losses.length, 1, 'and the client is told what is missing');
});

test('free text tools of a client, their calls and results go as functions of one string', () => {
  const request: ChatRequest = {
    ...emptyRequest,
    tools: [{ kind: 'custom', name: 'shell', description: 'Runs it.' }],
    toolChoice: { kind: 'tool', name: 'shell' },
    messages: [
      { role: 'user', parts: [{ kind: 'text', text: 'List.' }] },
      {
        role: 'assistant',
        parts: [{ kind: 'tool-call', id: 'call_1', name: 'shell', input: 'ls "a"', custom: true }],
      },
      {
        role: 'tool',
        parts: [
          { kind: 'tool-result', id: 'call_1', custom: true, parts: [{ kind: 'text', text: 'b' }] },
        ],
      },
    ],
  };
  const { value, losses } = openaiResponses.request.encode(request, quirks);
  const input = value['input'] as readonly JsonObject[];
  assert.deepEqual(input.slice(1), [
    {
      type: 'function_call',
      call_id: 'call_1',
      name: 'shell',
      arguments: JSON.stringify({ input: 'ls "a"' }),
    },
    { type: 'function_call_output', call_id: 'call_1', output: 'b' },
  ]);
  assert.deepEqual(value['tool_choice'], { type: 'function', name: 'shell' });
  const [tool] = value['tools'] as readonly JsonObject[];
  assert.deepEqual(
    [tool?.['type'], tool?.['name'], tool?.['description']],
    ['function', 'shell', 'Runs it.'],
  );
  assert.equal(losses.length, 1);
});
