import { test } from 'node:test';
import fc from 'fast-check';
import { affordableFits, quoteCovers, seed } from './quote-rig.ts';

const numRuns = 20_000;

test(`no way of using the bound costs more than its quote, at every price of the catalog (${numRuns} cases, seed ${seed})`, () => {
  fc.assert(quoteCovers, { seed, numRuns });
});

test(`what is affordable fits, and one token more does not (${numRuns} cases, seed ${seed})`, () => {
  fc.assert(affordableFits, { seed, numRuns });
});
