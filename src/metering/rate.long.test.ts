import { test } from 'node:test';
import fc from 'fast-check';
import { roundedUpOnce, seed } from './rate-rig.ts';

/** 20,000 unless told; `MANIFOLD_RATE_RUNS=10000000` for the long proof. */
const runs = Number(process.env['MANIFOLD_RATE_RUNS'] ?? 20_000);

test(`a charge differs from the exact rational by less than one nano-dollar, always upwards (${runs} cases, seed ${seed})`, () => {
  fc.assert(roundedUpOnce, { seed, numRuns: runs });
});
