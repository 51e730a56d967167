import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { root } from './run.ts';
import { filesOf, suites } from './steps.ts';

test('every test file is in one set and in no other', () => {
  const all = globSync('{src,tools,test}/**/*.test.ts', { cwd: root });
  assert.deepEqual(Object.keys(suites).flatMap(filesOf).toSorted(), all.toSorted());
});

test('what is slow is not in the set of the gate', () => {
  const slow = filesOf('contract').filter((file) => file.endsWith('.long.test.ts'));
  assert.ok(slow.some((file) => file.startsWith('src/')));
  assert.ok(slow.some((file) => file.startsWith('tools/')));
  assert.ok(filesOf('unit').length > 50);
  assert.ok(!filesOf('unit').some((file) => file.endsWith('.long.test.ts')));
});
