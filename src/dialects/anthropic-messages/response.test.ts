import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gatewayError, GatewayFailure } from '#canonical';
import { asObject, textSize, type JsonObject } from '#std';
import { anthropicCountTokens, anthropicMessages } from './index.ts';
import { client, bill, frame } from './messages-rig.ts';
import { decodeUsage } from './usage.ts';

const { response, stream, error } = anthropicMessages;

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
    [
      counts.inputTokens,
      counts.cacheWriteTokens,
      counts.cacheWriteLongTokens,
      counts.outputTokens,
      counts.reasoningTokens,
      counts.webSearches,
    ],
    [6, 3237, 100, 0, 198, 2],
  );
  const hostile = decodeUsage({
    input_tokens: -1,
    output_tokens: 2 ** 63,
    cache_read_input_tokens: '5 or so',
    cache_creation_input_tokens: 1.5,
  });
  assert.deepEqual(
    [hostile.inputTokens, hostile.outputTokens, hostile.cacheReadTokens, hostile.cacheWriteTokens],
    [undefined, undefined, undefined, undefined],
  );
  const compacted = decodeUsage({
    input_tokens: 10,
    output_tokens: 2,
    iterations: [
      { type: 'compaction', input_tokens: 100, output_tokens: 20 },
      { type: 'message', input_tokens: 10, output_tokens: 2 },
    ],
  });
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
            {
              kind: 'media',
              media: 'audio',
              source: { kind: 'data', data: 'AA' },
              transcript: 'Said aloud.',
            },
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
    {
      type: 'text',
      text: 'x',
      citations: [
        {
          type: 'web_search_result_location',
          url: 'https://a.test',
          title: 'A',
          cited_text: '',
          encrypted_index: '',
        },
      ],
    },
    { type: 'tool_use', id: 'c1', name: 'f', input: { input: 'not json' } },
    { type: 'text', text: 'Said aloud.' },
  ]);
  assert.deepEqual(
    losses.map(({ path }) => path),
    ['choices[0].parts[3].input', 'choices[0].parts[4]', 'system_fingerprint'],
  );
  assert.deepEqual(asObject(value['usage'])?.['receipt_id'], 'rcp_1');
});

test('stop reasons keep their own word and reach every other dialect as a neutral one', () => {
  const reasonOf = (raw: string | null): unknown =>
    response.decode({ type: 'message', content: [], stop_reason: raw }, {}).choices[0]?.finish
      .reason;
  const words = [
    'end_turn',
    'stop_sequence',
    'max_tokens',
    'model_context_window_exceeded',
    'tool_use',
    'pause_turn',
    'refusal',
    'toString',
    null,
  ];
  assert.deepEqual(words.map(reasonOf), [
    'stop',
    'stop',
    'length',
    'length',
    'tool-calls',
    'pause',
    'refusal',
    'other',
    'other',
  ]);
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
  assert.equal(
    failure({ type: 'error', error: { type: 'overloaded_error', message: 'x' } }).error.upstream
      ?.kind,
    'overloaded',
  );
});

test('the tap measures text without parsing and sees other spellings too', () => {
  const tap = stream.tap(client, {});
  const spellings = [
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\\"\\u00e9\\n\\\\"}   }',
    '{ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "a\\"\\u00e9\\n\\\\" } }',
    '{"delta":{"text":"a\\"\\u00e9\\n\\\\","type":"text_delta"},"type":"content_block_delta"}',
  ];
  for (const data of spellings) {
    const { content, generatedSize } = tap.inspect({ data });
    assert.deepEqual([content, generatedSize], [true, textSize('a"é\n\\')], data);
  }
  assert.equal(
    tap.inspect({
      data: '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}',
    }).content,
    false,
  );
  assert.equal(
    tap.inspect({
      data: '{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"abc"}}',
    }).content,
    false,
  );
  assert.equal(
    tap.inspect(frame({ type: 'error', error: { type: 'api_error', message: 'x' } })).error?.code,
    'upstream_failed',
  );
});

test('the bill is spliced into the usage and nowhere else', () => {
  const body =
    '{ "usage2": {"usage":{}}, "text": "\\"usage\\":{", "usage" : { "input_tokens" : 1.0 } , "id":12345678901234567890 }';
  assert.equal(
    response.annotate(body, bill),
    body.replace('1.0 }', '1.0 ,"cost":0.000042,"receipt_id":"rcp_1"}'),
  );
  assert.equal(
    response.annotate('{"usage":{}}', bill),
    '{"usage":{"cost":0.000042,"receipt_id":"rcp_1"}}',
  );
  for (const other of ['', 'x', '[]', '{"usage":null}', '{"usage":{', '{"a":{"usage":{}}}'])
    assert.equal(response.annotate(other, bill), other);
});

test('errors and counts', () => {
  const missing = error.decode(
    404,
    '{"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}',
  );
  assert.equal(missing.upstream?.status, 404);
  const { status, body } = error.encode(gatewayError('insufficient_balance', 'No money.'), 'req_9');
  assert.deepEqual(
    [status, body['request_id'], asObject(body['error'])?.['type']],
    [402, 'req_9', 'billing_error'],
  );
  assert.deepEqual(anthropicCountTokens.encode(5), { input_tokens: 5 });
  assert.equal(anthropicCountTokens.decode({ input_tokens: -5 }), undefined);
  assert.deepEqual(
    anthropicCountTokens.prepare({ model: 'm', max_tokens: 1, stream: true, messages: [] }, 'n'),
    { model: 'n', messages: [] },
  );
});
