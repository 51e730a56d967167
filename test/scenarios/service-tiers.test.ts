/** The tier of service that a vendor chooses by itself, or that is asked for by either of its names: held for and charged. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Receipt } from '#ledger';
import { startOddVendor } from './odd-vendor.ts';
import { startRig } from './rig.ts';

const prices = [
  {
    from: '2026-01-01',
    source: 'test',
    units: { input: '1', output: '1000' },
    service_tiers: { flex: '0.5', priority: '2' },
  },
];

/** One answer of 100 tokens, as many as are asked for, served in a tier. */
async function receiptOf(
  t: TestContext,
  servedTier: string,
  body: object,
  channel: object = {},
): Promise<Receipt> {
  const message = { role: 'assistant', content: 'hello' };
  const answer = {
    id: 'c',
    object: 'chat.completion',
    created: 1,
    model: 'house',
    service_tier: servedTier,
    choices: [{ index: 0, message, finish_reason: 'length' }],
    usage: { prompt_tokens: 5, completion_tokens: 100, total_tokens: 105 },
  };
  const vendor = await startOddVendor((_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  t.after(() => vendor.close());
  const models = [{ id: 'house', vendor: 'own', offers: { openai: 'house' }, prices }];
  const rig = await startRig({
    vendors: [],
    config: { models },
    channels: [vendor.channel({ dialect: undefined, provider: 'openai', ...channel })],
  });
  t.after(() => rig.close());
  const response = await rig.post('/v1/chat/completions', {
    model: 'house',
    max_tokens: 100,
    messages: [{ role: 'user', content: 'Hello' }],
    ...body,
  });
  assert.equal(response.status, 200, await response.text());
  const receipt = await rig.books.ledger.receipt(response.headers.get('x-manifold-receipt') ?? '');
  assert.ok(receipt);
  return receipt;
}

const listNanoUsd = 100 * 1_000_000;

for (const [asked, served] of [
  ['fast', 'priority'],
  ['fast', 'fast'],
  ['priority', 'fast'],
] as const)
  test(`\`${asked}\` that is served as \`${served}\` is charged as what it is, within the hold`, async (t) => {
    const receipt = await receiptOf(t, served, { service_tier: asked });
    assert.ok(receipt.chargeNanoUsd >= 2 * listNanoUsd, `${receipt.chargeNanoUsd}`);
    assert.equal(receipt.chargeNanoUsd, receipt.ratedNanoUsd);
  });

test('the tier that the project of a channel gives to requests that name none is held for', async (t) => {
  const channel = { default_service_tier: 'priority' };
  for (const body of [{}, { service_tier: 'auto' }]) {
    const receipt = await receiptOf(t, 'priority', body, channel);
    assert.ok(receipt.chargeNanoUsd >= 2 * listNanoUsd, `${receipt.chargeNanoUsd}`);
    assert.equal(receipt.chargeNanoUsd, receipt.ratedNanoUsd);
  }
  const plain = await receiptOf(t, 'default', { service_tier: 'default' }, channel);
  assert.ok(
    plain.holdNanoUsd < 2 * listNanoUsd,
    'who asks for the default is held for the list price',
  );
});
