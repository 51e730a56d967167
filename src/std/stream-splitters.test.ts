import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createAwsEventStreamParser, formatAwsEvent } from './aws-event-stream.ts';
import { FramingError } from './framing.ts';
import { createJsonArrayParser } from './json-array-stream.ts';
import { createNdjsonParser } from './ndjson.ts';
import { arraysSplit, feed, seed } from './stream-splitters-rig.ts';

function sortedCuts(length: number): fc.Arbitrary<number[]> {
  return fc
    .uniqueArray(fc.nat(length), { maxLength: 12 })
    .map((cuts) => cuts.toSorted((left, right) => left - right));
}

test('random JSON arrays split into their elements at any byte split', () => {
  fc.assert(arraysSplit, { seed, numRuns: 300 });
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
