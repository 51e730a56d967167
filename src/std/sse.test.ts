import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FramingError } from './framing.ts';
import { checkSplits, fields, parse, seed, streams } from './sse-rig.ts';
import { createSseParser, formatSse } from './sse.ts';

for (const { name, body, expected, tail } of streams) {
  test(`the parser reads ${name}`, () => {
    const cut = parse(Buffer.from(body));
    assert.deepEqual(fields(cut.frames), expected);
    assert.deepEqual(cut.tail === undefined ? undefined : fields([cut.tail])[0], tail);
    assert.equal(cut.raw.toString(), body);
  });
}

test('any byte split gives the same frames and the same bytes', () => {
  assert.ok(checkSplits(100) >= 5_000);
});

test('every raw ends with its blank line when the chunk holds it', () => {
  const { frames } = parse(Buffer.from('data: a\r\n\r\n: c\ndata: b\n\n'));
  assert.deepEqual(
    frames.map((frame) => Buffer.from(frame.raw).toString()),
    ['data: a\r\n\r\n', ': c\ndata: b\n\n'],
  );
});

test('random frames survive formatting and parsing', () => {
  const line = fc.string({ unit: 'grapheme' }).filter((text) => !/[\r\n\0]/.test(text));
  fc.assert(
    fc.property(line, line, fc.array(line, { minLength: 1 }), (event, id, lines) => {
      const data = lines.join('\n');
      const { frames } = parse(Buffer.from(formatSse({ event, id, data })));
      const named = event === '' ? {} : { event };
      assert.deepEqual(fields(frames), [{ ...named, data, id }]);
    }),
    { seed, numRuns: 1_000 },
  );
  assert.throws(() => formatSse({ event: 'a\nb', data: '' }), RangeError);
});

test('a line or an event over its limit is refused, whole or in pieces', () => {
  const limits = { maxLineBytes: 100, maxEventBytes: 300 };
  const longLine = Buffer.from(`data: ${'x'.repeat(100)}`);
  const longEvent = Buffer.from(`data: ${'x'.repeat(80)}\n`.repeat(5));
  for (const [body, fault] of [
    [longLine, 'line-too-long'],
    [longEvent, 'event-too-large'],
  ] as const) {
    for (const size of [1, 7, body.length]) {
      const parser = createSseParser(limits);
      const feed = (): void => {
        for (let at = 0; at < body.length; at += size) parser.push(body.subarray(at, at + size));
      };
      assert.throws(feed, (error) => error instanceof FramingError && error.fault === fault);
    }
  }
});

test('an endless run of comments is bounded', () => {
  const parser = createSseParser({ maxEventBytes: 1_000 });
  assert.throws(() => {
    for (let count = 0; count < 100; count++) parser.push(Buffer.from(': still here\n\n'));
  }, FramingError);
});
