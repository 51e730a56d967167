import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { crowdStreams, heapFlags, heapKeeper } from './heap.ts';

test('V8 is told once when many streams are open, and once when few are left', () => {
  let streams = 0;
  const told: string[] = [];
  const look = heapKeeper(
    () => streams,
    (flag) => told.push(flag),
  );
  for (streams of [0, crowdStreams - 1]) look();
  assert.deepEqual(told, []);
  for (streams of [crowdStreams, 5_000, crowdStreams / 2]) look();
  assert.deepEqual(told.splice(0), heapFlags.crowded);
  for (streams of [crowdStreams / 2 - 1, crowdStreams - 1]) look();
  assert.deepEqual(told.splice(0), heapFlags.usual);
});

test('this Node has the flags, whose usual values are its own', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  for (const flag of heapFlags.usual) assert.match(known, new RegExp(`default: ${flag}\n`));
});
