import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explode, type ChatResponse } from '#canonical';
import { openaiChat } from '../openai-chat/index.ts';
import { openaiResponses } from './index.ts';
import { flatName } from './namespaces.ts';

const parameters = { type: 'object', properties: {} };
const tools = [
  { type: 'function', name: 'plain', parameters, strict: false },
  {
    type: 'namespace',
    name: 'crew',
    description: 'Work with others.',
    tools: [
      { type: 'function', name: 'spawn', parameters, strict: false },
      { type: 'function', name: 'close', parameters, strict: false },
    ],
  },
];
const input = [
  { role: 'user', content: 'x' },
  { type: 'function_call', call_id: 'c1', name: 'spawn', namespace: 'crew', arguments: '{}' },
  { type: 'function_call_output', call_id: 'c1', output: 'ok' },
];
const request = openaiResponses.request.decode(
  { model: 'm', input, tools },
  { model: 'm', stream: false },
);

test('a namespace goes back to its own dialect as it came', () => {
  const { value, losses } = openaiResponses.request.encode(request, {});
  assert.deepEqual(value['tools'], tools);
  assert.deepEqual(value['input'], input);
  assert.deepEqual(losses, []);
});

test('another dialect gets flat names, in the tools and in the history', () => {
  const { value, losses } = openaiChat.request.encode(request, {});
  assert.deepEqual(
    (value['tools'] as { function: { name: string } }[]).map((tool) => tool.function.name),
    ['plain', 'crew__spawn', 'crew__close'],
  );
  assert.match(JSON.stringify(value['messages']), /"name":"crew__spawn"/);
  assert.deepEqual(
    losses.filter((loss) => loss.changesMeaning),
    [],
  );
});

test('a call of a flat name comes back under its namespace, whole and streamed', () => {
  const answer: ChatResponse = {
    dialect: 'openai-chat',
    id: 'a',
    model: 'm',
    choices: [
      {
        index: 0,
        parts: [{ kind: 'tool-call', id: 'c2', name: 'crew__close', input: '{}' }],
        finish: { reason: 'tool-calls', raw: '' },
      },
    ],
    extensions: {},
  };
  const whole = JSON.stringify(openaiResponses.response.encode(answer, request).value['output']);
  assert.match(whole, /"name":"close","namespace":"crew"/);
  const encoder = openaiResponses.stream.encoder({ ...request, stream: true }, { framing: 'sse' });
  const streamed = [...explode(answer)].map((event) => encoder.push(event)).join('');
  assert.equal(streamed.match(/"name":"close","namespace":"crew"/g)?.length, 3);
  assert.doesNotMatch(streamed.replace(/"tools":\[.*?\]\}\],/g, ''), /crew__close/);
});

test('tools that the vendor runs keep their namespace whole', () => {
  const hosted = [{ type: 'namespace', name: 'n', tools: [{ type: 'web_search' }] }];
  const decoded = openaiResponses.request.decode(
    { model: 'm', input: 'x', tools: hosted },
    { model: 'm', stream: false },
  );
  assert.deepEqual(
    decoded.tools.map((tool) => tool.kind),
    ['native'],
  );
});

test('a flat name has at most 64 characters and keeps its end', () => {
  assert.equal(flatName('mcp__files__', 'read'), 'mcp__files__read');
  const long = flatName('n'.repeat(80), 'tool');
  assert.equal(long.length, 64);
  assert.ok(long.endsWith('n__tool'));
});
