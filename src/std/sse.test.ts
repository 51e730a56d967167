import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FramingError } from './framing.ts';
import { createSseParser, formatSse, type SseFrame } from './sse.ts';

const seed = Number(process.env['SEED'] ?? 20261123);

type Cut = {
  readonly frames: SseFrame[];
  readonly tail: SseFrame | undefined;
  readonly raw: Buffer;
};

function parse(body: Buffer, cuts: readonly number[] = []): Cut {
  const parser = createSseParser();
  const frames: SseFrame[] = [];
  let from = 0;
  for (const cut of [...cuts, body.length]) {
    frames.push(...parser.push(Buffer.from(body.subarray(from, cut))));
    from = cut;
  }
  const rest = Buffer.from(parser.rest());
  const tail = parser.end();
  return { frames, tail, raw: Buffer.concat([...frames.map((frame) => frame.raw), rest]) };
}

function fields(frames: readonly SseFrame[]): object[] {
  return frames.map(({ raw: _raw, ...rest }) => rest);
}

const streams: readonly { name: string; body: string; expected: object[]; tail?: object }[] = [
  {
    name: 'LF, comments and several data lines',
    body: ': hello\n\ndata: one\n\nevent: ping\ndata: {"a":1}\ndata:{"b":2}\n\n',
    expected: [{ data: 'one' }, { event: 'ping', data: '{"a":1}\n{"b":2}' }],
  },
  {
    name: 'CRLF as Gemini sends it, with multibyte text',
    body: 'data: {"t":"héé 漢字 😀"}\r\n\r\ndata: x\r\nid: 7\r\n\r\n',
    expected: [{ data: '{"t":"héé 漢字 😀"}' }, { data: 'x', id: '7' }],
  },
  {
    name: 'lone CR and a mixture of terminators',
    body: 'data: a\r\rdata: b\n\r\ndata: c\r\n\ndata: d\r\r\n\n',
    expected: [{ data: 'a' }, { data: 'b' }, { data: 'c' }, { data: 'd' }],
  },
  {
    name: 'byte order mark, empty data, bare names, NUL in id, unknown fields',
    body: '\uFEFFdata\n\ndata:\n\ndata: \n\ndata:  two\nretry: 3\nfoo: bar\nid: a\0b\nid\nevent:\n\n',
    expected: [{ data: '' }, { data: '' }, { data: '' }, { data: ' two', id: '' }],
  },
  {
    name: 'an event without data is none and its name is forgotten',
    body: 'event: ping\n\ndata: after\n\n',
    expected: [{ data: 'after' }],
  },
  {
    name: 'a missing final blank line',
    body: 'data: a\n\nevent: last\ndata: [DONE]',
    expected: [{ data: 'a' }],
    tail: { event: 'last', data: '[DONE]' },
  },
  {
    name: 'field names that only begin like known ones',
    body: 'datax: no\ndat: no\neventual: no\ndata: yes\nids: no\n\n: end\n\n',
    expected: [{ data: 'yes' }],
  },
];

for (const { name, body, expected, tail } of streams) {
  test(`the parser reads ${name}`, () => {
    const cut = parse(Buffer.from(body));
    assert.deepEqual(fields(cut.frames), expected);
    assert.deepEqual(cut.tail === undefined ? undefined : fields([cut.tail])[0], tail);
    assert.equal(cut.raw.toString(), body);
  });
}

test('any byte split gives the same frames and the same bytes (seeded)', () => {
  let splits = 0;
  for (const { body, expected, tail } of streams) {
    const bytes = Buffer.from(body);
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(bytes.length), { minLength: 8, maxLength: 24 }), (cuts) => {
        const sorted = cuts.toSorted((left, right) => left - right);
        const cut = parse(bytes, sorted);
        splits += cuts.length;
        assert.deepEqual(fields(cut.frames), expected);
        assert.deepEqual(cut.tail && fields([cut.tail])[0], tail);
        assert.equal(Buffer.compare(cut.raw, bytes), 0);
      }),
      { seed, numRuns: 2_000 },
    );
    parse(bytes, [...bytes.keys()]);
  }
  assert.ok(splits >= 100_000, `only ${splits} splits were tried (seed ${seed})`);
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

test('a 10 MB event in pieces of one byte takes linear time', () => {
  const parser = createSseParser({ maxLineBytes: 1 << 24, maxEventBytes: 1 << 24 });
  const body = Buffer.alloc(10_000_000, 0x61);
  body.write('data: ', 0);
  body.write('\n\n', body.length - 2);
  const started = performance.now();
  let frames = 0;
  for (let index = 0; index < body.length; index++) {
    frames += parser.push(body.subarray(index, index + 1)).length;
  }
  const elapsedMs = performance.now() - started;
  assert.equal(frames, 1);
  assert.ok(elapsedMs < 10_000, `took ${elapsedMs} ms`);
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
