import assert from 'node:assert/strict';
import { test } from 'node:test';
import { table } from './command.ts';

test('a cell of a table keeps to its line, whatever stands in it', () => {
  const lines = table([
    ['NAME', 'STATE'],
    ['a\nb\u001b[1A', 'valid'],
  ]).split('\n');
  assert.deepEqual(lines, ['NAME           STATE', String.raw`a\nb\u001b[1A  valid`]);
});
