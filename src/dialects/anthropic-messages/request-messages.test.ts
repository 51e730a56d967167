import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wrapState, type ChatRequest, type Message, type Part } from '#canonical';
import { asObject, asObjects, type JsonValue } from '#std';
import type { Quirks } from '../dialect.ts';
import {
  user,
  text,
  call,
  result,
  foreign,
  own,
  encoded,
  lostPaths,
  contents,
  lookUp,
} from './messages-rig.ts';

test('parallel results stand first in one user turn, ids are made legal alike', () => {
  const messages: readonly Message[] = [
    user(text('Add.')),
    { role: 'assistant', parts: [call('functions.add:0'), call('functions.add_0')] },
    { role: 'tool', parts: [result('functions.add:0', '1')] },
    { role: 'tool', parts: [result('functions.add_0', '2')] },
    user(text('Thanks.')),
  ];
  const [, assistant, answer] = contents(encoded(foreign({ messages, tools: [lookUp] })));
  const idsOf = (turn: JsonValue | undefined, key: string): readonly unknown[] =>
    asObjects((turn as JsonValue[])[1]).map((block) => block[key]);
  assert.deepEqual(idsOf(assistant, 'id'), ['functions_add_0', 'functions_add_0_2']);
  assert.deepEqual(idsOf(answer, 'tool_use_id'), [
    'functions_add_0',
    'functions_add_0_2',
    undefined,
  ]);
});

test('ids that a vendor repeats or leaves empty are told apart', () => {
  const turn = (value: string): readonly Message[] => [
    { role: 'assistant', parts: [call(value), call(value)] },
    { role: 'tool', parts: [result(value, '1'), result(value, '2')] },
  ];
  const { value, losses } = encoded(
    foreign({
      messages: [user(text('x')), ...turn('call_0'), ...turn(''), ...turn('call_0')],
      tools: [lookUp],
    }),
  );
  assert.deepEqual(losses, []);
  const blocks = asObjects(value['messages']).flatMap((message) => asObjects(message['content']));
  const called = blocks.flatMap(({ type, id }) => (type === 'tool_use' ? [id] : []));
  assert.deepEqual(called, ['call_0', 'call_0_2', 'call', 'call_2', 'call_0_3', 'call_0_4']);
  assert.deepEqual(
    blocks.flatMap((block) => (block['type'] === 'tool_result' ? [block['tool_use_id']] : [])),
    called,
  );
});

test('a call without a result refuses the request and names the id', () => {
  const messages: readonly Message[] = [
    user(text('Add.')),
    { role: 'assistant', parts: [call('a'), call('b')] },
    { role: 'tool', parts: [result('a', '1')] },
  ];
  const { losses } = encoded(foreign({ messages, tools: [lookUp] }));
  assert.ok(
    losses.some(
      ({ changesMeaning, reason, path }) =>
        changesMeaning && reason.includes('"b"') && path === 'messages[1].parts[1]',
    ),
  );
  const orphan = encoded(
    foreign({ messages: [user(text('x')), { role: 'tool', parts: [result('z', '1')] }] }),
  );
  assert.ok(
    orphan.losses.some(({ changesMeaning, reason }) => changesMeaning && reason.includes('"z"')),
  );
});

test('system messages: the first ones at the top, later ones where the model takes them', () => {
  const messages: readonly Message[] = [
    { role: 'system', parts: [text('A')] },
    { role: 'developer', parts: [text('B')] },
    user(text('Hello.')),
    { role: 'system', parts: [text('C')] },
  ];
  const merged = encoded(foreign({ messages }));
  assert.deepEqual(merged.value['system'], [
    { type: 'text', text: 'A' },
    { type: 'text', text: 'B' },
  ]);
  assert.deepEqual(contents(merged), [
    [
      'user',
      [
        { type: 'text', text: 'Hello.' },
        { type: 'text', text: '<system>\nC\n</system>' },
      ],
    ],
  ]);
  assert.deepEqual(lostPaths(merged), ['messages[3]']);
  const kept = encoded(foreign({ messages }), { systemRoleMidConversation: true });
  assert.deepEqual(contents(kept).at(-1), ['system', [{ type: 'text', text: 'C' }]]);
  assert.deepEqual(kept.losses, []);
});

test('a system message between calls and their results comes after the results', () => {
  const messages: readonly Message[] = [
    user(text('Add.')),
    { role: 'assistant', parts: [call('a')] },
    { role: 'system', parts: [text('C')] },
    { role: 'tool', parts: [result('a', '1')] },
  ];
  const kept = encoded(foreign({ messages, tools: [lookUp] }), { systemRoleMidConversation: true });
  const roles = asObjects(kept.value['messages']).map(({ role }) => role);
  assert.deepEqual(roles, ['user', 'assistant', 'user', 'system']);
});

test('the first turn is the user, neighbours are merged, empty text is left out', () => {
  const messages: readonly Message[] = [
    { role: 'assistant', parts: [text('Welcome. ')] },
    user(text('')),
    user(text('A')),
    user(text('B')),
    { role: 'assistant', parts: [text('Prefix:  \n')] },
  ];
  assert.deepEqual(contents(encoded(foreign({ messages }))), [
    ['user', [{ type: 'text', text: '…' }]],
    ['assistant', [{ type: 'text', text: 'Welcome. ' }]],
    [
      'user',
      [
        { type: 'text', text: 'A' },
        { type: 'text', text: 'B' },
      ],
    ],
    ['assistant', [{ type: 'text', text: 'Prefix:' }]],
  ]);
  const refused = encoded(foreign({ messages }), { prefillAllowed: false });
  assert.deepEqual(contents(refused).at(-1), ['user', [{ type: 'text', text: 'Continue.' }]]);
});

test('only the last four cache marks are kept', () => {
  const mark = { type: 'ephemeral' };
  const request = own({
    tools: [{ name: 'a', input_schema: { type: 'object' }, cache_control: mark }],
    system: [{ type: 'text', text: 'S', cache_control: mark }],
    messages: [
      {
        role: 'user',
        content: ['1', '2', '3', '4'].map((value) => ({
          type: 'text',
          text: value,
          cache_control: mark,
        })),
      },
    ],
  });
  const { value, losses } = encoded(request);
  assert.deepEqual(
    losses.map(({ path, changesMeaning }) => [path, changesMeaning]),
    [
      ['tools[0].cache_control', false],
      ['system[0].cache_control', false],
    ],
  );
  assert.equal(JSON.stringify(value).split('cache_control').length - 1, 4);
});

test('state of other vendors is not sent, and the whole turn goes without thinking', () => {
  const thought = (issuer: 'anthropic-messages' | 'gemini-generate'): Part => ({
    kind: 'reasoning',
    form: 'full',
    text: 'Hm.',
    state: { issuer, value: 'v', form: 'signature' },
  });
  const messages: readonly Message[] = [
    user(text('One.')),
    { role: 'assistant', parts: [thought('anthropic-messages'), text('A')] },
    user(text('Two.')),
    { role: 'assistant', parts: [thought('anthropic-messages'), call('a')] },
    { role: 'tool', parts: [result('a', '1')] },
    { role: 'assistant', parts: [thought('gemini-generate'), call('b')] },
    { role: 'tool', parts: [result('b', '2')] },
  ];
  const sent = encoded(foreign({ messages, tools: [lookUp], reasoning: { effort: 'high' } }), {
    thinking: 'budget',
  });
  assert.deepEqual(lostPaths(sent), ['messages[3].parts[0]', 'messages[5].parts[0]', 'reasoning']);
  assert.equal(sent.value['thinking'], undefined);
  assert.equal(JSON.stringify(sent.value).split('"type":"thinking"').length - 1, 1);
});

test('wrapped state goes back onto the call that it belongs to', () => {
  const data = wrapState({
    issuer: 'gemini-generate',
    value: 'sig',
    form: 'thoughtSignature',
    toolCallId: 'a',
  });
  const content = [
    { type: 'redacted_thinking', data },
    { type: 'tool_use', id: 'a', name: 'look_up', input: {} },
  ];
  const { messages } = own({
    messages: [
      { role: 'user', content: 'x' },
      { role: 'assistant', content },
    ],
  });
  const [part, ...others] = messages[1]?.parts ?? [];
  assert.deepEqual(others, []);
  assert.ok(part?.kind === 'tool-call');
  assert.equal(part.state?.issuer, 'gemini-generate');
  assert.equal(part.state?.value, 'sig');
});

test('effort becomes what the model takes', () => {
  const thinkingOf = (fields: Partial<ChatRequest>, quirks: Quirks): readonly unknown[] => {
    const { value } = encoded(foreign({ outputTokensMax: 20_000, ...fields }), quirks);
    return [value['thinking'], asObject(value['output_config'])?.['effort']];
  };
  const high = { reasoning: { effort: 'high' } } as const;
  assert.deepEqual(thinkingOf(high, {}), [{ type: 'adaptive' }, 'high']);
  assert.deepEqual(thinkingOf(high, { thinking: 'budget' }), [
    { type: 'enabled', budget_tokens: 15_000 },
    undefined,
  ]);
  assert.deepEqual(thinkingOf(high, { thinking: 'none' }), [undefined, undefined]);
  assert.deepEqual(thinkingOf({ reasoning: { effort: 'minimal' } }, {}), [
    { type: 'adaptive' },
    'low',
  ]);
  assert.deepEqual(
    thinkingOf({ reasoning: { effort: 'xhigh' } }, { efforts: ['low', 'medium', 'high'] }),
    [{ type: 'adaptive' }, 'high'],
  );
  assert.deepEqual(thinkingOf({ reasoning: { effort: 'none' } }, {}), [
    { type: 'disabled' },
    undefined,
  ]);
  assert.deepEqual(
    thinkingOf(
      { reasoning: { effort: 'none' } },
      { thinking: 'adaptive', thinkingCanDisable: false },
    ),
    [undefined, 'low'],
  );
  assert.deepEqual(thinkingOf({ reasoning: { budgetTokens: 8000 } }, {}), [
    { type: 'adaptive' },
    'medium',
  ]);
  assert.deepEqual(thinkingOf({ ...high, outputTokensMax: 1200 }, { thinking: 'budget' }), [
    undefined,
    undefined,
  ]);
});

test('a model that refuses budgets gets an effort from a client that sends one', () => {
  const request = own({ max_tokens: 20_000, thinking: { type: 'enabled', budget_tokens: 16_000 } });
  assert.deepEqual(encoded(request).value['thinking'], { type: 'enabled', budget_tokens: 16_000 });
  const moved = encoded(request, { thinking: 'adaptive' });
  assert.deepEqual(moved.value['thinking'], { type: 'adaptive' });
  assert.deepEqual(moved.value['output_config'], { effort: 'high' });
  assert.deepEqual(lostPaths(moved), ['reasoning.budgetTokens']);
});
