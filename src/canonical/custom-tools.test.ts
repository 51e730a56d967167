import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatEvent, ChatRequest, ChatResponse } from './chat.ts';
import { ChatCollector, explode } from './collect.ts';
import { createCustomCallRestorer, restoreCustomCalls } from './custom-tools.ts';

const request: ChatRequest = {
  dialect: 'openai-responses',
  model: 'm',
  messages: [],
  tools: [
    { kind: 'custom', name: 'shell' },
    { kind: 'function', name: 'look_up' },
  ],
  stream: true,
  streamUsage: true,
  extensions: {},
};

const response: ChatResponse = {
  dialect: 'anthropic-messages',
  id: 'a',
  model: 'm',
  choices: [
    {
      index: 0,
      parts: [
        { kind: 'text', text: 'So.' },
        { kind: 'tool-call', id: '1', name: 'shell', input: '{"input":"ls \\"é\\""}' },
        { kind: 'tool-call', id: '2', name: 'look_up', input: '{"input":"x"}' },
        { kind: 'tool-call', id: '3', name: 'shell', input: 'not wrapped' },
      ],
      finish: { reason: 'tool-calls', raw: 'tool_use' },
    },
  ],
  extensions: {},
};

const inputs = ({ choices }: ChatResponse): readonly unknown[] =>
  (choices[0]?.parts ?? []).flatMap((part) =>
    part.kind === 'tool-call' ? [[part.input, part.custom === true]] : [],
  );

const restored = [
  ['ls "é"', true],
  ['{"input":"x"}', false],
  ['not wrapped', true],
];

test('calls of free-text tools are free text again, other calls stay', () => {
  assert.deepEqual(inputs(restoreCustomCalls(response, request)), restored);
  assert.equal(restoreCustomCalls(response, { ...request, tools: [] }), response);
});

test('the same in a stream', () => {
  const restore = createCustomCallRestorer(request);
  assert.ok(restore);
  const collector = new ChatCollector('anthropic-messages');
  const pieces = [...explode(response)].flatMap((event): readonly ChatEvent[] =>
    event.kind === 'part-delta'
      ? Array.from(event.delta).map((delta) => ({ ...event, delta }))
      : [event],
  );
  for (const event of pieces.flatMap(restore)) collector.push(event);
  assert.deepEqual(inputs(collector.finish()), restored);
  assert.equal(createCustomCallRestorer({ ...request, tools: [] }), undefined);
});
