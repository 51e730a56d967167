/** A parser fed in pieces, and what must hold of any JSON array: briefly in the gate, at length beside it. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { FrameParser, StreamFrame } from './framing.ts';
import { createJsonArrayParser } from './json-array-stream.ts';

export const seed = Number(process.env['SEED'] ?? 20261123);

export function feed<Frame extends StreamFrame>(
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

export const arraysSplit = fc.property(
  fc.array(fc.jsonValue(), { maxLength: 6 }),
  fc.constantFrom(0, 1, 2),
  fc.nat(),
  (values, space, at) => {
    const body = Buffer.from(JSON.stringify(values, null, space));
    const parser = createJsonArrayParser();
    const { frames, raw } = feed(parser, body, [at % (body.length + 1)]);
    const expected = JSON.parse(body.toString()) as unknown[];
    assert.deepEqual(
      frames.map((frame): unknown => JSON.parse(frame.data)),
      expected,
    );
    assert.equal(parser.closed, true);
    assert.equal(parser.end(), undefined);
    assert.deepEqual(raw, body);
  },
);
