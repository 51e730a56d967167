import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatCollector,
  unwrapState,
  wrapState,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type Part,
} from '#canonical';
import { createSseParser, parseJsonObject, type JsonObject, type NanoUsd } from '#std';
import { openaiChat } from './index.ts';
import { emptyRequest as request } from '../../../test/support/requests.ts';

type Chunk = { readonly [field: string]: unknown };

function chunk(delta: Chunk, rest: Chunk = {}, top: Chunk = {}): string {
  return JSON.stringify({
    id: 'c1',
    object: 'chat.completion.chunk',
    created: 7,
    model: 'm',
    choices: [{ index: 0, delta, finish_reason: null, ...rest }],
    ...top,
  });
}

function decode(frames: readonly string[], marked = true): readonly ChatEvent[] {
  const decoder = openaiChat.stream.decoder({});
  const events = frames.flatMap((data) => [...decoder.push({ data })]);
  if (marked) events.push(...decoder.push({ data: '[DONE]' }));
  return [...events, ...decoder.end()];
}

function collect(events: readonly ChatEvent[]): ChatResponse {
  const collector = new ChatCollector('openai-chat');
  for (const event of events) collector.push(event);
  return collector.finish();
}

function partsOf(frames: readonly string[]): readonly Part[] {
  return collect(decode(frames)).choices[0]?.parts ?? [];
}

function call(
  index: number | undefined,
  id: string | undefined,
  name: string | undefined,
  args: unknown,
): Chunk {
  return {
    ...(index === undefined ? {} : { index }),
    ...(id === undefined ? {} : { id }),
    function: { ...(name === undefined ? {} : { name }), arguments: args },
  };
}

const finish = (reason: string): string => chunk({}, { finish_reason: reason });

function encode(
  events: readonly ChatEvent[],
  asked: Partial<ChatRequest> = {},
): { readonly text: string; readonly chunks: readonly JsonObject[] } {
  const encoder = openaiChat.stream.encoder({ ...request, ...asked }, { framing: 'sse' });
  const text = events.map((event) => encoder.push(event)).join('');
  const frames = createSseParser().push(Buffer.from(text));
  return {
    text,
    chunks: frames.map((frame) => parseJsonObject(frame.data)).filter((wire) => wire !== undefined),
  };
}

test('calls whose arguments interleave come one after the other, whole', () => {
  const parts = partsOf([
    chunk({ tool_calls: [call(0, 'a', 'add', '{"x"')] }),
    chunk({ tool_calls: [call(1, 'b', 'sub', '{"y":')] }),
    chunk({ tool_calls: [call(0, undefined, undefined, ':"}1"}')] }),
    chunk({ tool_calls: [call(1, undefined, undefined, '2}')] }),
    finish('tool_calls'),
  ]);
  assert.deepEqual(
    parts.map((part) => part.kind === 'tool-call' && [part.id, part.name, part.input]),
    [
      ['a', 'add', '{"x":"}1"}'],
      ['b', 'sub', '{"y":2}'],
    ],
  );
});

test('a call that waits begins as soon as the one before it is whole', () => {
  const events = decode(
    [
      chunk({ tool_calls: [call(0, 'a', 'add', '{"x"'), call(1, 'b', 'sub', '{}')] }),
      chunk({ tool_calls: [call(0, undefined, undefined, ':1}')] }),
    ],
    false,
  );
  const starts = events.filter((event) => event.kind === 'part-start').length;
  assert.equal(starts, 2);
});

test('the last part stays open until [DONE], because sources may follow the finish reason', () => {
  const decoder = openaiChat.stream.decoder({});
  const kinds = [chunk({ content: 'x' }), finish('stop'), '[DONE]'].map((data) =>
    decoder.push({ data }).map((event) => event.kind),
  );
  assert.deepEqual(kinds, [
    ['start', 'part-start', 'part-delta'],
    [],
    ['part-end', 'end', 'finished'],
  ]);
});

test('calls without index, without ids, with a new id under an old index, with objects as arguments', () => {
  assert.deepEqual(
    callsOf([
      chunk({ tool_calls: [call(undefined, 'a', 'f', '{}'), call(undefined, 'b', 'g', '{}')] }),
    ]),
    [
      ['a', 'f', '{}'],
      ['b', 'g', '{}'],
    ],
  );
  assert.deepEqual(
    callsOf([
      chunk({ tool_calls: [call(0, 'a', 'f', '{"i":1}')] }),
      chunk({ tool_calls: [call(0, 'b', 'g', '{"i":2}')] }),
    ]),
    [
      ['a', 'f', '{"i":1}'],
      ['b', 'g', '{"i":2}'],
    ],
  );
  assert.deepEqual(callsOf([chunk({ tool_calls: [call(3, 'a', 'f', { deep: [1] })] })]), [
    ['a', 'f', '{"deep":[1]}'],
  ]);
  const open = [call(undefined, 'a', 'f', ''), call(undefined, 'b', 'g', '')];
  const pieces = (...texts: readonly string[]): string =>
    chunk({ tool_calls: texts.map((piece) => call(undefined, undefined, undefined, piece)) });
  assert.deepEqual(
    callsOf([chunk({ tool_calls: open }), pieces('{"i"', '{"j"'), pieces(':1}', ':2}')]),
    [
      ['a', 'f', '{"i":1}'],
      ['b', 'g', '{"j":2}'],
    ],
  );
  const [made] = callsOf([chunk({ tool_calls: [call(0, '', 'f', '')] })]);
  assert.match(String(made?.[0]), /^call_[a-z0-9]{9}$/);
  assert.equal(made?.[2], '{}', 'empty arguments are an empty object');
});

test('ids and names that every delta repeats are told once', () => {
  const pieces = ['{"a"', ':1', '}'].map((piece) =>
    chunk({ tool_calls: [call(0, 'a', 'f', piece)] }),
  );
  assert.deepEqual(callsOf(pieces), [['a', 'f', '{"a":1}']]);
  assert.deepEqual(
    callsOf([
      chunk({ tool_calls: [call(undefined, 'a', 'f', '{"a"')] }),
      chunk({ tool_calls: [call(undefined, undefined, undefined, ':1}')] }),
    ]),
    [['a', 'f', '{"a":1}']],
  );
});

function callsOf(frames: readonly string[]): (readonly string[])[] {
  return partsOf([...frames, finish('stop')]).flatMap((part) =>
    part.kind === 'tool-call' ? [[part.id, part.name, part.input]] : [],
  );
}

test('a stop with tool calls means that they are to be run', () => {
  for (const [raw, calling, reason] of [
    ['stop', true, 'tool-calls'],
    ['eos', false, 'stop'],
    ['model_length', false, 'length'],
    ['weird', false, 'other'],
    ['insufficient_system_resource', false, 'error'],
  ] as const) {
    const delta = calling ? { tool_calls: [call(0, 'a', 'f', '{}')] } : { content: 'x' };
    assert.equal(
      collect(decode([chunk(delta), finish(raw)])).choices[0]?.finish.reason,
      reason,
      raw,
    );
  }
});

test('a stream that closes before a finish reason is cut; with one it is complete without [DONE]', () => {
  const cut = decode([chunk({ content: 'half' })], false).at(-1);
  assert.equal(cut?.kind === 'error' && cut.error.code, 'upstream_cut');
  assert.equal(decode([chunk({ content: 'all' }), finish('stop')], false).at(-1)?.kind, 'finished');
  const empty = decode([], false);
  assert.deepEqual(
    empty.map((event) => event.kind),
    ['error'],
  );
  const emptyFinish = decode([chunk({ content: 'x' }), finish('')], true);
  assert.equal(emptyFinish.at(-1)?.kind, 'finished', 'an empty finish reason and [DONE] is an end');
});

test('an error in the stream is an error, after the usage that was told', () => {
  const events = decode([
    chunk(
      { content: 'x' },
      {},
      { usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 } },
    ),
    JSON.stringify({ error: { message: 'Provider overloaded', code: 503 } }),
  ]);
  assert.deepEqual(events.map((event) => event.kind).slice(-2), ['usage', 'error']);
  const last = events.at(-1);
  assert.equal(last?.kind === 'error' && last.error.code, 'overloaded');
  for (const data of [
    '{"choices":[{"index":0,"delta":{},"error":{"code":429,"message":"slow"}}]}',
    '{"object":"error","message":"bad","type":"BadRequestError","code":400}',
    '{"x_groq":{"error":"over"},"choices":[]}',
    'nonsense',
  ]) {
    assert.equal(decode([chunk({ content: 'x' }), data], false).at(-1)?.kind, 'error', data);
  }
});

test('usage is found wherever a vendor puts it, and the last one counts', () => {
  const usage = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 15,
    prompt_tokens_details: { cached_tokens: 4 },
  };
  const places: readonly string[] = [
    JSON.stringify({ choices: [], usage }),
    chunk({}, { finish_reason: 'stop' }, { usage }),
    chunk({}, { finish_reason: 'stop' }, { x_groq: { usage } }),
    chunk({}, { finish_reason: 'stop', usage }),
    chunk(
      {},
      { finish_reason: 'stop' },
      { usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, cached_tokens: 4 } },
    ),
  ];
  for (const place of places) {
    const early = chunk(
      { content: 'x' },
      {},
      { usage: { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 } },
    );
    const decoded = collect(decode([early, finish('stop'), place])).usage;
    assert.deepEqual(
      [decoded?.inputTokens, decoded?.cacheReadTokens, decoded?.outputTokens],
      [6, 4, 5],
      place,
    );
  }
});

test('thinking is read in every spelling, once', () => {
  const detail = (text: string): Chunk => ({ type: 'reasoning.text', text, index: 0, format: 'f' });
  for (const deltas of [
    [{ reasoning_content: 'ab' }],
    [{ reasoning: 'a' }, { reasoning: 'b' }],
    [
      { reasoning: 'a', reasoning_details: [detail('a')] },
      { reasoning: 'b', reasoning_details: [detail('b')] },
    ],
    [{ content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'ab' }] }] }],
  ]) {
    const parts = partsOf([
      ...deltas.map((delta) => chunk(delta)),
      chunk({ content: 'answer' }),
      finish('stop'),
    ]);
    assert.deepEqual(
      parts.map((part) => [part.kind, 'text' in part && part.text]),
      [
        ['reasoning', 'ab'],
        ['text', 'answer'],
      ],
    );
  }
});

test('a signature that comes after the thinking belongs to it', () => {
  const parts = partsOf([
    chunk({ reasoning_details: [{ type: 'reasoning.text', text: 'why', index: 0 }] }),
    chunk({ reasoning_details: [{ type: 'reasoning.text', signature: 's', index: 0 }] }),
    chunk({ content: 'x' }),
    finish('stop'),
  ]);
  assert.equal(parts[0]?.kind === 'reasoning' && parts[0].state?.value, 's');
  assert.equal(parts.length, 2);
});

test('answers of several choices interleave without mixing', () => {
  const of = (index: number, delta: Chunk, reason: string | null = null): string =>
    JSON.stringify({ id: 'c', model: 'm', choices: [{ index, delta, finish_reason: reason }] });
  const events = decode([
    of(0, { content: 'a' }),
    of(1, { content: 'x' }),
    of(0, { content: 'b' }),
    of(0, {}, 'stop'),
    of(1, { content: 'y' }),
    of(1, {}, 'length'),
  ]);
  const response = collect(events);
  assert.deepEqual(
    response.choices.map((choice) => [
      choice.parts[0]?.kind === 'text' && choice.parts[0].text,
      choice.finish.reason,
    ]),
    [
      ['ab', 'stop'],
      ['xy', 'length'],
    ],
  );
});

test('a function_call of the time before tools is a tool call, and is told so to those who speak of functions', () => {
  const events = decode([
    chunk({ function_call: { name: 'f', arguments: '' } }),
    chunk({ function_call: { arguments: '{"a":1}' } }),
    finish('function_call'),
  ]);
  assert.deepEqual(
    collect(events).choices[0]?.parts.map(
      (part) => part.kind === 'tool-call' && [part.name, part.input],
    ),
    [['f', '{"a":1}']],
  );
  const { chunks } = encode(events, { legacyFunctions: true });
  const text = JSON.stringify(chunks);
  assert.match(text, /"function_call":\{"name":"f"/);
  assert.match(text, /"finish_reason":"function_call"/);
  assert.doesNotMatch(text, /tool_calls/);
});

test('generated audio and images are parts', () => {
  const parts = partsOf([
    chunk({ audio: { id: 'au', data: 'QUJD' } }),
    chunk({ audio: { data: 'REVG', transcript: 'hel' } }),
    chunk({ audio: { transcript: 'lo', expires_at: 9 } }),
    chunk({
      images: [
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AAA' } },
        { type: 'image_url', image_url: { url: 'https://x/y.png' } },
      ],
    }),
    finish('stop'),
  ]);
  assert.deepEqual(
    parts.map((part) => part.kind === 'media' && [part.media, part.source, part.transcript]),
    [
      ['audio', { kind: 'data', data: 'QUJDREVG' }, 'hello'],
      ['image', { kind: 'data', data: 'AAA' }, undefined],
      ['image', { kind: 'url', url: 'https://x/y.png' }, undefined],
    ],
  );
});

test('a client reads role, deltas, finish, usage with the bill, and [DONE], in that order', () => {
  const events = decode([
    chunk({ role: 'assistant', content: '' }),
    chunk({ content: 'Hi' }),
    finish('stop'),
    JSON.stringify({
      choices: [],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    }),
  ]).map((event): ChatEvent =>
    event.kind === 'usage'
      ? { ...event, bill: { costNanoUsd: 1_500_000 as NanoUsd, receiptId: 'r-1' } }
      : event,
  );
  const { text, chunks } = encode(events);
  assert.deepEqual(
    chunks.map((wire) => (wire['choices'] as Chunk[])[0]?.['delta']),
    [{ role: 'assistant', content: '' }, { content: 'Hi' }, {}, undefined],
  );
  assert.deepEqual(
    chunks.map((wire) => wire['usage']),
    [
      null,
      null,
      null,
      { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2, cost: 0.0015, receipt_id: 'r-1' },
    ],
  );
  assert.ok(text.endsWith('data: [DONE]\n\n'));
  const { chunks: unasked } = encode(events, { streamUsage: false });
  assert.equal(unasked.length, 3);
  assert.ok(unasked.every((wire) => !('usage' in wire)));
});

test('signed thinking of another dialect reaches the client wrapped, with its text, and is known again', () => {
  const state = { issuer: 'anthropic-messages', value: 'sig', form: 'signature' } as const;
  const events: readonly ChatEvent[] = [
    { kind: 'start', id: 'x', model: 'm', dialect: 'anthropic-messages' },
    {
      kind: 'part-start',
      index: 0,
      choice: 0,
      part: { kind: 'reasoning', text: '', form: 'full' },
    },
    { kind: 'part-delta', index: 0, delta: 'because' },
    { kind: 'part-end', index: 0, final: { state } },
    {
      kind: 'part-start',
      index: 1,
      choice: 0,
      part: { kind: 'tool-call', id: 't', name: 'f', input: '' },
    },
    { kind: 'part-delta', index: 1, delta: '{}' },
    {
      kind: 'part-end',
      index: 1,
      final: { state: { issuer: 'gemini-generate', value: 'ts', form: 'thought_signature' } },
    },
    { kind: 'end', choice: 0, finish: { reason: 'tool-calls', raw: 'tool_use' } },
    { kind: 'finished' },
  ];
  const { text, chunks } = encode(events);
  assert.match(JSON.stringify(chunks), /"native_finish_reason":"tool_use"/);
  const decoder = openaiChat.stream.decoder({});
  const again = collect([
    ...createSseParser()
      .push(Buffer.from(text))
      .flatMap((frame) => [...decoder.push(frame)]),
    ...decoder.end(),
  ]);
  const [thinking, tool] = again.choices[0]?.parts ?? [];
  assert.deepEqual(thinking?.kind === 'reasoning' && [thinking.text, thinking.state], [
    'because',
    { ...state, itemId: undefined, toolCallId: undefined },
  ]);
  assert.equal(tool?.state?.issuer, 'gemini-generate');
  assert.ok(text.includes(wrapState(state)) && unwrapState('x') === undefined);
});

test('losses of a stream are told, not thrown', () => {
  const lost: string[] = [];
  const encoder = openaiChat.stream.encoder(request, { framing: 'sse' }, (path, reason) =>
    lost.push(`${path}: ${reason}`),
  );
  encoder.push({ kind: 'start', id: 'x', model: 'm', dialect: 'anthropic-messages' });
  encoder.push({
    kind: 'part-start',
    index: 0,
    choice: 0,
    part: { kind: 'native', dialect: 'anthropic-messages', value: { type: 'server_tool_use' } },
  });
  encoder.push({ kind: 'part-end', index: 0 });
  assert.equal(lost.length, 1);
});
