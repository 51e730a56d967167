/** Rule 4: anything at all decodes, or fails in the one way that is foreseen. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  errorRegistry,
  gatewayError,
  GatewayFailure,
  type ChatRequest,
  type ErrorCode,
} from '#canonical';
import type { Dialect, Frame } from '#dialects';
import { asObject, parseJson, ReadError, type JsonObject, type JsonValue } from '#std';
import { anyJson, chatRequests, chatResponses, damaged, eventsOf } from './arbitrary-chat.ts';
import {
  assertStreamGrammar,
  bill,
  clientOf,
  decodeFrames,
  encodeStream,
  framesOf,
  holds,
  pieceLengths,
  runs,
  sse,
  type Check,
} from './dialect-base.ts';

const codes = Object.keys(errorRegistry) as readonly ErrorCode[];

type Totality = (value: JsonValue) => void;

export function totalityChecks(dialect: Dialect): readonly Check[] {
  const client = clientOf(dialect.id);
  const requests = fc
    .tuple(chatRequests(dialect.id, { foreign: true }), fc.nat({ max: 10_000 }), anyJson)
    .map(([request, place, other]) => {
      const { value } = dialect.request.encode(request, {});
      return damaged(value, place, other) as JsonValue;
    });
  const answers = fc
    .tuple(chatResponses(dialect.id), fc.nat({ max: 10_000 }), anyJson)
    .map(([response, place, other]) => {
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
    [
      'any JSON is a request or a ReadError with a path',
      () => holds(fc.oneof(requests, anything), decodesRequest, runs * 4),
    ],
    [
      'any JSON is an answer or a GatewayFailure',
      () => holds(fc.oneof(answers, anything), decodesAnswer, runs * 4),
    ],
    [
      'any text can be annotated',
      () =>
        holds(fc.oneof(fc.string(), fc.json()), (text) =>
          assert.equal(typeof dialect.response.annotate(text, bill), 'string'),
        ),
    ],
    ['any frames make a well-formed stream', () => checkAnyFrames(dialect)],
  ];
}

function decodeOrReadError(dialect: Dialect, object: JsonObject): void {
  let decoded: ChatRequest;
  try {
    decoded = dialect.request.decode(object, {});
  } catch (error) {
    assert.ok(
      error instanceof ReadError,
      `not a ReadError: ${String(error instanceof Error ? error.stack : error)}`,
    );
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
    assert.ok(
      error instanceof GatewayFailure,
      `not a GatewayFailure: ${String(error instanceof Error ? error.stack : error)}`,
    );
    return undefined;
  }
}

/** Frames of a real stream, some of them damaged, doubled, out of order or made up. */
function checkAnyFrames(dialect: Dialect): void {
  const mutation = fc.record({
    at: fc.nat({ max: 1000 }),
    kind: fc.constantFrom('damage', 'drop', 'double', 'move', 'insert', 'garble'),
    place: fc.nat({ max: 10_000 }),
    value: anyJson,
  });
  const arbitrary = fc.tuple(
    chatResponses(dialect.id),
    pieceLengths,
    fc.array(mutation, { minLength: 1, maxLength: 3 }),
  );
  holds(
    arbitrary,
    ([response, pieceLength, mutations]) => {
      const frames = [
        ...framesOf(Buffer.from(encodeStream(dialect, eventsOf(response, pieceLength))), sse),
      ];
      for (const { at, kind, place, value } of mutations) mutate(frames, at, kind, place, value);
      assertStreamGrammar(decodeFrames(dialect, frames));
      const tap = dialect.stream.tap(clientOf(dialect.id), {});
      for (const frame of frames) {
        assert.ok(tap.inspect(frame).generatedSize >= 0);
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
  if (kind === 'damage' && parsed.ok)
    frames[index] = { ...frame, data: JSON.stringify(damaged(parsed.value, place, value)) };
  else if (kind === 'drop') frames.splice(index, 1);
  else if (kind === 'double') frames.splice(index, 0, frame);
  else if (kind === 'move') frames.unshift(...frames.splice(index, 1));
  else if (kind === 'insert')
    frames.splice(index, 0, { event: frame.event, data: JSON.stringify(value) });
  else frames[index] = { ...frame, data: frame.data.slice(0, place % (frame.data.length + 1)) };
  if (frames.length === 0) frames.push({ data: '{}' });
}

export function errorChecks(dialect: Dialect): readonly Check[] {
  const statuses = fc.constantFrom(
    200,
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    413,
    418,
    422,
    429,
    500,
    502,
    503,
    504,
    529,
  );
  const bodies = fc.oneof(
    fc.string(),
    fc.json(),
    anyJson.map((value) => JSON.stringify({ error: value })),
    anyJson.map((value) =>
      JSON.stringify([{ error: { message: value, code: value, details: value } }]),
    ),
  );
  return [
    [
      'any body of a failed request is an error with a status that a client may see',
      () =>
        holds(
          fc.tuple(statuses, bodies),
          ([status, body]) => {
            const error = dialect.error.decode(status, body);
            assert.ok(error.status >= 400 && error.status <= 599 && error.status !== 401);
            assert.ok(error.upstream && error.message.length > 0);
          },
          runs * 2,
        ),
    ],
    [
      'every error of the registry is written with its status and message, and reads as an error',
      () =>
        holds(fc.constantFrom(...codes), (code) => {
          const written = dialect.error.encode(
            gatewayError(code, 'What went wrong.', { path: 'messages[0]' }),
            'req_1',
          );
          assert.equal(written.status, errorRegistry[code].status);
          assert.ok(JSON.stringify(written.body).includes('What went wrong.'));
          assert.ok(dialect.error.decode(written.status, JSON.stringify(written.body)).upstream);
        }),
    ],
  ];
}
