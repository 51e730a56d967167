/** Clients of embeddings that leave: the vendor bills a whole answer, whoever still waits for it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRig, type Rig } from './rig.ts';

/** A client that waits until a vendor has its question, and then no longer. */
async function leave(rig: Rig): Promise<void> {
  const waiting = new AbortController();
  const asked = fetch(`${rig.url}/v1/embeddings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${rig.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'sim-embedding', input: ['some words', 'and others'] }),
    signal: waiting.signal,
  });
  const left = assert.rejects(asked);
  while (Object.values(rig.vendors).every(({ seen }) => seen.length === 0))
    await new Promise((resolve) => setTimeout(resolve, 5));
  waiting.abort();
  await left;
}

async function settled(rig: Rig) {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const { receipts } = await rig.books.ledger.statement({ walletId: rig.walletId });
    const [receipt] = receipts.filter(({ requestId }) => requestId !== undefined);
    if (receipt) return receipt;
    assert.ok(performance.now() < deadline, 'the hold stays open');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a client that leaves pays for the embeddings that were made for it', async () => {
  const rig = await startRig({ vendors: [{ id: 'one', rules: [{ fault: { delay_ms: 400 } }] }] });
  try {
    await leave(rig);
    const receipt = await settled(rig);
    assert.equal(receipt.kind, 'usage');
    assert.ok(receipt.chargeNanoUsd > 0);
    assert.equal(receipt.usageSource, 'provider');
  } finally {
    await rig.close();
  }
});

test('nobody else is asked for a client that has left', async () => {
  const failing = { fault: { delay_ms: 400, status: 500 } };
  const vendors = ['one', 'two'].map((id) => ({ id, rules: [failing] }));
  const rig = await startRig({ vendors });
  try {
    await leave(rig);
    assert.equal((await settled(rig)).kind, 'void');
    const calls = Object.values(rig.vendors).flatMap(({ seen }) => seen);
    assert.equal(calls.length, 1);
  } finally {
    await rig.close();
  }
});
