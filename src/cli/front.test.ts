import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configSchema } from './config-schema.ts';
import { frontOptions } from './front.ts';

test('how many connections one address may have open is for the operator to say', () => {
  const { limits } = frontOptions(configSchema.parse({ limits: { connections_per_address: 7 } }));
  assert.equal(limits?.connectionsPerAddressMax, 7);
});
