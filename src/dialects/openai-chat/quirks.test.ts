import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest, Loss } from '#canonical';
import { asObjects, type JsonObject } from '#std';
import type { Quirks } from '../dialect.ts';
import { openaiChat } from './index.ts';
import { nearestEffort } from './quirks.ts';

const user = { role: 'user', content: 'hi' };

function decode(wire: JsonObject): ChatRequest {
  return openaiChat.request.decode({ model: 'm', messages: [user], ...wire }, {});
}

function encode(
  request: ChatRequest,
  quirks: Quirks = {},
): { readonly value: JsonObject; readonly losses: readonly Loss[] } {
  return openaiChat.request.encode(request, quirks);
}

/** What is sent for a chat client's request, without model and messages. */
function fields(wire: JsonObject, quirks: Quirks = {}): JsonObject {
  const { model: _model, messages: _messages, ...rest } = encode(decode(wire), quirks).value;
  return rest;
}

function messagesOf(request: ChatRequest, quirks: Quirks = {}): readonly JsonObject[] {
  return encode(request, quirks).value['messages'] as readonly JsonObject[];
}

test('reasoning is asked for in the way that a vendor spells it', () => {
  const high = { reasoning_effort: 'high' };
  const cases: readonly (readonly [JsonObject, Quirks, JsonObject])[] = [
    [high, {}, high],
    [high, { efforts: ['low', 'medium'] }, { reasoning_effort: 'medium' }],
    [{ reasoning_effort: 'minimal' }, { efforts: ['none', 'low'] }, { reasoning_effort: 'none' }],
    [high, { thinkingField: 'thinking' }, { thinking: { type: 'enabled' } }],
    [
      { reasoning_effort: 'none' },
      { thinkingField: 'thinking' },
      { thinking: { type: 'disabled' } },
    ],
    [
      high,
      { thinkingField: 'thinking_and_effort' },
      { thinking: { type: 'enabled' }, reasoning_effort: 'high' },
    ],
    [high, { thinkingField: 'enable_thinking' }, { enable_thinking: true }],
    [high, { thinkingField: 'reasoning' }, { reasoning: { effort: 'high' } }],
    [high, { thinkingField: 'none' }, {}],
    [
      { thinking: { type: 'enabled', clear_thinking: false } },
      {},
      { thinking: { type: 'enabled', clear_thinking: false } },
    ],
    [
      { thinking: { type: 'enabled', budget_tokens: 4_000 } },
      { thinkingField: 'effort' },
      { reasoning_effort: 'medium' },
    ],
    [{ enable_thinking: false }, { thinkingField: 'effort' }, { reasoning_effort: 'none' }],
    [
      { enable_thinking: true, thinking_budget: 99 },
      { thinkingField: 'reasoning' },
      { reasoning: { max_tokens: 99 } },
    ],
    [
      { reasoning: { enabled: true, exclude: true } },
      { thinkingField: 'enable_thinking' },
      { enable_thinking: true },
    ],
  ];
  for (const [wire, quirks, expected] of cases)
    assert.deepEqual(fields(wire, quirks), expected, JSON.stringify([wire, quirks]));
});

test('the nearest effort is the lesser of two equally near', () => {
  assert.equal(nearestEffort('medium', ['low', 'high']), 'low');
  assert.equal(nearestEffort('max', ['low', 'high']), 'high');
  assert.equal(nearestEffort('low', undefined), 'low');
  assert.equal(nearestEffort('low', []), undefined);
});

test('quirks of sampling and length are kept, and what falls away is told', () => {
  const wire = {
    max_tokens: 9,
    temperature: 0.5,
    top_p: 0.9,
    stop: ['a', 'b'],
    n: 2,
    parallel_tool_calls: false,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {} } },
    seed: 4,
  };
  const { value, losses } = encode(decode(wire), {
    outputTokensField: 'max_tokens',
    temperature: 'only-1',
    topP: 'refused',
    stop: 'refused',
    choices: false,
    parallelToolCalls: false,
    jsonSchema: 'json_object',
    refused: ['seed'],
  });
  assert.deepEqual(value, {
    model: 'm',
    messages: [user],
    max_tokens: 9,
    response_format: { type: 'json_object' },
  });
  assert.deepEqual(losses.map((loss) => [loss.path, loss.changesMeaning]).sort(), [
    ['n', true],
    ['parallel_tool_calls', false],
    ['response_format.json_schema', true],
    ['seed', false],
    ['stop', true],
    ['temperature', false],
    ['top_p', false],
  ]);
  assert.equal(fields({ temperature: 1.8 }, { temperature: 1 })['temperature'], 1);
  assert.equal(fields({ temperature: 1 }, { temperature: 'only-1' })['temperature'], 1);
  assert.equal(fields({ max_tokens: 9 })['max_completion_tokens'], 9);
});

test('usage of a stream is always asked for, unless the vendor does not know how', () => {
  assert.deepEqual(fields({ stream: true }), {
    stream: true,
    stream_options: { include_usage: true },
  });
  assert.deepEqual(fields({ stream: true }, { streamUsage: false }), { stream: true });
});

test('roles, order and form of messages follow the vendor', () => {
  const request = decode({
    messages: [
      { role: 'system', content: 's1' },
      user,
      { role: 'developer', content: 's2' },
      { role: 'assistant', content: 'so' },
    ],
  });
  const rolesWith = (quirks: Quirks): readonly unknown[] =>
    messagesOf(request, quirks).map((message) => message['role']);
  assert.deepEqual(rolesWith({}), ['system', 'user', 'developer', 'assistant']);
  assert.deepEqual(rolesWith({ systemRole: 'system' }), ['system', 'user', 'system', 'assistant']);
  assert.deepEqual(rolesWith({ systemRole: 'developer' }), [
    'developer',
    'user',
    'developer',
    'assistant',
  ]);
  const merged = messagesOf(request, { singleSystem: true, prefill: 'partial' });
  assert.deepEqual(merged, [
    { role: 'system', content: 's1\n\ns2' },
    user,
    { partial: true, role: 'assistant', content: 'so' },
  ]);
  const results = decode({
    messages: [
      user,
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: 'r' },
      user,
    ],
  });
  assert.deepEqual(
    messagesOf(results, { strictToolMessages: true }).map((message) => message['role']),
    ['user', 'assistant', 'tool', 'assistant', 'user'],
  );
});

test('ids of tool calls are fitted to the vendor, calls and results alike, and stay apart', () => {
  const call = (id: string): JsonObject => ({
    id,
    type: 'function',
    function: { name: 'f', arguments: '{}' },
  });
  const long = `call_${'x'.repeat(80)}`;
  const ids = ['functions.f:0', 'abcdef123', long];
  const request = decode({
    messages: [
      user,
      { role: 'assistant', content: null, tool_calls: ids.map(call) },
      ...ids.map((id) => ({ role: 'tool', tool_call_id: id, content: 'r' })),
    ],
  });
  for (const [form, pattern] of [
    ['alphanumeric-9', /^[a-zA-Z0-9]{9}$/],
    ['max-64', /^.{1,64}$/],
  ] as const) {
    const [, assistant, ...results] = messagesOf(request, { toolIdForm: form });
    const called = asObjects(assistant?.['tool_calls']).map((wire) => String(wire['id']));
    assert.deepEqual(
      results.map((result) => result['tool_call_id']),
      called,
    );
    assert.equal(new Set(called).size, 3);
    for (const id of called) assert.match(id, pattern);
    assert.ok(called.includes('abcdef123'), 'an id that fits stays');
  }
});

test('thinking goes back in the field that the vendor reads', () => {
  const request = decode({
    messages: [
      user,
      { role: 'assistant', content: 'x', reasoning_content: 'why' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '' } }],
      },
    ],
  });
  const replay = (form: string): unknown =>
    messagesOf(request, { reasoningReplay: form })
      .slice(1)
      .map(({ role: _role, tool_calls: _calls, ...rest }) => rest);
  assert.deepEqual(replay('auto'), [{ content: 'x', reasoning_content: 'why' }, { content: null }]);
  assert.deepEqual(replay('none'), [{ content: 'x' }, { content: null }]);
  assert.deepEqual(replay('reasoning'), [{ content: 'x', reasoning: 'why' }, { content: null }]);
  assert.deepEqual(replay('reasoning_content_required'), [
    { content: 'x', reasoning_content: 'why' },
    { content: null, reasoning_content: '' },
  ]);
  assert.deepEqual(replay('reasoning_details'), [
    { content: 'x', reasoning_details: [{ type: 'reasoning.text', text: 'why' }] },
    { content: null },
  ]);
  assert.deepEqual(replay('content'), [
    {
      content: [
        { type: 'thinking', thinking: [{ type: 'text', text: 'why' }] },
        { type: 'text', text: 'x' },
      ],
    },
    { content: null },
  ]);
});
