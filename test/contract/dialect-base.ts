/** What the parts of the contract of dialects share: seeds, the grammar of streams, reading and writing. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  ChatCollector,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type DialectId,
  type Part,
} from '#canonical';
import type { Dialect, Frame, StreamForm } from '#dialects';
import {
  createJsonArrayParser,
  createSseParser,
  nanoUsd,
  parseJson,
  parseJsonObject,
  type FrameParser,
  type JsonObject,
} from '#std';

export const seed = Number(process.env['MANIFOLD_SEED'] ?? Date.now() % 2_147_483_647);
const long = process.env['MANIFOLD_LONG_TESTS'] === '1';

/** Runs per property; byte splits are counted over all dialects (100,000 in the long run). */
export const runs = long ? 2_000 : 100;
export const splitRuns = long ? 25_000 : 500;

const chatDialects = [
  'openai-chat',
  'openai-responses',
  'anthropic-messages',
  'gemini-generate',
] as const satisfies readonly DialectId[];

/** Whose conversations a dialect has to carry: the completions dialect only its own. */
export function sourcesOf(dialect: Dialect): readonly DialectId[] {
  return dialect.id === 'openai-completions' ? [dialect.id] : chatDialects;
}

export type Check = readonly [name: string, run: () => void];

/** How long the pieces are in which an answer is streamed. */
export const pieceLengths = fc.integer({ min: 1, max: 9 });

export const sse: StreamForm = { framing: 'sse' };

export function holds<T>(
  arbitrary: fc.Arbitrary<T>,
  predicate: (value: T) => void,
  numRuns = runs,
): void {
  fc.assert(fc.property(arbitrary, predicate), { seed, numRuns });
}

/** Asserts the grammar in src/canonical/chat.ts: `start`, whole parts, ends, usage, one last event. */
export function assertStreamGrammar(events: readonly ChatEvent[]): void {
  const open = new Map<number, number>();
  const ended = new Set<number>();
  let nextIndex = 0;
  let usageSeen = false;
  const finish = events.findIndex((event) => event.kind === 'finished');
  const behind = finish < 0 ? [] : events.slice(finish + 1);
  assert.ok(
    behind.every((event) => event.kind === 'usage'),
    'only counts come behind the end',
  );
  const length = events.length - behind.length;
  for (const [position, event] of events.slice(0, length).entries()) {
    const at = `event ${position} (${event.kind})`;
    const last = position === length - 1;
    assert.equal(
      last,
      event.kind === 'finished' || event.kind === 'error',
      `${at}: only the last event ends the stream`,
    );
    if (event.kind !== 'error')
      assert.equal(position === 0, event.kind === 'start', `${at}: start is the first event, once`);
    if (event.kind === 'part-start') {
      assert.equal(event.index, nextIndex, `${at}: indexes count up`);
      assert.ok(
        ![...open.values()].includes(event.choice),
        `${at}: parts of a choice do not overlap`,
      );
      assert.ok(!ended.has(event.choice) && !usageSeen, `${at}: nothing after the end`);
      open.set(event.index, event.choice);
      nextIndex += 1;
    } else if (event.kind === 'part-delta')
      assert.ok(open.has(event.index), `${at}: the part is open`);
    else if (event.kind === 'part-end')
      assert.ok(open.delete(event.index), `${at}: the part is open`);
    else if (event.kind === 'end') {
      assert.ok(
        ![...open.values()].includes(event.choice) && !ended.has(event.choice),
        `${at}: ends once, parts closed`,
      );
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

// ---- reading and writing ------------------------------------------------------------------

/** What was encoded as a reader on the other side gets it: as JSON. */
export function wire(value: JsonObject): JsonObject {
  const parsed = parseJsonObject(JSON.stringify(value));
  assert.ok(parsed);
  return parsed;
}

export type Said = { readonly who: string; readonly kind: string; readonly what: unknown };

export function saidBy(who: string, part: Part): readonly Said[] {
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return part.text === '' ? [] : [{ who, kind: 'text', what: part.text }];
    case 'media':
      return [{ who, kind: part.media, what: Object.values(part.source).slice(0, 2) }];
    case 'reasoning':
      return part.text === '' ? [] : [{ who, kind: 'reasoning', what: part.text }];
    case 'tool-call':
      return [
        { who, kind: 'call', what: [part.name, parseJson(part.input === '' ? '{}' : part.input)] },
      ];
    case 'tool-result':
      return part.parts.flatMap((inner) => saidBy(who, inner));
    case 'native':
      return [];
  }
}

/** Texts that one speaker said in a row may come back as one; those of a tool with space between. */
export function merged(said: readonly Said[]): readonly Said[] {
  const result: Said[] = [];
  for (const one of said) {
    const last = result.at(-1);
    if (last && last.kind === 'text' && one.kind === 'text' && last.who === one.who) {
      result[result.length - 1] = { ...last, what: `${String(last.what)}${String(one.what)}` };
    } else result.push(one);
  }
  return result.map((one) =>
    one.who === 'tool' && one.kind === 'text'
      ? { ...one, what: String(one.what).replace(/\s/g, '') }
      : one,
  );
}

/** `undefined` and absent mean the same in the neutral model. */
export function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

export const bill = { costNanoUsd: nanoUsd(1_234_567), receiptId: 'rcp_contract' };

/** A client that asked for a stream with everything in it. */
export function clientOf(dialect: DialectId): ChatRequest {
  return {
    dialect,
    model: 'model-asked',
    messages: [{ role: 'user', parts: [{ kind: 'text', text: 'Hello.' }] }],
    tools: [],
    stream: true,
    streamUsage: true,
    encryptedReasoning: true,
    extensions: {},
  };
}

/** Wire text of a stream, written by the dialect's own encoder. */
export function encodeStream(
  dialect: Dialect,
  events: readonly ChatEvent[],
  form: StreamForm = { framing: 'sse' },
): string {
  const encoder = dialect.stream.encoder(clientOf(dialect.id), form);
  return events.map((event) => encoder.push(event)).join('');
}

export function framesOf(
  bytes: Uint8Array,
  form: StreamForm,
  cuts: readonly number[] = [],
): readonly Frame[] {
  const parser: FrameParser = form.framing === 'sse' ? createSseParser() : createJsonArrayParser();
  const frames: Frame[] = [];
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort(
    (left, right) => left - right,
  );
  let start = 0;
  for (const end of [...ends, bytes.length]) {
    frames.push(...parser.push(bytes.slice(start, end)));
    start = end;
  }
  const last = parser.end();
  return last ? [...frames, last] : frames;
}

export function decodeFrames(dialect: Dialect, frames: readonly Frame[]): readonly ChatEvent[] {
  const decoder = dialect.stream.decoder({});
  const events = frames.flatMap((frame) => [...decoder.push(frame)]);
  return [...events, ...decoder.end()];
}

export function collect(dialect: DialectId, events: readonly ChatEvent[]): ChatResponse {
  const collector = new ChatCollector(dialect);
  for (const event of events) collector.push(event);
  return collector.finish();
}
