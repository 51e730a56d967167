import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable } from './printable.ts';

test('what gives orders to a terminal is shown as an escape, and stays the same JSON', () => {
  const text = 'a\u001b[2J\r\u009b\u007f\u2028\u202eb';
  assert.equal(printable(text), String.raw`a\u001b[2J\u000d\u009b\u007f\u2028\u202eb`);
  assert.equal(JSON.parse(printable(JSON.stringify(text))), text);
});

test('words of any language, emoji, line breaks and tabs are shown as they are', () => {
  const text = 'Zürich 東京 👩‍👩‍👧 שלום\n\tb';
  assert.equal(printable(text), text);
});
