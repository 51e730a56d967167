import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unwrapState, wrapState } from './state.ts';

const state = {
  issuer: 'anthropic-messages',
  value: 'Zürich+/=🔏',
  form: 'signature',
  itemId: 'i',
  toolCallId: 'c',
} as const;

test('wrapped state is base64 and survives a client that decodes and encodes it anew', () => {
  const wrapped = wrapState(state);
  assert.match(wrapped, /^[A-Za-z0-9+/]+={0,2}$/);
  for (const alphabet of ['base64', 'base64url'] as const) {
    assert.deepEqual(unwrapState(Buffer.from(wrapped, 'base64').toString(alphabet)), state);
  }
});

test('what is not wrapped is left to its issuer', () => {
  for (const text of [
    '',
    'x',
    'EqQBCkYIBBgCKkD',
    'bWZzMS57',
    Buffer.from('mfs1.{"issuer":1}').toString('base64'),
  ])
    assert.equal(unwrapState(text), undefined);
});
