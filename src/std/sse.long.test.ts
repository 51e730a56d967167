import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkSplits, seed } from './sse-rig.ts';
import { createSseParser } from './sse.ts';

test('any byte split gives the same frames and the same bytes (seeded)', () => {
  const splits = checkSplits(2_000);
  assert.ok(splits >= 100_000, `only ${splits} splits were tried (seed ${seed})`);
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
