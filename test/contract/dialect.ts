/**
 * The contract of a dialect (rules 1 to 5 in src/dialects/dialect.ts) as property tests, run over
 * every dialect. `MANIFOLD_SEED` repeats a run, `MANIFOLD_LONG_TESTS=1` runs the long counts.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ChatCollector,
  errorRegistry,
  gatewayError,
  GatewayFailure,
  inputTotalTokens,
  outputTotalTokens,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type DialectId,
  type ErrorCode,
  type Loss,
  type Part,
} from '#canonical';
import type { Dialect, Frame, StreamForm } from '#dialects';
import {
  asObject,
  createJsonArrayParser,
  createSseParser,
  nanoUsd,
  parseJson,
  parseJsonObject,
  ReadError,
  type FrameParser,
  type JsonObject,
  type JsonValue,
} from '#std';
import { anyJson, chatRequests, chatResponses, damaged, eventsOf, markersOf } from './arbitrary-chat.ts';

export const seed = Number(process.env['MANIFOLD_SEED'] ?? Date.now() % 2_147_483_647);
const long = process.env['MANIFOLD_LONG_TESTS'] === '1';

/** Runs per property; byte splits are counted over all dialects (100,000 in the long run). */
const runs = long ? 2_000 : 100;
const splitRuns = long ? 25_000 : 500;

export const chatDialects = ['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini-generate'] as const satisfies readonly DialectId[];

type Check = readonly [name: string, run: () => void];

/** The whole suite for one dialect. */
export function dialectContract(dialect: Dialect): void {
  const checks: readonly Check[] = [
    ...requestChecks(dialect),
    ...responseChecks(dialect),
    ...streamChecks(dialect),
    ...totalityChecks(dialect),
    ...errorChecks(dialect),
  ];
  for (const [name, run] of checks) {
    test(`${dialect.id}: ${name}`, (context) => {
      context.diagnostic(`seed ${seed}`);
      run();
    });
  }
}

function holds<T>(arbitrary: fc.Arbitrary<T>, predicate: (value: T) => void, numRuns = runs): void {
  fc.assert(fc.property(arbitrary, predicate), { seed, numRuns });
}

// ---- the grammar of streams -----------------------------------------------------------------

/** Asserts the grammar in src/canonical/chat.ts: `start`, whole parts, ends, usage, one last event. */
export function assertStreamGrammar(events: readonly ChatEvent[]): void {
  const open = new Map<number, number>();
  const ended = new Set<number>();
  let nextIndex = 0;
  let usageSeen = false;
  for (const [position, event] of events.entries()) {
    const at = `event ${position} (${event.kind})`;
    const last = position === events.length - 1;
    assert.equal(last, event.kind === 'finished' || event.kind === 'error', `${at}: only the last event ends the stream`);
    if (event.kind !== 'error') assert.equal(position === 0, event.kind === 'start', `${at}: start is the first event, once`);
    if (event.kind === 'part-start') {
      assert.equal(event.index, nextIndex, `${at}: indexes count up`);
      assert.ok(![...open.values()].includes(event.choice), `${at}: parts of a choice do not overlap`);
      assert.ok(!ended.has(event.choice) && !usageSeen, `${at}: nothing after the end`);
      open.set(event.index, event.choice);
      nextIndex += 1;
    } else if (event.kind === 'part-delta') assert.ok(open.has(event.index), `${at}: the part is open`);
    else if (event.kind === 'part-end') assert.ok(open.delete(event.index), `${at}: the part is open`);
    else if (event.kind === 'end') {
      assert.ok(![...open.values()].includes(event.choice) && !ended.has(event.choice), `${at}: ends once, parts closed`);
      ended.add(event.choice);
    } else if (event.kind === 'usage') {
      assert.ok(!usageSeen, `${at}: usage once`);
      usageSeen = true;
    } else if (event.kind === 'finished') {
      assert.equal(open.size, 0, `${at}: all parts closed`);
      assert.ok(ended.size > 0, `${at}: some choice ended`);
    }
  }
  assert.ok(events.length > 0, 'a stream has events');
}

// ---- requests -------------------------------------------------------------------------------

function requestChecks(dialect: Dialect): readonly Check[] {
  const { decode, encode } = dialect.request;
  const context = (request: ChatRequest): { model: string; stream: boolean } => ({ model: request.model, stream: request.stream });
  return [
    [
      'a request of its own dialect comes back equal and without losses',
      () =>
        holds(chatRequests(dialect.id), (request) => {
          const first = encode(request, {});
          const decoded = decode(wire(first.value), context(request));
          assert.deepEqual(lossesThatMatter(first.losses), []);
          assertSameRequest(decoded, request, first.losses);
          const second = encode(decoded, {});
          assert.deepEqual(second.losses, []);
          assert.deepEqual(wire(second.value), wire(first.value));
          assert.deepEqual(plain(decode(wire(second.value), context(request))), plain(decoded));
        }),
    ],
    [
      'decoding a request does not change it',
      () =>
        holds(chatRequests(dialect.id), (request) => {
          const value = wire(encode(request, {}).value);
          const before = JSON.stringify(value);
          decode(value, context(request));
          assert.equal(JSON.stringify(value), before);
        }),
    ],
    ...chatDialects.map((from): Check => [
      `every text of a request said in ${from} arrives or is reported lost`,
      () =>
        holds(chatRequests(from, { foreign: true }), (request) => {
          const { value, losses } = encode(request, {});
          assertArrives(request, value, losses);
          const decoded = decode(wire(value), context(request));
          if (from !== dialect.id) assertSameRequest(decoded, request, losses);
        }),
    ]),
  ];
}

/** What was encoded as a reader on the other side gets it: as JSON. */
function wire(value: JsonObject): JsonObject {
  const parsed = parseJsonObject(JSON.stringify(value));
  assert.ok(parsed);
  return parsed;
}

/** Own requests lose nothing but what the wire cannot hold: names of results, names of schemas. */
function lossesThatMatter(losses: readonly Loss[]): readonly Loss[] {
  return losses.filter(({ path }) => !path.endsWith('.name') && !path.endsWith('.filename'));
}

/** Fields that only one side of a translation needs; found again through other fields. */
const derivedFields = /\.(name|id|form|issuer|filename|value)$|\.state\b/;

function assertArrives(source: ChatRequest, value: JsonObject, losses: readonly Loss[]): void {
  const text = unescapedText(value);
  for (const { path, text: marker } of markersOf(source)) {
    if (text.includes(marker) || text.includes(Buffer.from(marker).toString('base64'))) continue;
    if (path.endsWith('.filename')) continue;
    assert.ok(isReported(path, losses), `${path} (${marker}) neither arrived nor was reported: ${JSON.stringify(losses)}`);
  }
}

/** All strings and keys of a value, those of JSON inside of strings included. */
function unescapedText(value: JsonValue | undefined): string {
  return JSON.stringify(value);
}

/** A loss covers a field when one path contains the other, or when they name the same extension. */
function isReported(path: string, losses: readonly Loss[]): boolean {
  const bare = path.replace(/^extensions\./, '');
  return losses.some(
    (loss) => bare.startsWith(loss.path) || loss.path.startsWith(bare) || path.startsWith(loss.path) || loss.path.endsWith(bare),
  );
}

type Said = { readonly who: string; readonly kind: string; readonly what: unknown };

/** A conversation as who said what, in order: what every translation has to keep. */
function saidIn(request: ChatRequest): readonly Said[] {
  return request.messages.flatMap(({ role, parts }) => parts.flatMap((part) => saidBy(role === 'developer' ? 'system' : role, part)));
}

function saidBy(who: string, part: Part): readonly Said[] {
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return part.text === '' ? [] : [{ who, kind: 'text', what: part.text }];
    case 'media':
      return [{ who, kind: part.media, what: Object.values(part.source).slice(0, 2) }];
    case 'reasoning':
      return part.text === '' ? [] : [{ who, kind: 'reasoning', what: part.text }];
    case 'tool-call':
      return [{ who, kind: 'call', what: [part.name, parseJson(part.input === '' ? '{}' : part.input)] }];
    case 'tool-result':
      return part.parts.flatMap((inner) => saidBy(who, inner));
    case 'native':
      return [];
  }
}

const comparedFields = ['outputTokensMax', 'temperature', 'topP', 'topK', 'stop', 'toolChoice', 'endUserId', 'stream'] as const satisfies readonly (keyof ChatRequest)[];

function assertSameRequest(actual: ChatRequest, expected: ChatRequest, losses: readonly Loss[]): void {
  const lost = (field: string): boolean => losses.some(({ path }) => path === field || path.startsWith(`${field}.`) || path.startsWith(`${field}[`));
  for (const field of comparedFields) {
    if (expected[field] === undefined || lost(field)) continue;
    if (field === 'toolChoice' && expected.toolChoice?.kind === 'auto' && actual.toolChoice === undefined) continue;
    assert.deepEqual(actual[field], expected[field], field);
  }
  if (expected.parallelToolCalls === false && expected.tools.length > 0 && expected.toolChoice?.kind !== 'none' && !lost('parallelToolCalls')) {
    assert.equal(actual.parallelToolCalls, false, 'parallelToolCalls');
  }
  if (!lost('messages')) assert.deepEqual(merged(saidIn(actual)), merged(saidIn(expected)));
  if (!lost('tools')) assert.deepEqual(toolsOf(actual), toolsOf(expected));
}

/** Texts that one speaker said in a row may come back as one. */
function merged(said: readonly Said[]): readonly Said[] {
  const result: Said[] = [];
  for (const one of said) {
    const last = result.at(-1);
    if (last && last.kind === 'text' && one.kind === 'text' && last.who === one.who) {
      result[result.length - 1] = { ...last, what: `${String(last.what)}${String(one.what)}` };
    } else result.push(one);
  }
  return result;
}

function toolsOf(request: ChatRequest): readonly unknown[] {
  return request.tools.map((tool) => (tool.kind === 'function' ? plain([tool.name, tool.description, tool.parameters]) : tool.kind));
}

/** `undefined` and absent mean the same in the neutral model. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

// ---- answers --------------------------------------------------------------------------------

const bill = { costNanoUsd: nanoUsd(1_234_567), receiptId: 'rcp_contract' };

/** A client that asked for a stream with everything in it. */
export function clientOf(dialect: DialectId): ChatRequest {
  return { dialect, model: 'model-asked', messages: [{ role: 'user', parts: [{ kind: 'text', text: 'Hello.' }] }], tools: [], stream: true, streamUsage: true, encryptedReasoning: true, extensions: {} };
}

function responseChecks(dialect: Dialect): readonly Check[] {
  const { decode, encode } = dialect.response;
  const client = clientOf(dialect.id);
  return [
    ...chatDialects.map((from): Check => [
      `an answer of ${from} arrives or is reported lost`,
      () =>
        holds(chatResponses(from), (response) => {
          const { value, losses } = encode(response, client);
          if (from === dialect.id) assert.deepEqual(losses, []);
          const decoded = decode(wire(value), {});
          assertSameAnswer(decoded, response, losses);
          const again = encode(decoded, client);
          assert.deepEqual(again.losses, []);
          assert.deepEqual(plain(decode(wire(again.value), {})), plain(decoded));
        }),
    ]),
    [
      'the bill is in the usage, and splicing it changes nothing else',
      () =>
        holds(chatResponses(dialect.id), (response) => {
          const body = JSON.stringify(encode(response, client).value, undefined, 1);
          const billed = dialect.response.annotate(body, bill);
          const encoded = JSON.stringify(encode({ ...response, bill }, client).value);
          for (const text of [billed, encoded]) {
            assert.ok(text.includes('0.001234567') && text.includes('rcp_contract'), text);
          }
          assert.deepEqual(dialect.response.usage(parseJsonObject(billed) ?? {}, {})?.inputTokens, response.usage?.inputTokens);
          assert.ok(isSubsequence(body, billed), 'no other character changed');
        }),
    ],
  ];
}

function isSubsequence(short: string, whole: string): boolean {
  let at = 0;
  for (const character of whole) if (short.startsWith(character, at)) at += character.length;
  return at === short.length;
}

function answered(response: ChatResponse): readonly Said[] {
  return merged((response.choices[0]?.parts ?? []).flatMap((part) => saidBy('assistant', part)));
}

function assertSameAnswer(actual: ChatResponse, expected: ChatResponse, losses: readonly Pick<Loss, 'path'>[]): void {
  if (losses.length === 0) assert.deepEqual(answered(actual), answered(expected));
  assert.equal(actual.choices[0]?.finish.reason, expected.choices[0]?.finish.reason);
  assert.equal(inputTotalTokens(actual.usage ?? {}), inputTotalTokens(expected.usage ?? {}));
  assert.equal(outputTotalTokens(actual.usage ?? {}), outputTotalTokens(expected.usage ?? {}));
}

// ---- streams --------------------------------------------------------------------------------

/** Wire text of a stream, written by the dialect's own encoder. */
export function encodeStream(dialect: Dialect, events: readonly ChatEvent[], form: StreamForm = { framing: 'sse' }): string {
  const encoder = dialect.stream.encoder(clientOf(dialect.id), form);
  return events.map((event) => encoder.push(event)).join('');
}

function framesOf(bytes: Uint8Array, form: StreamForm, cuts: readonly number[] = []): readonly Frame[] {
  const parser: FrameParser = form.framing === 'sse' ? createSseParser() : createJsonArrayParser();
  const frames: Frame[] = [];
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((left, right) => left - right);
  let start = 0;
  for (const end of [...ends, bytes.length]) {
    frames.push(...parser.push(bytes.slice(start, end)));
    start = end;
  }
  const last = parser.end();
  return last ? [...frames, last] : frames;
}

function decodeFrames(dialect: Dialect, frames: readonly Frame[]): readonly ChatEvent[] {
  const decoder = dialect.stream.decoder({});
  const events = frames.flatMap((frame) => [...decoder.push(frame)]);
  return [...events, ...decoder.end()];
}

function collect(dialect: DialectId, events: readonly ChatEvent[]): ChatResponse {
  const collector = new ChatCollector(dialect);
  for (const event of events) collector.push(event);
  return collector.finish();
}

const pieceLengths = fc.integer({ min: 1, max: 9 });
const sse: StreamForm = { framing: 'sse' };

function streamChecks(dialect: Dialect): readonly Check[] {
  const forms: readonly StreamForm[] = dialect.id === 'gemini-generate' ? [sse, { framing: 'json-array' }] : [sse];
  const streamsOf = (from: DialectId): fc.Arbitrary<readonly [ChatResponse, number]> => fc.tuple(chatResponses(from), pieceLengths);
  return [
    ...forms.flatMap((form) =>
      chatDialects.map((from): Check => [
        `a stream of ${from} is written so that it reads as the same answer (${form.framing})`,
        () =>
          holds(streamsOf(from), ([response, pieceLength]) => {
            const losses: { path: string }[] = [];
            const encoder = dialect.stream.encoder(clientOf(dialect.id), form, (path) => losses.push({ path }));
            const text = eventsOf(response, pieceLength).map((event) => encoder.push(event)).join('');
            const events = decodeFrames(dialect, framesOf(Buffer.from(text), form));
            assertStreamGrammar(events);
            assertSameAnswer(collect(dialect.id, events), response, losses);
          }),
      ]),
    ),
    ['a stream cut after any frame is an error, or nothing is missing', () => holds(streamsOf(dialect.id), (value) => checkCuts(dialect, value), Math.ceil(runs / 4))],
    ['however the bytes are split, the same events come out', () => checkSplits(dialect, forms)],
    ['the tap sees what the decoder sees', () => holds(streamsOf(dialect.id), (value) => checkTap(dialect, value))],
    ['a heartbeat is legal between any two events', () => holds(streamsOf(dialect.id), (value) => checkHeartbeat(dialect, value))],
    ['an error ends a stream', () => holds(fc.constantFrom(...codes), (code) => checkStreamError(dialect, code))],
  ];
}

function checkCuts(dialect: Dialect, [response, pieceLength]: readonly [ChatResponse, number]): void {
  const frames = framesOf(Buffer.from(encodeStream(dialect, eventsOf(response, pieceLength))), sse);
  const whole = plain(collect(dialect.id, decodeFrames(dialect, frames)));
  for (let length = 0; length < frames.length; length += 1) {
    const events = decodeFrames(dialect, frames.slice(0, length));
    assertStreamGrammar(events);
    const last = events.at(-1);
    if (last?.kind === 'error') continue;
    assert.deepEqual(plain(collect(dialect.id, events)), whole, `cut after frame ${length} of ${frames.length} looks finished`);
  }
}

/** A few streams, split at very many random places. */
function checkSplits(dialect: Dialect, forms: readonly StreamForm[]): void {
  const samples = fc.sample(fc.tuple(chatResponses(dialect.id), pieceLengths), { seed, numRuns: 12 });
  const streams = forms.flatMap((form) =>
    samples.map(([response, pieceLength]) => {
      const bytes = Buffer.from(encodeStream(dialect, eventsOf(response, pieceLength), form));
      return { form, bytes, expected: JSON.stringify(decodeFrames(dialect, framesOf(bytes, form))) };
    }),
  );
  const cuts = fc.array(fc.nat({ max: 1_000_000 }), { minLength: 1, maxLength: 24 });
  holds(
    fc.tuple(fc.nat({ max: streams.length - 1 }), cuts),
    ([index, places]) => {
      const stream = streams[index];
      assert.ok(stream);
      const events = decodeFrames(dialect, framesOf(stream.bytes, stream.form, places));
      assert.equal(JSON.stringify(events), stream.expected);
    },
    splitRuns,
  );
}

function checkTap(dialect: Dialect, [response, pieceLength]: readonly [ChatResponse, number]): void {
  const frames = framesOf(Buffer.from(encodeStream(dialect, eventsOf(response, pieceLength))), sse);
  const decoder = dialect.stream.decoder({});
  const tap = dialect.stream.tap(clientOf(dialect.id), {});
  let closing = false;
  let complete = false;
  let billed = 0;
  let usage: ChatResponse['usage'];
  for (const frame of frames) {
    const facts = tap.inspect(frame);
    const deltas = decoder.push(frame).filter((event) => event.kind === 'part-delta');
    if (deltas.length > 0 && !closing) assert.ok(facts.content || facts.characters === 0, `content was not seen: ${frame.data}`);
    assert.ok(!(closing && facts.content), `content after the first held frame: ${frame.data}`);
    assert.ok(!closing || facts.closing, `held frames stay held: ${frame.data}`);
    closing = facts.closing;
    complete ||= facts.complete;
    usage = facts.usage ?? usage;
    assert.equal(facts.error, undefined);
    if (facts.closing && tap.annotate(frame, bill)?.includes('rcp_contract')) billed += 1;
  }
  assert.equal(complete, true, 'the end was seen');
  assert.equal(billed, 1, 'one held frame takes the bill');
  assert.equal(inputTotalTokens(usage ?? {}), inputTotalTokens(response.usage ?? {}));
  assert.equal(outputTotalTokens(usage ?? {}), outputTotalTokens(response.usage ?? {}));
}

function checkHeartbeat(dialect: Dialect, [response, pieceLength]: readonly [ChatResponse, number]): void {
  const encoder = dialect.stream.encoder(clientOf(dialect.id), sse);
  const chunks = eventsOf(response, pieceLength).map((event) => encoder.push(event));
  const heartbeat = dialect.stream.heartbeat(sse);
  assert.notEqual(heartbeat, '');
  const quiet = decodeFrames(dialect, framesOf(Buffer.from(chunks.join('')), sse));
  const beating = decodeFrames(dialect, framesOf(Buffer.from(chunks.filter((chunk) => chunk !== '').join(heartbeat)), sse));
  assert.deepEqual(beating, quiet);
}

// ---- anything at all --------------------------------------------------------------------------

type Totality = (value: JsonValue) => void;

function totalityChecks(dialect: Dialect): readonly Check[] {
  const client = clientOf(dialect.id);
  const requests = fc.tuple(chatRequests(dialect.id, { foreign: true }), fc.nat({ max: 10_000 }), anyJson).map(([request, place, other]) => {
    const { value } = dialect.request.encode(request, {});
    return damaged(value, place, other) as JsonValue;
  });
  const answers = fc.tuple(chatResponses(dialect.id), fc.nat({ max: 10_000 }), anyJson).map(([response, place, other]) => {
    return damaged(dialect.response.encode(response, client).value, place, other) as JsonValue;
  });
  const anything = anyJson.map((value) => value as JsonValue);
  const decodesRequest: Totality = (value) => {
    const object = asObject(value);
    if (object) decodeOrReadError(dialect, object);
  };
  const decodesAnswer: Totality = (value) => {
    const object = asObject(value);
    if (!object) return;
    dialect.response.usage(object, {});
    assert.equal(typeof dialect.response.annotate(JSON.stringify(object), bill), 'string');
    const decoded = orFailure(() => dialect.response.decode(object, {}));
    if (decoded) dialect.response.encode(decoded, client);
  };
  return [
    ['any JSON is a request or a ReadError with a path', () => holds(fc.oneof(requests, anything), decodesRequest, runs * 4)],
    ['any JSON is an answer or a GatewayFailure', () => holds(fc.oneof(answers, anything), decodesAnswer, runs * 4)],
    ['any text can be annotated', () => holds(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(typeof dialect.response.annotate(text, bill), 'string'))],
    ['any frames make a well-formed stream', () => checkAnyFrames(dialect)],
  ];
}

function decodeOrReadError(dialect: Dialect, object: JsonObject): void {
  let decoded: ChatRequest;
  try {
    decoded = dialect.request.decode(object, {});
  } catch (error) {
    assert.ok(error instanceof ReadError, `not a ReadError: ${String(error instanceof Error ? error.stack : error)}`);
    assert.equal(typeof error.path, 'string');
    assert.notEqual(error.message, '');
    return;
  }
  const { value } = dialect.request.encode(decoded, {});
  assert.equal(typeof JSON.stringify(value), 'string');
  dialect.request.urlsToInline(decoded, {});
}

function orFailure<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    assert.ok(error instanceof GatewayFailure, `not a GatewayFailure: ${String(error instanceof Error ? error.stack : error)}`);
    return undefined;
  }
}

/** Frames of a real stream, some of them damaged, doubled, out of order or made up. */
function checkAnyFrames(dialect: Dialect): void {
  const mutation = fc.record({ at: fc.nat({ max: 1000 }), kind: fc.constantFrom('damage', 'drop', 'double', 'move', 'insert', 'garble'), place: fc.nat({ max: 10_000 }), value: anyJson });
  const arbitrary = fc.tuple(chatResponses(dialect.id), pieceLengths, fc.array(mutation, { minLength: 1, maxLength: 3 }));
  holds(
    arbitrary,
    ([response, pieceLength, mutations]) => {
      const frames = [...framesOf(Buffer.from(encodeStream(dialect, eventsOf(response, pieceLength))), sse)];
      for (const { at, kind, place, value } of mutations) mutate(frames, at, kind, place, value);
      assertStreamGrammar(decodeFrames(dialect, frames));
      const tap = dialect.stream.tap(clientOf(dialect.id), {});
      for (const frame of frames) {
        assert.ok(tap.inspect(frame).characters >= 0);
        tap.annotate(frame, bill);
      }
    },
    runs * 4,
  );
}

function mutate(frames: Frame[], at: number, kind: string, place: number, value: unknown): void {
  const index = at % frames.length;
  const frame = frames[index];
  if (!frame) return;
  const parsed = parseJson(frame.data);
  if (kind === 'damage' && parsed.ok) frames[index] = { ...frame, data: JSON.stringify(damaged(parsed.value, place, value)) };
  else if (kind === 'drop') frames.splice(index, 1);
  else if (kind === 'double') frames.splice(index, 0, frame);
  else if (kind === 'move') frames.unshift(...frames.splice(index, 1));
  else if (kind === 'insert') frames.splice(index, 0, { event: frame.event, data: JSON.stringify(value) });
  else frames[index] = { ...frame, data: frame.data.slice(0, place % (frame.data.length + 1)) };
  if (frames.length === 0) frames.push({ data: '{}' });
}

// ---- errors ---------------------------------------------------------------------------------

const codes = Object.keys(errorRegistry) as readonly ErrorCode[];

function errorChecks(dialect: Dialect): readonly Check[] {
  const statuses = fc.constantFrom(200, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 504, 529);
  const bodies = fc.oneof(fc.string(), fc.json(), anyJson.map((value) => JSON.stringify({ error: value })), anyJson.map((value) => JSON.stringify([{ error: { message: value, code: value, details: value } }])));
  return [
    [
      'any body of a failed request is an error with a status that a client may see',
      () =>
        holds(fc.tuple(statuses, bodies), ([status, body]) => {
          const error = dialect.error.decode(status, body);
          assert.ok(error.status >= 400 && error.status <= 599 && error.status !== 401);
          assert.ok(error.upstream && error.message.length > 0);
        }, runs * 2),
    ],
    [
      'every error of the registry is written with its status and message, and reads as an error',
      () =>
        holds(fc.constantFrom(...codes), (code) => {
          const written = dialect.error.encode(gatewayError(code, 'What went wrong.', { path: 'messages[0]' }), 'req_1');
          assert.equal(written.status, errorRegistry[code].status);
          assert.ok(JSON.stringify(written.body).includes('What went wrong.'));
          assert.ok(dialect.error.decode(written.status, JSON.stringify(written.body)).upstream);
        }),
    ],
  ];
}

function checkStreamError(dialect: Dialect, code: ErrorCode): void {
  const events: readonly ChatEvent[] = [
    { kind: 'start', id: 'msg_1', model: 'model-answering' },
    { kind: 'part-start', index: 0, choice: 0, part: { kind: 'text', text: '' } },
    { kind: 'part-delta', index: 0, delta: 'Half an ans' },
    { kind: 'error', error: gatewayError(code, 'What went wrong.') },
  ];
  const frames = framesOf(Buffer.from(encodeStream(dialect, events)), sse);
  const decoded = decodeFrames(dialect, frames);
  assertStreamGrammar(decoded);
  assert.equal(decoded.at(-1)?.kind, 'error');
  const tap = dialect.stream.tap(clientOf(dialect.id), {});
  const facts = frames.map((frame) => tap.inspect(frame));
  assert.ok(facts.some((fact) => fact.error !== undefined), 'the tap sees the error');
  assert.ok(!facts.some((fact) => fact.complete), 'a failed stream is not complete');
}
