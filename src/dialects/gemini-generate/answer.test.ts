import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatCollector,
  explode,
  GatewayFailure,
  gatewayError,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type Part,
} from '#canonical';
import {
  createJsonArrayParser,
  createSseParser,
  nanoUsd,
  parseJsonObject,
  type JsonObject,
} from '#std';
import { emptyRequest } from '../../../test/support/requests.ts';
import { geminiCountTokens, geminiGenerate } from './index.ts';

const { response, stream, error } = geminiGenerate;
const request: ChatRequest = { ...emptyRequest, dialect: 'gemini-generate' };

function answer(parts: readonly JsonObject[], candidate: JsonObject = {}): JsonObject {
  return {
    candidates: [
      { content: { role: 'model', parts }, finishReason: 'STOP', index: 0, ...candidate },
    ],
    modelVersion: 'm',
    responseId: 'r-1',
  };
}

function decodeAll(chunks: readonly (JsonObject | string)[]): readonly ChatEvent[] {
  const decoder = stream.decoder({});
  return [
    ...chunks.flatMap((chunk) =>
      decoder.push({ data: typeof chunk === 'string' ? chunk : JSON.stringify(chunk) }),
    ),
    ...decoder.end(),
  ];
}

function foreignAnswer(
  parts: readonly Part[],
  finish = { reason: 'stop' as const, raw: 'end_turn' },
): ChatResponse {
  return {
    dialect: 'anthropic-messages',
    id: 'msg_1',
    model: 'm',
    choices: [{ index: 0, parts, finish }],
    extensions: {},
  };
}

test('STOP with a function call is tool-calls, and ids come from the place', () => {
  const decoded = response.decode(
    answer([
      { functionCall: { name: 'f' } },
      { functionCall: { name: 'g', args: { a: 1.5 }, id: 'x' } },
    ]),
    {},
  );
  assert.deepEqual(decoded.choices[0]?.parts, [
    { kind: 'tool-call', id: 'call_gmr-1_0', name: 'f', input: '{}' },
    { kind: 'tool-call', id: 'x', name: 'g', input: '{"a":1.5}' },
  ]);
  assert.deepEqual(decoded.choices[0].finish, { reason: 'tool-calls', raw: 'STOP' });
});

test('a blocked prompt is an empty filtered answer, and is written so again', () => {
  const wire = {
    promptFeedback: { blockReason: 'SAFETY' },
    usageMetadata: { promptTokenCount: 4 },
    modelVersion: 'm',
    responseId: 'r',
  };
  const decoded = response.decode(wire, {});
  assert.deepEqual(decoded.choices, [
    { index: 0, parts: [], finish: { reason: 'content-filter', raw: 'SAFETY' } },
  ]);
  assert.deepEqual(response.encode(decoded, request).value, wire);
  const events = decodeAll([wire]);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['start', 'end', 'usage', 'finished'],
  );
});

test('what is no answer, an error or empty is a failure of its own kind', () => {
  const code = (wire: JsonObject): string => {
    try {
      response.decode(wire, {});
    } catch (failure) {
      if (failure instanceof GatewayFailure) return failure.error.code;
    }
    return '';
  };
  assert.equal(code({}), 'upstream_invalid');
  assert.equal(code({ responseId: 'r', usageMetadata: {} }), 'upstream_empty');
  assert.equal(
    code({ error: { code: 503, message: 'busy', status: 'UNAVAILABLE' } }),
    'overloaded',
  );
});

test('usage is made disjoint and hostile numbers are not believed', () => {
  const usageMetadata = {
    promptTokenCount: 100,
    cachedContentTokenCount: 30,
    toolUsePromptTokenCount: 5,
    candidatesTokenCount: 20,
    thoughtsTokenCount: 7,
    promptTokensDetails: [
      { modality: 'TEXT', tokenCount: 60 },
      { modality: 4, tokenCount: 40 },
    ],
    cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 10 }],
    candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 12 }],
  };
  const { raw: _, ...usage } = response.usage({ usageMetadata }, {}) ?? {};
  assert.deepEqual(JSON.parse(JSON.stringify(usage)), {
    inputTokens: 45,
    cacheReadTokens: 30,
    outputTokens: 8,
    reasoningTokens: 7,
    inputAudioTokens: 30,
    outputImageTokens: 12,
    rawDialect: 'gemini-generate',
  });
  const hostile = response.usage(
    {
      usageMetadata: {
        promptTokenCount: 10,
        cachedContentTokenCount: 99,
        candidatesTokenCount: -4,
        thoughtsTokenCount: 2 ** 63,
      },
    },
    {},
  );
  assert.deepEqual(
    [
      hostile?.inputTokens,
      hostile?.cacheReadTokens,
      hostile?.outputTokens,
      hostile?.reasoningTokens,
    ],
    [0, 10, undefined, undefined],
  );
});

test('grounding counts bytes, citations count UTF-16', () => {
  const groundingMetadata = {
    groundingChunks: [{ web: { uri: 'https://x.test', title: 'x' } }],
    groundingSupports: [
      { segment: { startIndex: 7, endIndex: 11, text: '😀' }, groundingChunkIndices: [0] },
    ],
  };
  const decoded = response.decode(answer([{ text: 'ä – 😀!' }], { groundingMetadata }), {});
  const [part] = decoded.choices[0]?.parts ?? [];
  assert.deepEqual(part?.kind === 'text' && part.citations, [
    { url: 'https://x.test', title: 'x', start: 4, end: 6 },
  ]);
  const foreign = foreignAnswer([
    { kind: 'text', text: 'ä – 😀!', citations: [{ url: 'https://x.test', start: 4, end: 6 }] },
  ]);
  const written = JSON.stringify(response.encode(foreign, request).value);
  assert.ok(written.includes('{"startIndex":7,"endIndex":11,"text":"😀"}'), written);
});

test('pieces of a call that are streamed are joined; a signature stands on a part of its own', () => {
  const events = decodeAll([
    { candidates: [{ content: { parts: [{ text: 'Hel' }] } }], responseId: 'r' },
    { candidates: [{ content: { parts: [{ text: 'lo' }, { text: '', thoughtSignature: 's' }] } }] },
    { candidates: [{ content: { parts: [{ functionCall: { name: 'f', willContinue: true } }] } }] },
    {
      candidates: [
        {
          content: {
            parts: [
              {
                functionCall: {
                  partialArgs: [{ jsonPath: '$.a[0].b', stringValue: 'x', willContinue: true }],
                  willContinue: true,
                },
              },
            ],
          },
        },
      ],
    },
    {
      candidates: [
        {
          content: {
            parts: [
              {
                functionCall: {
                  partialArgs: [
                    { jsonPath: '$.a[0].b', stringValue: 'y' },
                    { jsonPath: "$['__proto__']", numberValue: 1 },
                  ],
                  willContinue: true,
                },
              },
            ],
          },
        },
      ],
    },
    { candidates: [{ content: { parts: [{ functionCall: {} }] }, finishReason: 'STOP' }] },
  ]);
  const collector = new ChatCollector('gemini-generate');
  for (const event of events) collector.push(event);
  const [choice] = collector.finish().choices;
  assert.deepEqual(
    choice?.parts.map((part) =>
      'text' in part
        ? [part.text, part.state?.value]
        : part.kind === 'tool-call'
          ? part.input
          : part.kind,
    ),
    [['Hello', undefined], ['', 's'], '{"a":[{"b":"xy"}],"__proto__":1}'],
  );
});

test('arguments in pieces are bounded', () => {
  const piece = { jsonPath: '$.a', stringValue: 'x'.repeat(3_000_000) };
  const partialArgs = [piece, piece, piece, piece, piece, piece];
  const functionCall = { name: 'f', partialArgs, willContinue: true };
  const events = decodeAll([{ candidates: [{ content: { parts: [{ functionCall }] } }] }]);
  const last = events.at(-1);
  assert.equal(last?.kind === 'error' && last.error.code, 'upstream_invalid');
});

test('a stream that breaks off, is nonsense or holds an error ends in an error', () => {
  const start = { candidates: [{ content: { parts: [{ text: 'a' }] } }] };
  const last = (chunks: readonly (JsonObject | string)[]): string => {
    const event = decodeAll(chunks).at(-1);
    return event?.kind === 'error' ? event.error.code : '';
  };
  assert.equal(last([start]), 'upstream_cut');
  assert.equal(last([]), 'upstream_empty');
  assert.equal(last([start, '{nonsense']), 'upstream_invalid');
  assert.equal(
    last([start, '[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]']),
    'capacity_exhausted',
  );
});

test('both framings are well-formed, also with heartbeats and after an error', () => {
  const events: readonly ChatEvent[] = [...explode(foreignAnswer([{ kind: 'text', text: 'a' }]))];
  const failed: readonly ChatEvent[] = [
    ...events.slice(0, 3),
    { kind: 'error', error: gatewayError('upstream_cut', 'cut') },
  ];
  for (const list of [events, failed]) {
    for (const framing of ['sse', 'json-array'] as const) {
      const encoder = stream.encoder(request, { framing });
      const wire = list
        .map(
          (event) =>
            encoder.push(event) +
            (event.kind === 'error' || event.kind === 'finished'
              ? ''
              : stream.heartbeat({ framing })),
        )
        .join('');
      if (framing === 'json-array') assert.ok(Array.isArray(JSON.parse(wire)));
      const parser = framing === 'sse' ? createSseParser() : createJsonArrayParser();
      const frames = parser.push(Buffer.from(wire));
      assert.equal(frames.length, 2);
      assert.ok(frames.every(({ data }) => parseJsonObject(data) !== undefined));
    }
  }
});

test('foreign thinking reaches the client with its state wrapped, after its text', () => {
  const state = { issuer: 'anthropic-messages' as const, value: 'x', form: 'signature' };
  const encoder = stream.encoder(request, { framing: 'sse' });
  const events: readonly ChatEvent[] = [
    { kind: 'start', id: 'r', model: 'm', dialect: 'anthropic-messages' },
    {
      kind: 'part-start',
      index: 0,
      choice: 0,
      part: { kind: 'reasoning', text: '', form: 'full' },
    },
    { kind: 'part-delta', index: 0, delta: 'hm' },
    { kind: 'part-end', index: 0, final: { state } },
  ];
  const wire = events.map((event) => encoder.push(event)).join('');
  const frames = createSseParser().push(Buffer.from(wire));
  assert.equal(frames.length, 2);
  assert.ok(frames[1]?.data.includes('"thoughtSignature":"bWZzMS57'));
});

test('the bill stands in the usage of the last chunk and is spliced into passing text', () => {
  const bill = { costNanoUsd: nanoUsd(1_500_000), receiptId: 'r1' };
  const encoder = stream.encoder(request, { framing: 'sse' });
  const billed = {
    ...foreignAnswer([{ kind: 'text', text: 'a' }]),
    usage: { inputTokens: 3, outputTokens: 1 },
    bill,
  };
  const wire = [...explode(billed)].map((event) => encoder.push(event)).join('');
  assert.ok(
    wire.endsWith(
      '"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4,"cost":0.0015,"receiptId":"r1"}}\r\n\r\n',
    ),
    wire,
  );
  const body =
    '{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"usageMetadata":{}}}}]}}], "usageMetadata" : { "promptTokenCount":1.0}}';
  assert.equal(
    response.annotate(body, bill),
    body.replace('"promptTokenCount":1.0', '"promptTokenCount":1.0,"cost":0.0015,"receiptId":"r1"'),
  );
  assert.equal(response.annotate('{"a":1}', bill), '{"a":1}');
  const tap = stream.tap(request, {});
  assert.equal(
    tap.annotate({ data: '{"usageMetadata":{}}' }, bill),
    'data: {"usageMetadata":{"cost":0.0015,"receiptId":"r1"}}\n\n',
  );
  assert.equal(tap.annotate({ data: '{}' }, bill), undefined);
});

test('a limit of the minute is no exhausted quota; a limit of the day is', () => {
  const body = (quotaId: string): string =>
    JSON.stringify({
      error: {
        code: 429,
        status: 'RESOURCE_EXHAUSTED',
        message: 'You exceeded your current quota, please check your plan and billing details.',
        details: [{ quotaId }, { '@type': 'x/RetryInfo', retryDelay: '34.07s' }],
      },
    });
  assert.deepEqual(
    [
      error.decode(429, body('RequestsPerMinute')).upstream?.kind,
      error.decode(429, body('RequestsPerMinute')).retryAfterMs,
    ],
    ['rate-limited', 34_070],
  );
  assert.equal(error.decode(429, body('RequestsPerDay')).upstream?.kind, 'quota-exhausted');
  const badKey = JSON.stringify({
    error: {
      code: 400,
      message: 'API key not valid.',
      status: 'INVALID_ARGUMENT',
      details: [{ reason: 'API_KEY_INVALID' }],
    },
  });
  assert.equal(error.decode(400, badKey).status, 502);
});

test('errors are told in the form of google.rpc', () => {
  const { status, body } = error.encode(
    gatewayError('rate_limited', 'slow', { retryAfterMs: 1_500, path: 'contents' }),
    'req-1',
  );
  assert.equal(status, 429);
  assert.ok(JSON.stringify(body).includes('"retryDelay":"1.5s"'));
  assert.equal(JSON.stringify(body).includes('"status":"RESOURCE_EXHAUSTED"'), true);
});

test('tokens are counted in totalTokens', () => {
  assert.equal(geminiCountTokens.decode({ totalTokens: 7 }), 7);
  assert.deepEqual(geminiCountTokens.encode(7), { totalTokens: 7 });
});

test('the bill is spliced into the last element of a passing array without touching its framing', () => {
  const parser = createJsonArrayParser();
  const [first, last] = parser.push(
    Buffer.from('[{"candidates": []}\r\n,\r\n{"usageMetadata": {"promptTokenCount": 1}}\n]\n'),
  );
  const tap = stream.tap(request, {});
  const bill = { costNanoUsd: nanoUsd(5), receiptId: 'r1' };
  assert.ok(first && last);
  assert.equal(tap.annotate(first, bill), undefined);
  const billed = `[{}${tap.annotate(last, bill) ?? ''}${Buffer.from(parser.rest()).toString()}`;
  assert.deepEqual(JSON.parse(billed), [
    {},
    { usageMetadata: { cost: 5e-9, receiptId: 'r1', promptTokenCount: 1 } },
  ]);
});

test('a reason in every chunk ends nothing: the last one counts, and sources may follow it', () => {
  const url = 'https://example.org';
  const groundingMetadata = {
    groundingChunks: [{ web: { uri: url, title: 'e' } }],
    groundingSupports: [{ segment: { endIndex: 2, text: 'ab' }, groundingChunkIndices: [0] }],
  };
  const events = decodeAll([
    answer([{ text: 'a' }], { finishReason: 'FINISH_REASON_UNSPECIFIED' }),
    '',
    answer([{ text: 'b' }]),
    answer([{ text: '' }], { groundingMetadata, finishReason: '' }),
  ]);
  const collector = new ChatCollector('gemini-generate');
  for (const event of events) collector.push(event);
  const { choices } = collector.finish();
  assert.deepEqual(choices[0]?.parts, [
    { kind: 'text', text: 'ab', citations: [{ url, title: 'e', start: 0, end: 2 }] },
  ]);
  assert.deepEqual(choices[0].finish, { reason: 'stop', raw: 'STOP' });
});

test('sources of a text that ended before they came are told at the end', () => {
  const code = { executableCode: { language: 'PYTHON', code: '1' } };
  const groundingMetadata = {
    groundingChunks: [{ web: { uri: 'https://example.org' } }],
    groundingSupports: [{ segment: { endIndex: 1, text: 'a' }, groundingChunkIndices: [0] }],
  };
  const events = decodeAll([
    answer([{ text: 'a' }, code, { text: 'b' }], { finishReason: undefined }),
    answer([], { groundingMetadata }),
  ]);
  const told = events.flatMap((event) =>
    event.kind === 'part-end' && event.final?.citations ? [event.final.citations] : [],
  );
  assert.deepEqual(told, [[{ url: 'https://example.org' }]]);
});

test('a prompt that is refused after the answer began ends it', () => {
  const events = decodeAll([
    answer([{ text: 'a' }], { finishReason: undefined }),
    { promptFeedback: { blockReason: 'OTHER' } },
  ]);
  const end = events.find((event) => event.kind === 'end');
  assert.deepEqual(end?.finish, { reason: 'content-filter', raw: 'OTHER' });
});

test('an answer without a reason is written without one', () => {
  const wire = answer([{ text: 'a' }], { finishReason: undefined });
  const [candidate] = response.encode(response.decode(wire, {}), request).value['candidates'] as [
    JsonObject,
  ];
  assert.equal(candidate['finishReason'], undefined);
});

test('calls of answers without an id get ids that differ from turn to turn', () => {
  const idOf = (city: string): string => {
    const wire = answer([{ functionCall: { name: 'f', args: { city } } }]);
    const { choices } = response.decode({ ...wire, responseId: undefined }, {});
    const [part] = choices[0]?.parts ?? [];
    return part?.kind === 'tool-call' ? part.id : '';
  };
  assert.notEqual(idOf('Oslo'), idOf('Rome'));
  assert.equal(idOf('Oslo'), idOf('Oslo'));
});
