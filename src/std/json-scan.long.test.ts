import { test } from 'node:test';
import fc from 'fast-check';
import { bytesHaveVerdict, scanAgrees, seed, splicesAgree } from './json-scan-rig.ts';

test('the scan accepts whatever JSON.parse accepts, and finds the same members', () => {
  fc.assert(scanAgrees, { seed, numRuns: 20_000 });
});

test('random bytes give a verdict and never an exception', () => {
  fc.assert(bytesHaveVerdict, { seed, numRuns: 20_000 });
});

test('splices agree with editing the parsed object, for any object and edits', () => {
  fc.assert(splicesAgree, { seed, numRuns: 10_000 });
});
