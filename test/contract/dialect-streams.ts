/** Rules 3 and 4 for streams: well-formed, cut or split anywhere, seen alike by decoder and tap. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  errorRegistry,
  gatewayError,
  inputTotalTokens,
  outputTotalTokens,
  type ChatEvent,
  type ChatResponse,
  type DialectId,
  type ErrorCode,
} from '#canonical';
import type { Dialect, StreamForm } from '#dialects';
import { chatResponses, eventsOf } from './arbitrary-chat.ts';
import {
  assertStreamGrammar,
  bill,
  clientOf,
  collect,
  decodeFrames,
  encodeStream,
  framesOf,
  holds,
  pieceLengths,
  plain,
  runs,
  seed,
  sourcesOf,
  splitRuns,
  sse,
  type Check,
} from './dialect-base.ts';
import { assertSameAnswer } from './dialect-translation.ts';

const codes = Object.keys(errorRegistry) as readonly ErrorCode[];

export function streamChecks(dialect: Dialect): readonly Check[] {
  const forms: readonly StreamForm[] =
    dialect.id === 'gemini-generate' ? [sse, { framing: 'json-array' }] : [sse];
  const streamsOf = (from: DialectId): fc.Arbitrary<readonly [ChatResponse, number]> =>
    fc.tuple(chatResponses(from), pieceLengths);
  return [
    ...forms.flatMap((form) =>
      sourcesOf(dialect).map((from): Check => [
        `a stream of ${from} is written so that it reads as the same answer (${form.framing})`,
        () =>
          holds(streamsOf(from), ([response, pieceLength]) => {
            const losses: { path: string }[] = [];
            const encoder = dialect.stream.encoder(clientOf(dialect.id), form, (path) =>
              losses.push({ path }),
            );
            const text = eventsOf(response, pieceLength)
              .map((event) => encoder.push(event))
              .join('');
            const events = decodeFrames(dialect, framesOf(Buffer.from(text), form));
            assertStreamGrammar(events);
            assertSameAnswer(collect(dialect.id, events), response, losses);
          }),
      ]),
    ),
    [
      'a stream cut after any frame is an error, or nothing is missing',
      () => holds(streamsOf(dialect.id), (value) => checkCuts(dialect, value), Math.ceil(runs / 4)),
    ],
    ['however the bytes are split, the same events come out', () => checkSplits(dialect, forms)],
    [
      'the tap sees what the decoder sees',
      () => holds(streamsOf(dialect.id), (value) => checkTap(dialect, value)),
    ],
    [
      'a heartbeat is legal between any two events',
      () => holds(streamsOf(dialect.id), (value) => checkHeartbeat(dialect, value)),
    ],
    [
      'an error ends a stream',
      () => holds(fc.constantFrom(...codes), (code) => checkStreamError(dialect, code)),
    ],
  ];
}

function checkCuts(
  dialect: Dialect,
  [response, pieceLength]: readonly [ChatResponse, number],
): void {
  const frames = framesOf(Buffer.from(encodeStream(dialect, eventsOf(response, pieceLength))), sse);
  const whole = withoutOptionalEnd(dialect.id, collect(dialect.id, decodeFrames(dialect, frames)));
  for (let length = 0; length < frames.length; length += 1) {
    const events = decodeFrames(dialect, frames.slice(0, length));
    assertStreamGrammar(events);
    const last = events.at(-1);
    if (last?.kind === 'error') continue;
    assert.deepEqual(
      withoutOptionalEnd(dialect.id, collect(dialect.id, events)),
      whole,
      `cut after frame ${length} of ${frames.length} looks finished`,
    );
  }
}

/** Chat streams may end after their finish chunk: some vendors send neither usage nor `[DONE]`. */
function withoutOptionalEnd(dialect: DialectId, response: ChatResponse): unknown {
  const { usage, ...rest } = response;
  return plain(
    dialect === 'openai-chat' || dialect === 'openai-completions' ? rest : { usage, ...rest },
  );
}

/** A few streams, split at very many random places. */
function checkSplits(dialect: Dialect, forms: readonly StreamForm[]): void {
  const samples = fc.sample(fc.tuple(chatResponses(dialect.id), pieceLengths), {
    seed,
    numRuns: 12,
  });
  const streams = forms.flatMap((form) =>
    samples.map(([response, pieceLength]) => {
      const bytes = Buffer.from(encodeStream(dialect, eventsOf(response, pieceLength), form));
      return {
        form,
        bytes,
        expected: JSON.stringify(decodeFrames(dialect, framesOf(bytes, form))),
      };
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

function checkTap(
  dialect: Dialect,
  [response, pieceLength]: readonly [ChatResponse, number],
): void {
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
    if (deltas.length > 0 && !closing)
      assert.ok(facts.content || facts.generatedSize === 0, `content was not seen: ${frame.data}`);
    assert.ok(!(closing && facts.content), `content after the first held frame: ${frame.data}`);
    assert.ok(!closing || facts.closing, `held frames stay held: ${frame.data}`);
    closing = facts.closing;
    complete ||= facts.complete;
    usage = facts.usage ?? usage;
    assert.equal(facts.error, undefined);
    if (facts.closing && tap.annotate(frame, bill)?.includes('rcp_contract')) billed += 1;
  }
  assert.ok(complete || tap.mayEnd, 'the end was seen');
  assert.equal(billed, 1, 'one held frame takes the bill');
  assert.equal(inputTotalTokens(usage ?? {}), inputTotalTokens(response.usage ?? {}));
  assert.equal(outputTotalTokens(usage ?? {}), outputTotalTokens(response.usage ?? {}));
}

function checkHeartbeat(
  dialect: Dialect,
  [response, pieceLength]: readonly [ChatResponse, number],
): void {
  const encoder = dialect.stream.encoder(clientOf(dialect.id), sse);
  const chunks = eventsOf(response, pieceLength).map((event) => encoder.push(event));
  const heartbeat = dialect.stream.heartbeat(sse);
  assert.notEqual(heartbeat, '');
  const quiet = decodeFrames(dialect, framesOf(Buffer.from(chunks.join('')), sse));
  const beating = decodeFrames(
    dialect,
    framesOf(Buffer.from(chunks.filter((chunk) => chunk !== '').join(heartbeat)), sse),
  );
  assert.deepEqual(beating, quiet);
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
  assert.ok(
    facts.some((fact) => fact.error !== undefined),
    'the tap sees the error',
  );
  assert.ok(
    !facts.some((fact) => fact.complete && !fact.error),
    'a failed stream is never complete without its error',
  );
}
