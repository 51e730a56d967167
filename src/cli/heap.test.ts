import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { calmLooks, crowdStreams, heapFlags, heapKeeper } from './heap.ts';

test('V8 is told once when many streams are open, and once when there were few for a minute', () => {
  let streams = 0;
  const told: string[] = [];
  const look = heapKeeper(
    () => streams,
    (flag) => told.push(flag),
  );
  for (streams of [0, crowdStreams - 1]) look();
  assert.deepEqual(told, []);
  for (streams of [crowdStreams, 5_000, 0, crowdStreams]) look();
  assert.deepEqual(told.splice(0), heapFlags.crowded);
  streams = 0;
  for (let count = 1; count < calmLooks; count += 1) look();
  assert.deepEqual(told, []);
  for (let count = 0; count < calmLooks; count += 1) look();
  assert.deepEqual(told, heapFlags.usual);
});

test('this Node has the flags', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  for (const flag of [...heapFlags.usual, ...heapFlags.crowded]) {
    const [name = ''] = flag.split('=');
    assert.match(known, new RegExp(`^  ${name} `, 'm'));
  }
});
