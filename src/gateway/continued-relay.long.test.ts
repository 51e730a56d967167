import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DeliveredAnswer } from './continued-relay.ts';

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('an answer that is too long to be continued is not kept', () => {
  const answer = new DeliveredAnswer({ push: () => '' });
  const part = { kind: 'text', text: '' } as const;
  answer.push({ kind: 'part-start', index: 0, choice: 0, part });
  const before = heapBytes();
  for (let count = 0; count < 1_000; count += 1)
    answer.push({ kind: 'part-delta', index: 0, delta: `${count} `.repeat(10_000).normalize() });
  assert.equal(answer.continuable, undefined);
  assert.ok(heapBytes() - before < 5_000_000);
  assert.ok(answer.generatedSize > 10_000_000);
});
