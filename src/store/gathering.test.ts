import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gathering } from './gathering.ts';

function gatheringAt() {
  const clock = { nowMs: 0 };
  return { clock, gathering: new Gathering(() => clock.nowMs) };
}

test('an operation that is alone, and one after it, never waits', () => {
  const { clock, gathering } = gatheringAt();
  for (const count of [1, 1, 2, 3, 1]) {
    clock.nowMs += 10;
    assert.equal(gathering.patienceMs(count), 0);
    gathering.taken(count);
  }
});

test('after a crowd the next batch waits for most of another, half a cycle and never long', () => {
  const { clock, gathering } = gatheringAt();
  gathering.taken(20);
  clock.nowMs += 1;
  assert.equal(gathering.patienceMs(3), 0, 'half of a millisecond is less than a timer can do');
  clock.nowMs += 5;
  assert.equal(gathering.patienceMs(3), 3);
  assert.equal(gathering.patienceMs(18), 0, 'nearly as many are there');
  clock.nowMs += 100;
  assert.equal(gathering.patienceMs(17), 4);
});

test('waiting ends with the operation that was waited for, not before', async () => {
  const { clock, gathering } = gatheringAt();
  gathering.taken(10);
  clock.nowMs += 100;
  assert.equal(gathering.patienceMs(1), 4);
  let over = false;
  const waiting = gathering.wait(60_000).then(() => (over = true));
  for (let count = 2; count < 9; count += 1) gathering.grown(count);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(over, false);
  gathering.grown(9);
  await waiting;
});

test('waiting ends when the time is over, or something else must be done', async () => {
  const { clock, gathering } = gatheringAt();
  gathering.taken(10);
  clock.nowMs += 100;
  await gathering.wait(gathering.patienceMs(1));
  const waiting = gathering.wait(60_000);
  gathering.hurry();
  await waiting;
});

test('a steady stream after a crowd is soon written as it comes', () => {
  const { clock, gathering } = gatheringAt();
  gathering.taken(40);
  let batches = 0;
  for (; batches < 100; batches += 1) {
    // A flush takes half a millisecond, and two operations come in a millisecond.
    clock.nowMs += 0.5;
    const patienceMs = gathering.patienceMs(1);
    if (patienceMs === 0) break;
    clock.nowMs += patienceMs;
    gathering.taken(1 + Math.floor(patienceMs * 2));
  }
  assert.ok(batches < 5, `${batches} batches waited`);
});
