import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, gatewayError, GatewayFailure, unwrapState, type ChatEvent, type ChatRequest, type ChatResponse, type Part } from '#canonical';
import { asObject, createSseParser, nanoUsd, parseJsonObject, type JsonObject } from '#std';
import type { Frame, Quirks } from '../dialect.ts';
import { anthropicCountTokens, anthropicMessages } from './index.ts';
import { decodeUsage } from './usage.ts';

const { response, stream, error } = anthropicMessages;

const client: ChatRequest = { dialect: 'anthropic-messages', model: 'asked', messages: [], tools: [], stream: true, streamUsage: true, extensions: {} };
const bill = { costNanoUsd: nanoUsd(42_000), receiptId: 'rcp_1' };

const frame = (data: JsonObject): Frame => ({ event: String(data['type']), data: JSON.stringify(data) });

function decoded(frames: readonly JsonObject[], quirks: Quirks = {}): readonly ChatEvent[] {
  const decoder = stream.decoder(quirks);
  const events = frames.flatMap((data) => [...decoder.push(frame(data))]);
  return [...events, ...decoder.end()];
}

function collected(events: Iterable<ChatEvent>): ChatResponse {
  const collector = new ChatCollector('anthropic-messages');
  for (const event of events) collector.push(event);
  return collector.finish();
}

function written(events: readonly ChatEvent[], onLoss?: (path: string) => void): readonly JsonObject[] {
  const encoder = stream.encoder(client, { framing: 'sse' }, onLoss);
  const text = events.map((event) => encoder.push(event)).join('');
  return createSseParser().push(Buffer.from(text)).map(({ event, data }) => {
    const object = parseJsonObject(data);
    assert.equal(object?.['type'], event);
    return object ?? {};
  });
}

const start = { type: 'message_start', message: { id: 'msg_1', model: 'claude', usage: { input_tokens: 10, output_tokens: 1 } } };
const end = [{ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } }, { type: 'message_stop' }];
const block = (index: number, contentBlock: JsonObject, ...deltas: readonly JsonObject[]): readonly JsonObject[] => [
  { type: 'content_block_start', index, content_block: contentBlock },
  ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
  { type: 'content_block_stop', index },
];

// ---- reading streams ----------------------------------------------------------------------------

test('thinking, its signature, text with citations and a call without arguments', () => {
  const citation = { type: 'char_location', cited_text: 'c', document_index: 0, start_char_index: 0, end_char_index: 1 };
  const events = decoded([
    start,
    { type: 'ping' },
    ...block(0, { type: 'thinking', thinking: '', signature: '' }, { type: 'thinking_delta', thinking: 'Hm.' }, { type: 'signature_delta', signature: 'si' }, { type: 'signature_delta', signature: 'g' }),
    ...block(1, { type: 'text', text: '', citations: [] }, { type: 'text_delta', text: 'So.' }, { type: 'citations_delta', citation }),
    ...block(2, { type: 'tool_use', id: 'toolu_1', name: 'look_up', input: {}, caller: { type: 'direct' } }, { type: 'input_json_delta', partial_json: '' }),
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
  const result = { type: 'web_search_tool_result', tool_use_id: 's', content: [{ type: 'web_search_result', url: 'https://a.test' }] };
  const frames = [
    start,
    ...block(0, { type: 'server_tool_use', id: 's', name: 'web_search', input: {} }, { type: 'input_json_delta', partial_json: '{"query":' }, { type: 'input_json_delta', partial_json: '"q"}' }),
    ...block(1, result),
    ...block(2, { type: 'compaction', content: null }, { type: 'compaction_delta', content: 'Sum' }, { type: 'compaction_delta', content: 'mary' }),
    ...end,
  ];
  const events = decoded(frames);
  const values = collected(events).choices[0]?.parts.map((part) => (part.kind === 'native' ? part.value : undefined));
  assert.deepEqual(values, [
    { type: 'server_tool_use', id: 's', name: 'web_search', input: { query: 'q' } },
    result,
    { type: 'compaction', content: 'Summary' },
  ]);
  const again = collected(decoded(written(events)));
  assert.deepEqual(again.choices, collected(events).choices);
});

test('a second message_start is ignored between blocks and an error within one', () => {
  const twice = decoded([start, start, ...block(0, { type: 'text', text: '' }, { type: 'text_delta', text: 'Hi' }), ...end]);
  assert.equal(twice.filter(({ kind }) => kind === 'start').length, 1);
  assert.equal(twice.at(-1)?.kind, 'finished');
  const opened = block(0, { type: 'text', text: '' }, { type: 'text_delta', text: 'Hi' }).slice(0, 2);
  const spliced = decoded([start, ...opened, start, ...end]);
  const last = spliced.at(-1);
  assert.ok(last?.kind === 'error' && last.error.code === 'upstream_invalid');
});

test('errors: inside the stream, in its place, and a cut', () => {
  const overloaded = decoded([start, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }, ...end]);
  const last = overloaded.at(-1);
  assert.ok(last?.kind === 'error' && last.error.upstream?.kind === 'overloaded');
  const cut = decoded([start, ...block(0, { type: 'text', text: 'Hi' }), end[0] ?? {}]).at(-1);
  assert.ok(cut?.kind === 'error' && cut.error.code === 'upstream_cut');
  const garbled = stream.decoder({}).push({ data: '{"type":' }).at(-1);
  assert.ok(garbled?.kind === 'error' && garbled.error.code === 'upstream_invalid');
});

test('events without a start, without an event name, and arguments that come with the block', () => {
  const decoder = stream.decoder({});
  const events = [...block(0, { type: 'tool_use', id: 'a', name: 'b', input: { x: 1 } }), ...end].flatMap((data) => [...decoder.push({ data: `${JSON.stringify(data)}   ` })]);
  const { choices } = collected([...events, ...decoder.end()]);
  assert.deepEqual(choices[0]?.parts, [{ kind: 'tool-call', id: 'a', name: 'b', input: '{"x":1}' }]);
});

test('a structured answer through the forced tool streams as text', () => {
  const frames = [
    start,
    ...block(0, { type: 'tool_use', id: 'a', name: 'json_answer', input: {} }, { type: 'input_json_delta', partial_json: '{"a":' }, { type: 'input_json_delta', partial_json: '1}' }),
    { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 5 } },
    { type: 'message_stop' },
  ];
  const { choices } = collected(decoded(frames, { structuredOutput: 'tool' }));
  assert.deepEqual(choices[0], { index: 0, parts: [{ kind: 'text', text: '{"a":1}' }], finish: { reason: 'stop', raw: 'end_turn' } });
  assert.equal(collected(decoded(frames)).choices[0]?.parts[0]?.kind, 'tool-call');
});

// ---- writing streams ----------------------------------------------------------------------------

test('the strict order of events, contiguous indexes, usage and bill in message_delta', () => {
  const parts: readonly Part[] = [
    { kind: 'reasoning', form: 'redacted', text: '', state: { issuer: 'openai-responses', value: 'enc', form: 'encrypted_content' } },
    { kind: 'text', text: '' },
    { kind: 'tool-call', id: 'c1', name: 'look_up', input: '', state: { issuer: 'gemini-generate', value: 'ts', form: 'thoughtSignature' } },
  ];
  const events: readonly ChatEvent[] = [
    { kind: 'start', id: 'resp_1', model: 'm', dialect: 'openai-responses' },
    ...parts.flatMap((part, index): readonly ChatEvent[] => [
      { kind: 'part-start', index, choice: 0, part },
      { kind: 'part-delta', index, delta: part.kind === 'tool-call' ? '{"a":1}' : part.kind === 'text' ? 'Hi' : '' },
      { kind: 'part-end', index },
    ]),
    { kind: 'end', choice: 0, finish: { reason: 'tool-calls', raw: 'completed' } },
    { kind: 'usage', usage: { inputTokens: 7, cacheReadTokens: 3, outputTokens: 2, reasoningTokens: 4 }, bill },
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
  const frames = written([{ kind: 'start', id: 'a', model: 'm' }, { kind: 'error', error: gatewayError('upstream_cut', 'The upstream went away.') }]);
  assert.deepEqual(frames.at(-1), {
    type: 'error',
    error: { type: 'api_error', message: 'The upstream went away.', details: { error_code: 'upstream_cut' } },
  });
});

// ---- whole answers ------------------------------------------------------------------------------

test('usage: totals win over details, hostile numbers are nothing, compaction is added', () => {
  const counts = decodeUsage({
    input_tokens: 6,
    cache_creation_input_tokens: 3337,
    cache_read_input_tokens: 6289,
    cache_creation: { ephemeral_5m_input_tokens: 3068, ephemeral_1h_input_tokens: 100 },
    output_tokens: 198,
    output_tokens_details: { thinking_tokens: 300 },
    server_tool_use: { web_search_requests: 2 },
  });
  assert.deepEqual(
    [counts.inputTokens, counts.cacheWriteTokens, counts.cacheWriteLongTokens, counts.outputTokens, counts.reasoningTokens, counts.webSearches],
    [6, 3237, 100, 0, 198, 2],
  );
  const hostile = decodeUsage({ input_tokens: -1, output_tokens: 2 ** 63, cache_read_input_tokens: '5', cache_creation_input_tokens: 1.5 });
  assert.deepEqual([hostile.inputTokens, hostile.outputTokens, hostile.cacheReadTokens, hostile.cacheWriteTokens], [undefined, undefined, undefined, undefined]);
  const compacted = decodeUsage({ input_tokens: 10, output_tokens: 2, iterations: [{ type: 'compaction', input_tokens: 100, output_tokens: 20 }, { type: 'message', input_tokens: 10, output_tokens: 2 }] });
  assert.deepEqual([compacted.inputTokens, compacted.outputTokens], [110, 22]);
});

test('an answer of another dialect: words, state and arguments', () => {
  const { value, losses } = response.encode(
    {
      dialect: 'openai-chat',
      id: 'chatcmpl-1',
      model: 'gpt',
      choices: [
        {
          index: 0,
          parts: [
            { kind: 'reasoning', form: 'full', text: 'Hm.' },
            { kind: 'refusal', text: 'No.' },
            { kind: 'text', text: 'x', citations: [{ url: 'https://a.test', title: 'A' }] },
            { kind: 'tool-call', id: 'c1', name: 'f', input: 'not json' },
            { kind: 'media', media: 'audio', source: { kind: 'data', data: 'AA' }, transcript: 'Said aloud.' },
          ],
          finish: { reason: 'content-filter', raw: 'content_filter' },
        },
      ],
      extensions: { system_fingerprint: 'fp' },
      bill,
    },
    client,
  );
  assert.equal(value['id'], 'msg_chatcmpl-1');
  assert.equal(value['stop_reason'], 'refusal');
  assert.deepEqual(value['content'], [
    { type: 'thinking', thinking: 'Hm.', signature: '' },
    { type: 'text', text: 'No.' },
    { type: 'text', text: 'x', citations: [{ type: 'web_search_result_location', url: 'https://a.test', title: 'A', cited_text: '', encrypted_index: '' }] },
    { type: 'tool_use', id: 'c1', name: 'f', input: { input: 'not json' } },
    { type: 'text', text: 'Said aloud.' },
  ]);
  assert.deepEqual(losses.map(({ path }) => path), ['choices[0].parts[3].input', 'choices[0].parts[4]', 'system_fingerprint']);
  assert.deepEqual(asObject(value['usage'])?.['receipt_id'], 'rcp_1');
});

test('stop reasons keep their own word and reach every other dialect as a neutral one', () => {
  const reasonOf = (raw: string | null): unknown => response.decode({ type: 'message', content: [], stop_reason: raw }, {}).choices[0]?.finish.reason;
  const words = ['end_turn', 'stop_sequence', 'max_tokens', 'model_context_window_exceeded', 'tool_use', 'pause_turn', 'refusal', 'toString', null];
  assert.deepEqual(words.map(reasonOf), ['stop', 'stop', 'length', 'length', 'tool-calls', 'pause', 'refusal', 'other', 'other']);
});

test('what is no answer fails, errors inside a 200 keep their kind', () => {
  const failure = (wire: JsonObject): GatewayFailure => {
    try {
      response.decode(wire, {});
    } catch (caught) {
      if (caught instanceof GatewayFailure) return caught;
    }
    throw new Error('no failure');
  };
  assert.equal(failure({}).error.code, 'upstream_invalid');
  assert.equal(failure({ type: 'error', error: { type: 'overloaded_error', message: 'x' } }).error.upstream?.kind, 'overloaded');
});

// ---- passing through ----------------------------------------------------------------------------

test('the tap measures text without parsing and sees other spellings too', () => {
  const tap = stream.tap(client, {});
  const spellings = [
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\\"\\u00e9\\n\\\\"}   }',
    '{ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "a\\"\\u00e9\\n\\\\" } }',
    '{"delta":{"text":"a\\"\\u00e9\\n\\\\","type":"text_delta"},"type":"content_block_delta"}',
  ];
  for (const data of spellings) {
    const { content, characters } = tap.inspect({ data });
    assert.deepEqual([content, characters], [true, 5], data);
  }
  assert.equal(tap.inspect({ data: '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}' }).content, false);
  assert.equal(tap.inspect({ data: '{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"abc"}}' }).content, false);
  assert.equal(tap.inspect(frame({ type: 'error', error: { type: 'api_error', message: 'x' } })).error?.code, 'upstream_failed');
});

test('the bill is spliced into the usage and nowhere else', () => {
  const body = '{ "usage2": {"usage":{}}, "text": "\\"usage\\":{", "usage" : { "input_tokens" : 1.0 } , "id":12345678901234567890 }';
  assert.equal(response.annotate(body, bill), body.replace('1.0 }', '1.0 ,"cost":0.000042,"receipt_id":"rcp_1"}'));
  assert.equal(response.annotate('{"usage":{}}', bill), '{"usage":{"cost":0.000042,"receipt_id":"rcp_1"}}');
  for (const other of ['', 'x', '[]', '{"usage":null}', '{"usage":{', '{"a":{"usage":{}}}']) assert.equal(response.annotate(other, bill), other);
});

test('errors and counts', () => {
  const missing = error.decode(404, '{"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}');
  assert.equal(missing.upstream?.status, 404);
  const { status, body } = error.encode(gatewayError('insufficient_balance', 'No money.'), 'req_9');
  assert.deepEqual([status, body['request_id'], asObject(body['error'])?.['type']], [402, 'req_9', 'billing_error']);
  assert.deepEqual(anthropicCountTokens.encode(5), { input_tokens: 5 });
  assert.equal(anthropicCountTokens.decode({ input_tokens: -5 }), undefined);
  assert.deepEqual(anthropicCountTokens.prepare?.({ model: 'm', max_tokens: 1, stream: true, messages: [] }), { model: 'm', messages: [] });
});
