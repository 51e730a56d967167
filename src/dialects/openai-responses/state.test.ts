import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wrapState } from '#canonical';
import { ReadError, type JsonObject } from '#std';
import {
  historyItems,
  inputItems,
  isSelfContained,
  openaiResponses,
  stateNeeds,
  withHistory,
} from './index.ts';

const first: JsonObject = { model: 'm', instructions: 'Be kind.', input: 'Remember sesame.' };
const firstAnswer: JsonObject = {
  id: 'resp_a',
  output: [
    { type: 'reasoning', id: 'rs_a', summary: [], encrypted_content: 'gA' },
    {
      type: 'message',
      id: 'msg_a',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'I will.', annotations: [] }],
    },
  ],
};

test('what a request needs from the store is said before it is decoded', () => {
  assert.deepEqual(stateNeeds(first), { previousResponseId: undefined, itemIds: [], store: true });
  const input = [
    { type: 'item_reference', id: 'msg_a' },
    { id: 'fc_b' },
    { role: 'user', content: 'x' },
  ];
  assert.deepEqual(stateNeeds({ previous_response_id: 'resp_a', store: false, input }), {
    previousResponseId: 'resp_a',
    itemIds: ['msg_a', 'fc_b'],
    store: false,
  });
  assert.throws(() => stateNeeds({ store: 'yes' }), ReadError);
});

test('a chain of answers stands whole in the next request, without instructions of earlier ones', () => {
  const stored = historyItems(inputItems(first, firstAnswer), firstAnswer);
  assert.deepEqual(
    stored.map((item) => [item['type'], item['id']]),
    [
      ['message', 'msg_a_in0'],
      ['reasoning', 'rs_a'],
      ['message', 'msg_a'],
    ],
  );
  const second = withHistory(
    { model: 'm', previous_response_id: 'resp_a', input: 'What was it?' },
    stored,
  );
  assert.equal('previous_response_id' in second, false);
  const request = openaiResponses.request.decode(second, {});
  assert.deepEqual(
    request.messages.map((message) => [message.role, message.parts.map((part) => part.kind)]),
    [
      ['user', ['text']],
      ['assistant', ['reasoning', 'text']],
      ['user', ['text']],
    ],
  );
  const { value } = openaiResponses.request.encode(request, {});
  assert.equal(value['instructions'], undefined);
  assert.ok(JSON.stringify(value).includes('gA'), 'encrypted reasoning is replayed');
  assert.ok(!/"id"/.test(JSON.stringify(value)), 'no item ids are sent');
});

test('the second step stores only what it added', () => {
  const second: JsonObject = {
    model: 'm',
    previous_response_id: 'resp_a',
    input: [
      { type: 'item_reference', id: 'msg_a' },
      { role: 'user', content: 'And?' },
    ],
  };
  const answer: JsonObject = {
    id: 'resp_b',
    output: [{ type: 'message', id: 'msg_b', role: 'assistant', content: [] }],
  };
  const input = inputItems(second, answer);
  assert.deepEqual(
    historyItems(input, answer).map((item) => item['id']),
    ['msg_b_in1', 'msg_b'],
  );
  assert.deepEqual(input[0]?.['content'], [{ type: 'input_text', text: 'And?' }]);
});

test('references are resolved from the chain or from other stored items, else refused by id', () => {
  const [item] = historyItems(inputItems(first, firstAnswer), firstAnswer).slice(-1);
  assert.ok(item);
  const input = [
    { role: 'user', content: 'Remember sesame.' },
    { type: 'item_reference', id: 'msg_a' },
    { role: 'user', content: 'x' },
  ];
  assert.deepEqual(withHistory({ model: 'm', input }, [], [item])['input'], [
    input[0],
    item,
    input[2],
  ]);
  assert.deepEqual(
    withHistory({ model: 'm', input: [{ type: 'item_reference', id: 'msg_a' }] }, [item])['input'],
    [item],
  );
  assert.throws(
    () => withHistory({ model: 'm', input }, []),
    (error: unknown) =>
      error instanceof ReadError && error.path === 'input[1]' && error.message.includes('msg_a'),
  );
});

test('only a request without our ids and without other vendors’ state may go out as it is', () => {
  assert.ok(isSelfContained({ input: 'x' }));
  assert.ok(
    isSelfContained({
      input: [
        { role: 'user', content: 'x' },
        { type: 'reasoning', summary: [], encrypted_content: 'gA' },
      ],
    }),
  );
  const wrapped = wrapState({ issuer: 'anthropic-messages', form: 'signature', value: 's' });
  const not: readonly JsonObject[] = [
    { input: 'x', previous_response_id: 'resp_a' },
    { input: 'x', background: true },
    { input: [{ type: 'item_reference', id: 'msg_a' }] },
    { input: [{ type: 'message', id: 'msg_a', role: 'assistant', content: [] }] },
    { input: [{ type: 'reasoning', summary: [], encrypted_content: wrapped }] },
  ];
  for (const request of not) assert.equal(isSelfContained(request), false, JSON.stringify(request));
});

test('the echo names the response that was continued', () => {
  const request = {
    ...openaiResponses.request.decode({ model: 'm', input: 'x' }, {}),
    previousResponseId: 'resp_a',
  };
  const answer = {
    dialect: 'gemini-generate',
    id: 'x',
    model: 'm',
    choices: [],
    extensions: {},
  } as const;
  const { value } = openaiResponses.response.encode(answer, request);
  assert.deepEqual([value['previous_response_id'], value['store']], ['resp_a', true]);
});
