/** Streams of vendors that do not keep to the letter, and what the tap says of the same frames. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, type ChatEvent, type ChatRequest, type ChatResponse } from '#canonical';
import { createSseParser, nanoUsd, parseJsonObject, textSize, type JsonObject } from '#std';
import type { Frame, FrameFacts } from '../dialect.ts';
import { openaiResponses } from './index.ts';

const request: ChatRequest = openaiResponses.request.decode(
  { model: 'm', input: 'x', stream: true },
  {},
);
const usage = {
  input_tokens: 9,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 3,
  output_tokens_details: { reasoning_tokens: 1 },
  total_tokens: 12,
};
const completed = (output: readonly JsonObject[]): JsonObject => ({
  type: 'response.completed',
  response: { id: 'resp_1', model: 'm', status: 'completed', output, usage },
});
const created: JsonObject = {
  type: 'response.created',
  response: { id: 'resp_1', model: 'm', status: 'in_progress', output: [] },
};
const frame = (data: JsonObject): Frame => ({ data: JSON.stringify(data) });

function eventsOf(frames: readonly Frame[]): ChatEvent[] {
  const decoder = openaiResponses.stream.decoder({});
  return [...frames.flatMap((one) => decoder.push(one)), ...decoder.end()];
}

function collect(frames: readonly Frame[]): ChatResponse {
  const collector = new ChatCollector('openai-responses');
  for (const event of eventsOf(frames)) collector.push(event);
  return collector.finish();
}

function tapAll(frames: readonly Frame[]): FrameFacts[] {
  const tap = openaiResponses.stream.tap(request, {});
  return frames.map((one) => tap.inspect(one));
}

const call = (index: number, id: string, name: string): JsonObject => ({
  type: 'response.output_item.added',
  output_index: index,
  item: { type: 'function_call', id: `fc_${Math.abs(index)}`, call_id: id, name, arguments: '' },
});
const callDelta = (index: number, delta: string): JsonObject => ({
  type: 'response.function_call_arguments.delta',
  output_index: index,
  item_id: 'other',
  delta,
});
const callDone = (index: number, id: string, name: string, input: string): JsonObject => ({
  type: 'response.output_item.done',
  output_index: index,
  item: { type: 'function_call', id: 'rotated', call_id: id, name, arguments: input },
});

test('items that interleave come one after another, keyed by output_index though ids rotate', () => {
  const frames = [
    created,
    call(0, 'a', 'f'),
    call(1, 'b', 'g'),
    callDelta(1, '{"y"'),
    callDelta(0, '{"x":'),
    callDelta(1, ':2}'),
    callDelta(0, '1}'),
    callDone(1, 'b', 'g', '{"y":2}'),
    callDone(0, 'a', 'f', '{"x":1}'),
    completed([]),
  ].map(frame);
  const { choices, usage: counted } = collect(frames);
  assert.deepEqual(
    choices[0]?.parts.map((part) =>
      part.kind === 'tool-call' ? [part.id, part.name, part.input] : part.kind,
    ),
    [
      ['a', 'f', '{"x":1}'],
      ['b', 'g', '{"y":2}'],
    ],
  );
  assert.equal(choices[0]?.finish.reason, 'tool-calls');
  assert.deepEqual(
    [
      counted?.inputTokens,
      counted?.cacheReadTokens,
      counted?.outputTokens,
      counted?.reasoningTokens,
    ],
    [5, 4, 2, 1],
  );
});

test('a message without its intermediate events is taken from its end', () => {
  const item = {
    type: 'message',
    id: 'm',
    role: 'assistant',
    status: 'completed',
    content: [{ type: 'output_text', text: 'whole', annotations: [] }],
  };
  const late = [
    created,
    { type: 'response.output_item.done', output_index: 0, item },
    completed([item]),
  ].map(frame);
  assert.deepEqual(collect(late).choices[0]?.parts, [{ kind: 'text', text: 'whole' }]);
  const latest = [created, completed([item])].map(frame);
  assert.deepEqual(collect(latest).choices[0]?.parts, [{ kind: 'text', text: 'whole' }]);
  const facts = tapAll(latest);
  assert.deepEqual(
    facts.map((fact) => [fact.content, fact.closing, fact.generatedSize]),
    [
      [false, false, 0],
      [true, true, 5],
    ],
  );
});

test('deltas without an announcement are text; the missing rest is filled in', () => {
  const frames = [
    created,
    { type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: 'ab' },
    { type: 'response.output_text.done', output_index: 0, content_index: 0, text: 'abc' },
    completed([]),
  ].map(frame);
  assert.deepEqual(collect(frames).choices[0]?.parts, [{ kind: 'text', text: 'abc' }]);
});

test('the type may stand in the event line only, and [DONE] and noise are passed over', () => {
  const { type: _type, ...bare } = completed([]);
  const frames: Frame[] = [
    { event: 'response.created', data: JSON.stringify({ response: created['response'] ?? null }) },
    { data: 'not json' },
    { event: 'response.completed', data: JSON.stringify(bare) },
    { data: '[DONE]' },
  ];
  const events = eventsOf(frames);
  assert.deepEqual(
    events.map((event) => event.kind),
    ['start', 'end', 'usage', 'finished'],
  );
  assert.deepEqual(
    tapAll(frames).map((fact) => fact.closing),
    [false, false, true, true],
  );
});

test('a [DONE] without a terminal event is a cut', () => {
  const last = eventsOf([frame(created), { data: '[DONE]' }]).at(-1);
  assert.ok(last?.kind === 'error' && last.error.code === 'upstream_cut');
});

test('an error in the stream says what it means', () => {
  const quota = {
    type: 'error',
    error: {
      type: 'insufficient_quota',
      code: 'insufficient_quota',
      message: 'You exceeded your current quota',
    },
  };
  const frames = [
    created,
    quota,
    {
      type: 'response.failed',
      response: { status: 'failed', error: { code: 'insufficient_quota', message: 'x' } },
    },
  ].map(frame);
  const events = eventsOf(frames);
  const last = events.at(-1);
  assert.equal(events.length, 2);
  assert.ok(last?.kind === 'error');
  assert.equal(last.error.upstream?.kind, 'quota-exhausted');
  assert.deepEqual(
    tapAll(frames).map((fact) => fact.error?.upstream?.kind),
    [undefined, 'quota-exhausted', 'quota-exhausted'],
  );
  const flat = eventsOf([
    frame({ type: 'error', code: 'rate_limit_exceeded', message: 'slow', param: null }),
  ])[0];
  assert.ok(flat?.kind === 'error' && flat.error.upstream?.kind === 'rate-limited');
});

test('incomplete and cancelled answers end with their reason', () => {
  const end = (response: JsonObject, type: string): ChatEvent | undefined =>
    eventsOf([frame({ type, response })]).find((event) => event.kind === 'end');
  const cut = end(
    { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' }, output: [] },
    'response.incomplete',
  );
  assert.ok(
    cut?.kind === 'end' && cut.finish.reason === 'length' && cut.finish.raw === 'max_output_tokens',
  );
  const filtered = end(
    { status: 'incomplete', incomplete_details: { reason: 'content_filter' }, output: [] },
    'response.incomplete',
  );
  assert.ok(filtered?.kind === 'end' && filtered.finish.reason === 'content-filter');
  const cancelled = end({ status: 'cancelled', output: [] }, 'response.cancelled');
  assert.ok(cancelled?.kind === 'end' && cancelled.finish.raw === 'cancelled');
});

test('summary parts become paragraphs, and the encrypted state comes with the end', () => {
  const delta = (summary_index: number, text: string): JsonObject => ({
    type: 'response.reasoning_summary_text.delta',
    output_index: 0,
    summary_index,
    delta: text,
  });
  const item = {
    type: 'reasoning',
    id: 'rs_1',
    encrypted_content: 'gA',
    summary: [
      { type: 'summary_text', text: 'One.' },
      { type: 'summary_text', text: 'Two.' },
    ],
  };
  const frames = [
    created,
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { type: 'reasoning', id: 'rs_0', summary: [] },
    },
    delta(0, 'One.'),
    delta(1, 'Two.'),
    { type: 'response.output_item.done', output_index: 0, item },
    completed([item]),
  ].map(frame);
  assert.deepEqual(collect(frames).choices[0]?.parts, [
    {
      kind: 'reasoning',
      form: 'summary',
      text: 'One.\n\nTwo.',
      state: { issuer: 'openai-responses', form: 'encrypted_content', value: 'gA', itemId: 'rs_1' },
    },
  ]);
});

test('the tap measures escaped text as the characters it stands for', () => {
  const delta = 'a"b\\c\n\u0001é😀';
  const facts = tapAll([
    frame({
      type: 'response.output_text.delta',
      output_index: 0,
      delta,
      logprobs: [{ token: 'x', logprob: -1 }],
    }),
  ]);
  assert.deepEqual([facts[0]?.content, facts[0]?.generatedSize], [true, textSize(delta)]);
});

test('a bill is spliced into the terminal frame and changes no other byte', () => {
  const data = JSON.stringify({
    sequence_number: 3,
    ...completed([{ type: 'message', content: [{ type: 'output_text', text: '"usage":{' }] }]),
  });
  const bill = { costNanoUsd: nanoUsd(1_500_000), receiptId: 'r"1' };
  const annotated =
    openaiResponses.stream.tap(request, {}).annotate({ event: 'response.completed', data }, bill) ??
    '';
  const [parsed] = createSseParser().push(Buffer.from(annotated));
  assert.equal(parsed?.event, 'response.completed');
  assert.equal(
    parsed?.data,
    data.replace('"total_tokens":12}', '"total_tokens":12,"cost":0.0015,"receipt_id":"r\\"1"}'),
  );
  assert.equal(
    openaiResponses.stream.tap(request, {}).annotate({ data: JSON.stringify(created) }, bill),
    undefined,
  );
});

test('a vendor’s own cost gives way to the bill in a whole answer', () => {
  const bill = { costNanoUsd: nanoUsd(2_000_000_000), receiptId: 'r' };
  const body =
    '{ "id":"x", "usage" : {"input_tokens":1 , "cost": 8.25e-05, "is_byok":false} ,"z":1.0}';
  const annotated = openaiResponses.response.annotate(body, bill);
  assert.equal(
    annotated,
    '{ "id":"x", "usage" : {"input_tokens":1 , "cost": 2,"receipt_id":"r"} ,"z":1.0}',
  );
  assert.equal(openaiResponses.response.annotate('{"usage":null}', bill), '{"usage":null}');
  assert.deepEqual(parseJsonObject(openaiResponses.response.annotate('{"usage":{}}', bill)), {
    usage: { cost: 2, receipt_id: 'r' },
  });
});

test('events that number nothing are told apart by the ids of their items', () => {
  const message = { type: 'message', id: 'msg_1', content: [] };
  const lookUp = { type: 'function_call', call_id: 'fc_1', name: 'f', arguments: '' };
  const frames = [
    created,
    { type: 'response.output_item.added', item: message },
    { type: 'response.output_text.delta', item_id: 'msg_1', delta: 'Hi' },
    { type: 'response.output_item.done', item: message },
    { type: 'response.output_item.added', item: lookUp },
    { type: 'response.function_call_arguments.delta', item_id: 'fc_1', delta: '{"x":1}' },
  ].map(frame);
  const kinds = eventsOf(frames).map(({ kind }) => kind);
  assert.deepEqual(kinds.slice(0, 6), [
    'start',
    'part-start',
    'part-delta',
    'part-end',
    'part-start',
    'part-delta',
  ]);
  const done = [{ ...message, content: [{ type: 'output_text', text: 'Hi' }] }, lookUp];
  const answer = collect([...frames, frame(completed(done))]);
  assert.deepEqual(
    answer.choices[0]?.parts.map((part) => ('input' in part ? part.input : part.kind)),
    ['text', '{"x":1}'],
  );
});

test('encrypted thinking that is empty is no state', () => {
  const thinking = { type: 'reasoning', id: 'rs_1', encrypted_content: '', summary: [] };
  const item = { type: 'response.output_item.done', output_index: 0, item: thinking };
  const [part] = collect([created, item, completed([thinking])].map(frame)).choices[0]?.parts ?? [];
  assert.equal(part?.state, undefined);
});
