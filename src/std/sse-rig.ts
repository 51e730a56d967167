/** Streams with what they say, and a parser that is fed in pieces. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createSseParser, type SseFrame } from './sse.ts';

export const seed = Number(process.env['SEED'] ?? 20261123);

type Cut = {
  readonly frames: SseFrame[];
  readonly tail: SseFrame | undefined;
  readonly raw: Buffer;
};

export function parse(body: Buffer, cuts: readonly number[] = []): Cut {
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

export function fields(frames: readonly SseFrame[]): object[] {
  return frames.map(({ raw: _raw, ...rest }) => rest);
}

export const streams: readonly { name: string; body: string; expected: object[]; tail?: object }[] =
  [
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

/** Checks each stream at this many sets of splits; returns the splits that were tried. */
export function checkSplits(numRuns: number): number {
  let splits = 0;
  for (const { body, expected, tail } of streams) {
    const bytes = Buffer.from(body);
    const check = (cuts: readonly number[]): void => {
      const cut = parse(bytes, cuts);
      assert.deepEqual(fields(cut.frames), expected);
      assert.deepEqual(cut.tail && fields([cut.tail])[0], tail);
      assert.equal(Buffer.compare(cut.raw, bytes), 0);
      splits += cuts.length;
    };
    const places = fc.uniqueArray(fc.nat(bytes.length), { minLength: 8, maxLength: 24 });
    fc.assert(
      fc.property(places, (cuts) => check(cuts.toSorted((left, right) => left - right))),
      { seed, numRuns },
    );
    check([...bytes.keys()]);
  }
  return splits;
}
