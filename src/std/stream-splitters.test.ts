import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createAwsEventStreamParser, formatAwsEvent } from './aws-event-stream.ts';
import { FramingError, type FrameParser, type StreamFrame } from './framing.ts';
import { createJsonArrayParser } from './json-array-stream.ts';
import { createNdjsonParser } from './ndjson.ts';

const seed = Number(process.env['SEED'] ?? 20261123);

function feed<Frame extends StreamFrame>(
  parser: FrameParser<Frame>,
  body: Buffer,
  cuts: readonly number[] = [],
): { frames: Frame[]; raw: Buffer } {
  const frames: Frame[] = [];
  let from = 0;
  for (const cut of [...cuts, body.length]) {
    frames.push(...parser.push(Buffer.from(body.subarray(from, cut))));
    from = cut;
  }
  return { frames, raw: Buffer.concat([...frames.map((frame) => frame.raw), parser.rest()]) };
}

function sortedCuts(length: number): fc.Arbitrary<number[]> {
  return fc
    .uniqueArray(fc.nat(length), { maxLength: 12 })
    .map((cuts) => cuts.toSorted((left, right) => left - right));
}

test('random JSON arrays split into their elements at any byte split', () => {
  const indent = fc.constantFrom(0, 1, 2);
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue(), { maxLength: 6 }),
      indent,
      fc.nat(),
      (values, space, at) => {
        const body = Buffer.from(JSON.stringify(values, null, space));
        const parser = createJsonArrayParser();
        const { frames, raw } = feed(parser, body, [at % (body.length + 1)]);
        const expected: unknown[] = JSON.parse(body.toString());
        assert.deepEqual(
          frames.map((frame) => JSON.parse(frame.data)),
          expected,
        );
        assert.equal(parser.closed, true);
        assert.equal(parser.end(), undefined);
        assert.deepEqual(raw, body);
      },
    ),
    { seed, numRuns: 2_000 },
  );
});

test('a truncated array is not closed and gives its last piece as the tail', () => {
  const parser = createJsonArrayParser();
  const { frames } = feed(parser, Buffer.from('[{"a":"]"}\r\n,\r\n{"b":["\\"'));
  assert.deepEqual(
    frames.map((frame) => frame.data),
    ['{"a":"]"}'],
  );
  assert.equal(parser.closed, false);
  assert.equal(parser.end()?.data, '{"b":["\\"');
});

test('what is no array, goes on after the array or is too large is refused', () => {
  for (const body of ['{"error":1}', '[1] 2', `["${'x'.repeat(200)}`]) {
    const parser = createJsonArrayParser({ maxElementBytes: 100 });
    assert.throws(() => feed(parser, Buffer.from(body)), FramingError);
  }
});

test('NDJSON lines split at any byte, with CRLF, blank lines and no last LF', () => {
  const body = Buffer.from('{"a":"漢"}\n\n{"b":2}\r\n{"c":3}');
  fc.assert(
    fc.property(sortedCuts(body.length), (cuts) => {
      const parser = createNdjsonParser();
      const { frames } = feed(parser, body, cuts);
      assert.deepEqual(
        frames.map((frame) => frame.data),
        ['{"a":"漢"}', '{"b":2}'],
      );
      assert.equal(parser.end()?.data, '{"c":3}');
    }),
    { seed, numRuns: 1_000 },
  );
  assert.throws(
    () => feed(createNdjsonParser({ maxLineBytes: 5 }), Buffer.from('123456')),
    FramingError,
  );
});

const awsMessages = [
  formatAwsEvent(
    { ':message-type': 'event', ':event-type': 'chunk' },
    Buffer.from('{"bytes":"漢"}'),
  ),
  formatAwsEvent(
    { ':message-type': 'exception', ':exception-type': 'throttlingException' },
    Buffer.from('{}'),
  ),
  formatAwsEvent({}, Buffer.alloc(0)),
];

test('AWS event-stream messages are decoded at any byte split', () => {
  const body = Buffer.concat(awsMessages);
  fc.assert(
    fc.property(sortedCuts(body.length), (cuts) => {
      const parser = createAwsEventStreamParser();
      const { frames, raw } = feed(parser, body, cuts);
      assert.deepEqual(
        frames.map(({ event, data, messageType }) => ({ event, data, messageType })),
        [
          { event: 'chunk', data: '{"bytes":"漢"}', messageType: 'event' },
          { event: 'throttlingException', data: '{}', messageType: 'exception' },
          { event: undefined, data: '', messageType: 'event' },
        ],
      );
      assert.deepEqual(raw, body);
      assert.equal(parser.end(), undefined);
    }),
    { seed, numRuns: 1_000 },
  );
});

test('the decoder agrees with a message written out by hand', () => {
  // Prelude of 16 bytes in all, no headers, no payload: the empty message of the AWS test suite.
  const empty = Buffer.from('000000100000000005c248eb7d98c8ff', 'hex');
  const [frame] = createAwsEventStreamParser().push(empty);
  assert.equal(frame?.payload.length, 0);
});

test('every flipped bit of an AWS message is noticed', () => {
  const message = awsMessages[0] ?? Buffer.alloc(0);
  for (let bit = 0; bit < message.length * 8; bit++) {
    const damaged = Buffer.from(message);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(() => createAwsEventStreamParser().push(damaged), FramingError);
  }
});

test('random bytes never crash a splitter with anything but a framing error', () => {
  const makers = [createAwsEventStreamParser, createJsonArrayParser, createNdjsonParser];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const make of makers) {
        try {
          const parser = make();
          parser.push(bytes);
          parser.end();
        } catch (error) {
          assert.ok(error instanceof FramingError);
        }
      }
    }),
    { seed, numRuns: 2_000 },
  );
});
