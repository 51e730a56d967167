import { test } from 'node:test';
import fc from 'fast-check';
import { arraysSplit, seed } from './stream-splitters-rig.ts';

test('random JSON arrays split into their elements at any byte split', () => {
  fc.assert(arraysSplit, { seed, numRuns: 2_000 });
});
