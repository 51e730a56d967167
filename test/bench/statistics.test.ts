import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pairedRatio, slopeOf } from './statistics.ts';

test('a straight line has its slope and no doubt', () => {
  const found = slopeOf([0, 1, 2, 3].map((x) => [x, 5 + 2 * x] as const));
  assert.ok(Math.abs(found.slope - 2) < 1e-9 && found.high - found.low < 1e-6);
});

test('the interval is that of a text book', () => {
  // y = 1, 3, 2, 5 over x = 0…3: slope 1.1, standard error 0.5196, t with two degrees 4.30.
  const { slope, low, high } = slopeOf([
    [0, 1],
    [1, 3],
    [2, 2],
    [3, 5],
  ]);
  assert.ok(Math.abs(slope - 1.1) < 1e-9);
  assert.ok(Math.abs(high - slope - 4.3 * 0.5196) < 0.005, `${low} ${high}`);
});

test('two points tell nothing', () => {
  assert.ok(
    Number.isNaN(
      slopeOf([
        [0, 1],
        [1, 2],
      ]).slope,
    ),
  );
});

test('a leg that is twice as dear each round has a ratio of two, whatever the machine did', () => {
  const floor = [50, 90, 70, 300];
  const { median, low, high } = pairedRatio(
    floor.map((value) => value * 2),
    floor,
  );
  assert.deepEqual([median, low, high], [2, 2, 2]);
});
