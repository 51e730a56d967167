import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Logarithms } from './logarithm.ts';

function logarithm(...values: number[]): readonly number[] {
  const logarithms = new Logarithms(values.length);
  logarithms.values.set(values);
  logarithms.take(0, values.length);
  return [...logarithms.values];
}

test('the logarithms for ranking are those of the engine to seven places', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), { maxLength: 20 }),
      (values) => {
        for (const [index, result] of logarithm(...values).entries())
          assert.ok(Math.abs(result - Math.log(values[index] ?? 0)) < 1e-7, String(values));
      },
    ),
    { numRuns: 1_000 },
  );
});

test('the ends of the scale stay in order', () => {
  const [zero = NaN, least = NaN, most = NaN, infinite = NaN] = logarithm(
    0,
    Number.MIN_VALUE * 2 ** 60,
    Number.MAX_VALUE,
    Infinity,
  );
  assert.ok(zero < least && least < most && infinite > most - 1e-7 && infinite < 710);
});

test('numbers outside of the range stay as they are', () => {
  const logarithms = new Logarithms(3);
  logarithms.values.set([5, 1, 7]);
  logarithms.take(1, 2);
  assert.deepEqual([...logarithms.values], [5, 0, 7]);
});
