/** Recorded Anthropic traffic (messages, count_tokens) against what a plain reading of it says. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatCollector,
  explode,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type Usage,
} from '#canonical';
import { inputTotalTokens, outputTotalTokens } from '#canonical';
import { anthropicCountTokens, anthropicMessages, type Frame } from '#dialects';
import {
  asObject,
  asObjects,
  createSseParser,
  nanoUsd,
  parseJsonObject,
  textSize,
  type JsonObject,
  type JsonValue,
} from '#std';
import { assertStreamGrammar } from '../contract/dialect.ts';
import { listCases, sseFrames, type RecordingCase } from './load.ts';

const { request, response, stream, error } = anthropicMessages;

/** The fixture cuts a tool call in half by a second answer; half a call must not look whole. */
const splicedCase = 'va-spliced-message-start-stream';

for (const recording of listCases({ kinds: ['messages'] })) {
  const { name, meta } = recording;
  if (recording.request)
    test(`${name}: the request comes out as it went in`, () => checkRequest(recording));
  if (meta.status >= 400) test(`${name}: the error is understood`, () => checkError(recording));
  else if (name.endsWith(splicedCase))
    test(`${name}: half a block is an error`, () => checkSpliced(recording));
  else if (recording.responseForm === 'sse') {
    test(`${name}: the stream reads as expected`, () => checkStream(recording));
    test(`${name}: the tap sees what the decoder sees`, () => checkTap(recording));
  } else test(`${name}: the answer reads as expected`, () => checkAnswer(recording));
}

for (const recording of listCases({ kinds: ['count-tokens'], providers: ['anthropic'] })) {
  test(`${recording.name}: the count is read`, () => {
    const body = bodyOf(recording);
    assert.equal(anthropicCountTokens.decode(body), body['input_tokens']);
    if (recording.request) checkRequest(recording);
  });
}

function bodyOf(recording: RecordingCase): JsonObject {
  const body = parseJsonObject(recording.responseBytes.toString('utf8'));
  assert.ok(body, 'the body is a JSON object');
  return body;
}

// ---- requests -------------------------------------------------------------------------------

/** Vertex names the model in the path and the version in the body: quirks of the provider. */
function requestQuirks(wire: JsonObject): JsonObject {
  const version = wire['anthropic_version'];
  return version === undefined ? {} : { bodyVersion: version, modelInBody: 'model' in wire };
}

function checkRequest(recording: RecordingCase): void {
  const wire = recording.request ?? {};
  const before = JSON.stringify(wire);
  const decoded = request.decode(
    wire,
    'model' in wire ? {} : { model: recording.meta.request_model ?? 'in-the-path' },
  );
  assert.equal(JSON.stringify(wire), before, 'decoding changes nothing');
  const encoded = request.encode(decoded, requestQuirks(wire));
  assert.deepEqual(encoded.losses, []);
  assert.deepEqual(normalForm(encoded.value), normalForm(wire));
}

/**
 * Spellings of the same: a string for one text block, `stream: false` for none, `type: "custom"` for
 * no type, null or `tools: []` for absent; `max_tokens` is added where count_tokens has none; neighbours of one role
 * are one turn.
 */
function normalForm(wire: JsonObject): JsonObject {
  const { max_tokens: _, stream: streamed, system, messages, tools, ...rest } = wire;
  const turns: { role: JsonValue | undefined; content: JsonValue[] }[] = [];
  for (const message of asObjects(messages)) {
    const content = blocks(message['content']);
    const last = turns.at(-1);
    if (last && last.role === message['role']) last.content.push(...content);
    else turns.push({ role: message['role'], content: [...content] });
  }
  return {
    ...rest,
    ...(streamed === true ? { stream: true } : {}),
    ...(system === undefined || system === null ? {} : { system: blocks(system) }),
    messages: turns,
    ...(asObjects(tools).length === 0 ? {} : { tools: asObjects(tools).map(normalTool) }),
  };
}

function normalTool(tool: JsonObject): JsonObject {
  const { type, ...rest } = tool;
  return type === undefined || type === 'custom' ? rest : tool;
}

function blocks(content: JsonValue | undefined): JsonValue[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return asObjects(content).map((block) => {
    const { content: inner, citations, ...rest } = block;
    const kept = citations === null || citations === undefined ? {} : { citations };
    return block['type'] === 'tool_result'
      ? { ...rest, ...kept, content: blocks(inner) }
      : { ...rest, ...kept, ...(inner === undefined ? {} : { content: inner }) };
  });
}

// ---- answers --------------------------------------------------------------------------------

function checkExpected(
  actual: ChatResponse,
  expected: { readonly [field: string]: unknown },
  raw: JsonObject | undefined,
): void {
  const [choice] = actual.choices;
  assert.ok(choice);
  const text = choice.parts.flatMap((part) => (part.kind === 'text' ? [part.text] : [])).join('');
  assert.equal(text, expected['text']);
  assert.equal(choice.finish.raw, expected['stop_reason']);
  assert.equal(actual.id, expected['id']);
  assert.equal(actual.model, expected['model']);
  const calls = choice.parts.flatMap((part) =>
    part.kind === 'tool-call'
      ? [{ id: part.id, name: part.name, arguments: parseJsonObject(part.input) }]
      : [],
  );
  assert.deepEqual(calls, expected['tool_calls'] ?? []);
  if (expected['reasoning_text'] !== undefined) {
    const reasoning = choice.parts
      .flatMap((part) => (part.kind === 'reasoning' ? [part.text] : []))
      .join('');
    assert.equal(reasoning, expected['reasoning_text']);
  }
  if (expected['n_signatures'] !== undefined) {
    const signed = choice.parts.filter(
      (part) => part.kind === 'reasoning' && part.state?.form === 'signature',
    );
    assert.equal(signed.length, expected['n_signatures']);
  }
  if (expected['n_citations'] !== undefined) {
    const citations = choice.parts.flatMap((part) =>
      part.kind === 'text' ? (part.citations ?? []) : [],
    );
    assert.equal(citations.length, expected['n_citations']);
  }
  assert.equal(choice.parts.length, (expected['content_block_types'] as readonly string[]).length);
  checkUsage(actual.usage, expected, raw);
}

/** The plain reading leaves out the tokens of compaction, which the vendor bills on top. */
function checkUsage(
  usage: Usage | undefined,
  expected: { readonly [field: string]: unknown },
  raw: JsonObject | undefined,
): void {
  assert.ok(usage);
  assert.deepEqual(usage.raw, expected['usage']);
  const normalised = expected['usage_normalised'] as { readonly [field: string]: number };
  const compactions = asObjects(raw?.['iterations']).filter(
    (iteration) => iteration['type'] === 'compaction',
  );
  const extra = (key: string): number =>
    compactions.reduce((sum, iteration) => sum + Number(iteration[key] ?? 0), 0);
  assert.equal(inputTotalTokens(usage), (normalised['input_total'] ?? 0) + extra('input_tokens'));
  assert.equal(
    outputTotalTokens(usage),
    (normalised['output_total'] ?? 0) + extra('output_tokens'),
  );
  assert.equal(usage.cacheReadTokens ?? 0, normalised['cached_input']);
  assert.equal(
    (usage.cacheWriteTokens ?? 0) + (usage.cacheWriteLongTokens ?? 0),
    normalised['cache_write'],
  );
  if (normalised['reasoning'] !== undefined)
    assert.equal(usage.reasoningTokens, normalised['reasoning']);
}

const client: ChatRequest = {
  dialect: 'anthropic-messages',
  model: 'asked',
  messages: [],
  tools: [],
  stream: true,
  streamUsage: true,
  extensions: {},
};

function checkAnswer(recording: RecordingCase): void {
  const body = bodyOf(recording);
  const decoded = response.decode(body, {});
  checkExpected(decoded, recording.meta.expected ?? {}, asObject(body['usage']));
  assert.deepEqual(decoded.usage, response.usage(body, {}));
  const encoded = response.encode(decoded, client);
  assert.deepEqual(encoded.losses, []);
  assert.deepEqual(response.decode(encoded.value, {}), decoded);
  assert.deepEqual(
    collect(decodeText(streamText(explode(decoded)))),
    dropUndefined(decoded),
    'streamed',
  );
}

function checkStream(recording: RecordingCase): void {
  const events = decodeAll(sseFrames(recording.responseBytes));
  assertStreamGrammar(events);
  const whole = collect(events);
  const raw = whole.usage?.raw;
  checkExpected(whole, recording.meta.expected ?? {}, raw);
  assert.deepEqual(
    decodeAll(sseFrames(recording.responseBytes, 1)),
    events,
    'cut into single bytes',
  );
  const again = collect(decodeText(streamText(events)));
  assert.deepEqual(again, whole, 'written and read again');
  checkCuts(recording);
}

/** Whatever frame is the last one before the terminal mark: an error, never a clean end. */
function checkCuts(recording: RecordingCase): void {
  const frames = sseFrames(recording.responseBytes);
  // Routers of their own add a `[DONE]`, which adds nothing.
  const terminal = frames.findIndex(({ data }) => data.includes('"message_stop"'));
  for (let length = 0; length <= terminal; length += 1) {
    const events = decodeAll(frames.slice(0, length));
    assert.equal(events.at(-1)?.kind, 'error');
    assert.ok(!events.some((event) => event.kind === 'finished'));
  }
}

function checkSpliced(recording: RecordingCase): void {
  const events = decodeAll(sseFrames(recording.responseBytes));
  assertStreamGrammar(events);
  const last = events.at(-1);
  assert.ok(last?.kind === 'error' && last.error.code === 'upstream_invalid');
}

function checkTap(recording: RecordingCase): void {
  const tap = stream.tap(client, {});
  const decoder = stream.decoder({});
  let closing = false;
  let counted = 0;
  let generated = 0;
  let usage: Usage | undefined;
  let complete = false;
  let annotated = 0;
  for (const frame of sseFrames(recording.responseBytes)) {
    const facts = tap.inspect(frame);
    assert.ok(!closing || facts.closing, 'later frames stay held');
    assert.ok(!(closing && facts.content), 'no content after the first held frame');
    closing = facts.closing;
    complete ||= facts.complete;
    usage = facts.usage ?? usage;
    const events = decoder.push(frame);
    const deltas = events.flatMap((event) => (event.kind === 'part-delta' ? [event.delta] : []));
    if (!frame.data.includes('content_block_stop')) {
      generated += textSize(deltas.join(''));
      if (deltas.length > 0) assert.ok(facts.content, frame.data);
    }
    if (!frame.data.includes('"content_block_start"') && !isServerToolInput(frame.data, deltas))
      counted += facts.generatedSize;
    annotated += checkAnnotation(tap.annotate(frame, bill), frame);
  }
  assert.equal(complete, true);
  assert.equal(counted, generated);
  assert.equal(annotated, 1);
  assert.deepEqual(usage?.raw, recording.meta.expected?.['usage']);
}

/** Arguments of tools that the vendor runs are generated, but come out whole as a native part. */
function isServerToolInput(data: string, deltas: readonly string[]): boolean {
  return deltas.length === 0 && data.includes('input_json_delta');
}

const bill = { costNanoUsd: nanoUsd(1_500_000), receiptId: 'rcp_1' };

function checkAnnotation(text: string | undefined, frame: Frame): number {
  if (text === undefined) return 0;
  const [billed] = sseFrames(Buffer.from(text));
  assert.equal(billed?.event, frame.event);
  const usage = asObject(parseJsonObject(billed?.data ?? '')?.['usage']);
  assert.equal(usage?.['cost'], 0.0015);
  assert.equal(usage?.['receipt_id'], 'rcp_1');
  assert.equal(billed?.data.replace(/,"cost":0\.0015,"receipt_id":"rcp_1"/, ''), frame.data);
  return 1;
}

function checkError(recording: RecordingCase): void {
  const { status } = recording.meta;
  const decoded = error.decode(status, recording.responseBytes.toString('utf8'));
  assert.equal(decoded.status, 400);
  const overflow = recording.responseBytes.includes('prompt is too long');
  assert.equal(decoded.upstream?.kind, overflow ? 'context-length' : 'request');
  const { body } = error.encode(decoded, 'req_1');
  assert.equal(body['type'], 'error');
  assert.equal(asObject(body['error'])?.['type'], 'invalid_request_error');
}

// ---- plumbing -------------------------------------------------------------------------------

function decodeAll(frames: readonly Frame[]): readonly ChatEvent[] {
  const decoder = stream.decoder({});
  const events = frames.flatMap((frame) => [...decoder.push(frame)]);
  return [...events, ...decoder.end()];
}

function decodeText(text: string): readonly ChatEvent[] {
  return decodeAll(createSseParser().push(Buffer.from(text)));
}

function streamText(events: Iterable<ChatEvent>): string {
  const encoder = stream.encoder(client, { framing: 'sse' }, (path, reason) =>
    assert.fail(`${path}: ${reason}`),
  );
  let text = '';
  for (const event of events) text += encoder.push(event);
  return text;
}

function collect(events: Iterable<ChatEvent>): ChatResponse {
  const collector = new ChatCollector('anthropic-messages');
  for (const event of events) collector.push(event);
  return dropUndefined(collector.finish());
}

/** Absent and `undefined` are the same to every reader of the neutral model. */
function dropUndefined<T>(value: T): T {
  return structuredClone(JSON.parse(JSON.stringify(value))) as T;
}
