import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToldLevels } from './told-levels.ts';

const second = 1_000;

test('the poorest reading of the last seconds rules, and is forgotten afterwards', () => {
  const told = new ToldLevels();
  assert.equal(told.add(-100, 0, 0), -100);
  assert.equal(told.add(-40, 0, second), 0);
  assert.equal(told.add(-140, 0, 2 * second), -40);
  assert.equal(told.add(-20, 0, 6 * second), 0);
  assert.equal(told.add(-20, 0, 7 * second), 120);
  assert.equal(told.corrections, -20);
});

test('a vendor that debits more than we count is found out, and one that debits less is not held against it', () => {
  const told = new ToldLevels();
  const poorer = new ToldLevels();
  for (let count = 0; count < 100; count++) {
    poorer.add(-150 * count, 1_000 * count, count * 100);
    told.add(150 * count, 1_000 * count, count * 100);
  }
  assert.ok(Math.abs(poorer.undercount - 0.15) < 1e-9, `${poorer.undercount}`);
  assert.equal(told.undercount, 0);
});

test('after a reset nothing said before counts', () => {
  const told = new ToldLevels();
  told.add(-500, 0, 0);
  told.reset();
  assert.equal(told.add(-20, 0, 0), -20);
});
