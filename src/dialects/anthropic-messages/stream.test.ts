import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gatewayError, unwrapState, type ChatEvent, type Part } from '#canonical';
import { asObject, asString, type JsonValue } from '#std';
import { anthropicMessages } from './index.ts';
import { bill, decoded, collected, written, start, end, block } from './messages-rig.ts';

const { stream } = anthropicMessages;

test('thinking, its signature, text with citations and a call without arguments', () => {
  const citation = {
    type: 'char_location',
    cited_text: 'c',
    document_index: 0,
    start_char_index: 0,
    end_char_index: 1,
  };
  const events = decoded([
    start,
    { type: 'ping' },
    ...block(
      0,
      { type: 'thinking', thinking: '', signature: '' },
      { type: 'thinking_delta', thinking: 'Hm.' },
      { type: 'signature_delta', signature: 'si' },
      { type: 'signature_delta', signature: 'g' },
    ),
    ...block(
      1,
      { type: 'text', text: '', citations: [] },
      { type: 'text_delta', text: 'So.' },
      { type: 'citations_delta', citation },
    ),
    ...block(
      2,
      { type: 'tool_use', id: 'toolu_1', name: 'look_up', input: {}, caller: { type: 'direct' } },
      { type: 'input_json_delta', partial_json: '' },
    ),
    ...end,
  ]);
  const { choices, usage } = collected(events);
  const [thought, said, called] = choices[0]?.parts ?? [];
  assert.ok(thought?.kind === 'reasoning' && said?.kind === 'text' && called?.kind === 'tool-call');
  assert.deepEqual([thought.text, thought.state?.value], ['Hm.', 'sig']);
  assert.deepEqual(said.citations?.[0]?.native?.value, citation);
  assert.equal(called.input, '{}');
  assert.deepEqual(called.extensions, { caller: { type: 'direct' } });
  assert.equal(usage?.inputTokens, 10);
  assert.equal(usage?.outputTokens, 5);
});

test('blocks of server tools come whole, with their input and their results', () => {
  const result = {
    type: 'web_search_tool_result',
    tool_use_id: 's',
    content: [{ type: 'web_search_result', url: 'https://a.test' }],
  };
  const frames = [
    start,
    ...block(
      0,
      { type: 'server_tool_use', id: 's', name: 'web_search', input: {} },
      { type: 'input_json_delta', partial_json: '{"query":' },
      { type: 'input_json_delta', partial_json: '"q"}' },
    ),
    ...block(1, result),
    ...block(
      2,
      { type: 'compaction', content: null },
      { type: 'compaction_delta', content: 'Sum' },
      { type: 'compaction_delta', content: 'mary' },
    ),
    ...end,
  ];
  const events = decoded(frames);
  const values = collected(events).choices[0]?.parts.map((part) =>
    part.kind === 'native' ? part.value : undefined,
  );
  assert.deepEqual(values, [
    { type: 'server_tool_use', id: 's', name: 'web_search', input: { query: 'q' } },
    result,
    { type: 'compaction', content: 'Summary' },
  ]);
  const again = collected(decoded(written(events)));
  assert.deepEqual(again.choices, collected(events).choices);
});

test('a second message_start is ignored between blocks and an error within one', () => {
  const twice = decoded([
    start,
    start,
    ...block(0, { type: 'text', text: '' }, { type: 'text_delta', text: 'Hi' }),
    ...end,
  ]);
  assert.equal(twice.filter(({ kind }) => kind === 'start').length, 1);
  assert.equal(twice.at(-1)?.kind, 'finished');
  const opened = block(0, { type: 'text', text: '' }, { type: 'text_delta', text: 'Hi' }).slice(
    0,
    2,
  );
  const spliced = decoded([start, ...opened, start, ...end]);
  const last = spliced.at(-1);
  assert.ok(last?.kind === 'error' && last.error.code === 'upstream_invalid');
});

test('errors: inside the stream, in its place, and a cut', () => {
  const overloaded = decoded([
    start,
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    ...end,
  ]);
  const last = overloaded.at(-1);
  assert.ok(last?.kind === 'error' && last.error.upstream?.kind === 'overloaded');
  const cut = decoded([start, ...block(0, { type: 'text', text: 'Hi' }), end[0] ?? {}]).at(-1);
  assert.ok(cut?.kind === 'error' && cut.error.code === 'upstream_cut');
  const garbled = stream.decoder({}).push({ data: '{"type":' }).at(-1);
  assert.ok(garbled?.kind === 'error' && garbled.error.code === 'upstream_invalid');
});

test('events without a start, without an event name, and arguments that come with the block', () => {
  const decoder = stream.decoder({});
  const events = [
    ...block(0, { type: 'tool_use', id: 'a', name: 'b', input: { x: 1 } }),
    ...end,
  ].flatMap((data) => [...decoder.push({ data: `${JSON.stringify(data)}   ` })]);
  const { choices } = collected([...events, ...decoder.end()]);
  assert.deepEqual(choices[0]?.parts, [
    { kind: 'tool-call', id: 'a', name: 'b', input: '{"x":1}' },
  ]);
});

test('a structured answer through the forced tool streams as text', () => {
  const frames = [
    start,
    ...block(
      0,
      { type: 'tool_use', id: 'a', name: 'json_answer', input: {} },
      { type: 'input_json_delta', partial_json: '{"a":' },
      { type: 'input_json_delta', partial_json: '1}' },
    ),
    { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 5 } },
    { type: 'message_stop' },
  ];
  const { choices } = collected(decoded(frames, { structuredOutput: 'tool' }));
  assert.deepEqual(choices[0], {
    index: 0,
    parts: [{ kind: 'text', text: '{"a":1}' }],
    finish: { reason: 'stop', raw: 'end_turn' },
  });
  assert.equal(collected(decoded(frames)).choices[0]?.parts[0]?.kind, 'tool-call');
});

test('the strict order of events, contiguous indexes, usage and bill in message_delta', () => {
  const parts: readonly Part[] = [
    {
      kind: 'reasoning',
      form: 'redacted',
      text: '',
      state: { issuer: 'openai-responses', value: 'enc', form: 'encrypted_content' },
    },
    { kind: 'text', text: '' },
    {
      kind: 'tool-call',
      id: 'c1',
      name: 'look_up',
      input: '',
      state: { issuer: 'gemini-generate', value: 'ts', form: 'thoughtSignature' },
    },
  ];
  const events: readonly ChatEvent[] = [
    { kind: 'start', id: 'resp_1', model: 'm', dialect: 'openai-responses' },
    ...parts.flatMap((part, index): readonly ChatEvent[] => [
      { kind: 'part-start', index, choice: 0, part },
      {
        kind: 'part-delta',
        index,
        delta: part.kind === 'tool-call' ? '{"a":1}' : part.kind === 'text' ? 'Hi' : '',
      },
      { kind: 'part-end', index },
    ]),
    { kind: 'end', choice: 0, finish: { reason: 'tool-calls', raw: 'completed' } },
    {
      kind: 'usage',
      usage: { inputTokens: 7, cacheReadTokens: 3, outputTokens: 2, reasoningTokens: 4 },
      bill,
    },
    { kind: 'finished', extensions: { previous_response_id: 'x' } },
  ];
  const lost: string[] = [];
  const frames = written(events, (path) => lost.push(path));
  assert.deepEqual(
    frames.map((data) => [data['type'], data['index']]),
    [
      ['message_start', undefined],
      ['content_block_start', 0],
      ['content_block_stop', 0],
      ['content_block_start', 1],
      ['content_block_delta', 1],
      ['content_block_stop', 1],
      ['content_block_start', 2],
      ['content_block_stop', 2],
      ['content_block_start', 3],
      ['content_block_delta', 3],
      ['content_block_delta', 3],
      ['content_block_stop', 3],
      ['message_delta', undefined],
      ['message_stop', undefined],
    ],
  );
  assert.deepEqual(asObject(frames[9]?.['delta']), { type: 'input_json_delta', partial_json: '' });
  const bound = asObject(frames[6]?.['content_block']);
  assert.equal(unwrapState(String(bound?.['data']))?.toolCallId, 'c1');
  assert.deepEqual(frames[12], {
    type: 'message_delta',
    delta: { stop_reason: 'tool_use', stop_sequence: null },
    usage: {
      input_tokens: 7,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 3,
      output_tokens: 6,
      output_tokens_details: { thinking_tokens: 4 },
      cost: 0.000042,
      receipt_id: 'rcp_1',
    },
  });
  assert.deepEqual(lost, ['previous_response_id']);
});

test('an error is the last event of a stream, in the words of the dialect', () => {
  const frames = written([
    { kind: 'start', id: 'a', model: 'm' },
    { kind: 'error', error: gatewayError('upstream_cut', 'The upstream went away.') },
  ]);
  assert.deepEqual(frames.at(-1), {
    type: 'error',
    error: {
      type: 'api_error',
      message: 'The upstream went away.',
      details: { error_code: 'upstream_cut' },
    },
  });
});

test('an event without data says nothing', () => {
  const decoder = stream.decoder({});
  assert.deepEqual(decoder.push({ event: 'ping', data: '' }), []);
  assert.equal(decoder.push({ data: JSON.stringify(start) })[0]?.kind, 'start');
});

test('the free text of a call is an object for the client, at the end of its block', () => {
  const encoder = stream.encoder(
    { ...anthropicMessages.request.decode({ model: 'm', max_tokens: 9, messages: [] }, {}) },
    { framing: 'sse' },
  );
  const part = { kind: 'tool-call', id: 'a', name: 'run', input: '', custom: true } as const;
  const text = [
    { kind: 'part-start', index: 0, choice: 0, part },
    { kind: 'part-delta', index: 0, delta: 'say "' },
    { kind: 'part-delta', index: 0, delta: 'hi"' },
    { kind: 'part-end', index: 0 },
  ] as const satisfies readonly ChatEvent[];
  const pieces = [
    ...text
      .map((event) => encoder.push(event))
      .join('')
      .matchAll(/data: (.*)/g),
  ]
    .map(([, data]) => asObject(asObject(JSON.parse(data ?? '{}') as JsonValue)?.['delta']))
    .map((delta) => asString(delta?.['partial_json']) ?? '');
  assert.deepEqual(JSON.parse(pieces.join('')), { input: 'say "hi"' });
});

test('a text without words is no block, and what was bound to it stands all the same', () => {
  const state = {
    issuer: 'gemini-generate',
    value: 'sig',
    form: 'thoughtSignature of an empty text',
  } as const;
  const blocksOf = (part: Part, final: object): unknown =>
    written([
      { kind: 'start', id: 'r', model: 'm', dialect: 'gemini-generate' },
      { kind: 'part-start', index: 0, choice: 0, part },
      { kind: 'part-end', index: 0, final },
      { kind: 'end', choice: 0, finish: { reason: 'stop', raw: 'STOP' } },
      { kind: 'finished' },
    ]).flatMap(({ type, content_block }) =>
      type === 'content_block_start' ? [asObject(content_block)?.['type']] : [],
    );
  assert.deepEqual(blocksOf({ kind: 'text', text: '', state }, { state }), ['redacted_thinking']);
  assert.deepEqual(blocksOf({ kind: 'text', text: '' }, {}), []);
  const citations = [{ url: 'https://a.test' }];
  assert.deepEqual(blocksOf({ kind: 'text', text: '' }, { citations }), ['text']);
  assert.deepEqual(blocksOf({ kind: 'text', text: 'Hi', state }, {}), [
    'redacted_thinking',
    'text',
  ]);
});
