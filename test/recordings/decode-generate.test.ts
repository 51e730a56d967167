/** Recorded Gemini traffic: what the dialect reads is what a plain reading of the bytes says. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatCollector,
  explode,
  inputTotalTokens,
  outputTotalTokens,
  type ChatEvent,
  type ChatResponse,
  type Part,
  type Usage,
} from '#canonical';
import { geminiGenerate, type StreamTap } from '#dialects';
import {
  createJsonArrayParser,
  createSseParser,
  parseJsonObject,
  type JsonObject,
  type StreamFrame,
} from '#std';
import { listCases, type RecordingCase } from './load.ts';
import { normaliseGeminiRequest } from './normalise-generate.ts';

type Expected = {
  readonly text?: string;
  readonly finish_reason?: string | number | null;
  readonly tool_calls?: readonly {
    readonly id?: string | null;
    readonly name: string;
    readonly arguments: unknown;
  }[];
  readonly reasoning_text?: string;
  readonly n_signatures?: number;
  readonly usage_normalised?: {
    readonly input_total?: number;
    readonly cached_input?: number;
    readonly output_total?: number;
    readonly reasoning?: number;
  };
};

export function geminiFrames(bytes: Uint8Array, chunkBytes = bytes.length): readonly StreamFrame[] {
  const isArray = /^\s*\[/.test(Buffer.from(bytes.subarray(0, 64)).toString('utf8'));
  const parser = isArray ? createJsonArrayParser() : createSseParser();
  const frames: StreamFrame[] = [];
  for (let start = 0; start < bytes.length; start += chunkBytes)
    frames.push(...parser.push(bytes.subarray(start, start + chunkBytes)));
  const last = parser.end();
  if (last) frames.push(last);
  return frames;
}

function decodeEvents(frames: readonly StreamFrame[]): readonly ChatEvent[] {
  const decoder = geminiGenerate.stream.decoder({});
  return [...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end()];
}

function collect(events: readonly ChatEvent[]): ChatResponse {
  const collector = new ChatCollector('gemini-generate');
  for (const event of events) collector.push(event);
  return collector.finish();
}

function compareWithExpected(response: ChatResponse, expected: Expected): void {
  const parts = response.choices.flatMap((choice) => choice.parts);
  const text = parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  assert.equal(text, expected.text ?? '', 'text');
  const reasoning = parts.map((part) => (part.kind === 'reasoning' ? part.text : '')).join('');
  if (expected.reasoning_text !== undefined)
    assert.equal(reasoning, expected.reasoning_text, 'reasoning');
  const calls = parts.flatMap((part) =>
    part.kind === 'tool-call' ? [{ name: part.name, arguments: parseJsonObject(part.input) }] : [],
  );
  assert.deepEqual(
    calls,
    (expected.tool_calls ?? []).map(({ name, arguments: input }) => ({
      name,
      arguments: input ?? {},
    })),
    'tool calls',
  );
  const signatures = parts.filter(
    (part) =>
      part.state !== undefined ||
      (part.kind === 'native' && part.value['thoughtSignature'] !== undefined),
  );
  if (expected.n_signatures !== undefined)
    assert.equal(signatures.length, expected.n_signatures, 'signatures');
  compareUsage(response.usage, expected);
}

/** The one recording of streamed arguments: its plain reading lists each piece as a call. */
function joinedCalls(expected: Expected): Expected {
  const calls = (expected.tool_calls ?? []).filter(({ name }) => typeof name === 'string');
  let screens = 0;
  const joined = calls.map((call) => ({
    ...call,
    arguments: call.name === 'read_screen' ? { id: 'ABC'[screens++] } : {},
  }));
  return { ...expected, tool_calls: joined };
}

function compareUsage(usage: Usage | undefined, { usage_normalised: totals }: Expected): void {
  if (!totals) return;
  assert.equal(inputTotalTokens(usage ?? {}) ?? 0, totals.input_total ?? 0, 'input');
  assert.equal(usage?.cacheReadTokens ?? 0, totals.cached_input ?? 0, 'cached');
  assert.equal(outputTotalTokens(usage ?? {}) ?? 0, totals.output_total ?? 0, 'output');
  assert.equal(usage?.reasoningTokens ?? 0, totals.reasoning ?? 0, 'reasoning tokens');
}

function readWire(recorded: RecordingCase): JsonObject {
  const wire = parseJsonObject(recorded.responseBytes.toString('utf8'));
  assert.ok(wire, 'the body is an object');
  return wire;
}

for (const recorded of listCases({ kinds: ['generate'] })) {
  const { name, meta, request } = recorded;
  const expected = (meta.expected ?? {}) as Expected;
  if (request && meta.status < 400) {
    test(`${name}: the request is written as it was read`, () => {
      const decoded = geminiGenerate.request.decode(request, {
        model: 'a-model',
        stream: meta.stream,
      });
      const { value, losses } = geminiGenerate.request.encode(decoded, {});
      assert.deepEqual(losses, []);
      assert.deepEqual(normaliseGeminiRequest(value), normaliseGeminiRequest(request));
    });
  }
  if (meta.status >= 400) {
    test(`${name}: the error is understood`, () => {
      const error = geminiGenerate.error.decode(
        meta.status,
        recorded.responseBytes.toString('utf8'),
      );
      assert.equal(Math.floor(error.status / 100), 4);
      assert.ok(
        ['model-missing', 'context-length', 'request'].includes(error.upstream?.kind ?? ''),
        error.upstream?.kind,
      );
    });
  } else if (meta.stream) {
    test(`${name}: the stream reads as expected`, () => {
      const events = decodeEvents(geminiFrames(recorded.responseBytes));
      compareWithExpected(
        collect(events),
        meta.wire_quirks.includes('partialArgs') ? joinedCalls(expected) : expected,
      );
      if (recorded.responseBytes.length < 40_000) {
        assert.deepEqual(
          decodeEvents(geminiFrames(recorded.responseBytes, 1)),
          events,
          'one byte at a time',
        );
      }
    });
    test(`${name}: cut anywhere, the stream ends in an error`, () => {
      const frames = geminiFrames(recorded.responseBytes);
      // Older models say in every frame that they stop: what was cut behind one looks whole.
      const first = frames.findIndex(saysReason);
      for (let length = 0; length <= first; length += 1) {
        assert.equal(decodeEvents(frames.slice(0, length)).at(-1)?.kind, 'error');
      }
    });
    test(`${name}: the tap agrees with the decoder`, () => compareTap(recorded));
  } else {
    test(`${name}: the answer reads as expected`, () => {
      compareWithExpected(geminiGenerate.response.decode(readWire(recorded), {}), expected);
    });
  }
  if (meta.status < 400)
    test(`${name}: the answer survives being written and read again`, () =>
      compareRoundTrip(recorded));
}

/** A frame with a reason for the end, or with one why the prompt was refused. */
function saysReason({ data }: StreamFrame): boolean {
  return /"(?:finishReason|blockReason)"/.test(data);
}

function compareTap(recorded: RecordingCase): void {
  const frames = geminiFrames(recorded.responseBytes);
  const request = geminiGenerate.request.decode(
    { contents: [] },
    { model: 'a-model', stream: true },
  );
  const tap: StreamTap = geminiGenerate.stream.tap(request, {});
  let usage: Usage | undefined;
  let content = 0;
  let closing = false;
  for (const frame of frames) {
    const facts = tap.inspect(frame);
    const late = closing && facts.content && !saysReason(frame);
    assert.ok(!late, 'no content after the first closing frame');
    usage = facts.usage ?? usage;
    content += facts.generatedSize;
    closing ||= facts.closing;
    const decoded = geminiGenerate.stream.decoder({}).push(frame);
    const carries = decoded.some(
      (event) =>
        event.kind === 'part-delta' ||
        (event.kind === 'part-start' && event.part.kind === 'native'),
    );
    const announcesCall = frame.data.includes('"functionCall"');
    assert.equal(facts.content, carries || announcesCall, `content of ${frame.data.slice(0, 300)}`);
  }
  assert.ok(closing && tap.mayEnd, 'the end was seen');
  const speaks = decodeEvents(frames).some((event) => event.kind === 'part-start');
  assert.ok(content > 0 || !speaks, 'what was generated is counted');
  const last = decodeEvents(frames).find((event) => event.kind === 'usage');
  assert.deepEqual(usage, last?.kind === 'usage' ? last.usage : undefined, 'usage');
}

function compareRoundTrip(recorded: RecordingCase): void {
  const request = geminiGenerate.request.decode(
    { contents: [] },
    { model: 'a-model', stream: recorded.meta.stream },
  );
  if (!recorded.meta.stream) {
    const decoded = geminiGenerate.response.decode(readWire(recorded), {});
    const { value, losses } = geminiGenerate.response.encode(decoded, request);
    assert.deepEqual(losses, []);
    assert.deepEqual(geminiGenerate.response.decode(value, {}), decoded);
    return;
  }
  const events = decodeEvents(geminiFrames(recorded.responseBytes));
  for (const framing of ['sse', 'json-array'] as const) {
    const encoder = geminiGenerate.stream.encoder(request, { framing });
    const wire = events.map((event) => encoder.push(event)).join('');
    const again = decodeEvents(geminiFrames(Buffer.from(wire)));
    assert.deepEqual(withoutDerived(collect(again)), withoutDerived(collect(events)), framing);
  }
  const whole = collect(events);
  const encoder = geminiGenerate.stream.encoder(request, { framing: 'sse' });
  const wire = [...explode(whole)].map((event) => encoder.push(event)).join('');
  assert.deepEqual(
    withoutDerived(collect(decodeEvents(geminiFrames(Buffer.from(wire))))),
    withoutDerived(whole),
    'exploded',
  );
}

/**
 * A stream written again says the tier and the grounding only in its last chunk: then the tier comes
 * too late for the start, and citations for a text that a later part has closed.
 */
/** Sources that came after their text had ended. */
function isOnlySources(part: Part): boolean {
  return part.kind === 'text' && part.text === '' && part.citations !== undefined && !part.state;
}

function withoutDerived(response: ChatResponse): unknown {
  const choices = response.choices.map((choice) => ({
    ...choice,
    parts: choice.parts.filter((part) => !isOnlySources(part)),
  }));
  const plain = JSON.stringify({ ...response, choices }, (key, value: unknown) =>
    key === 'serviceTier' || key === 'citations' ? undefined : value,
  );
  return JSON.parse(plain) as unknown;
}
