/** A database that cannot be written for a moment while answers end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreUnavailableError } from '#store';
import { startRig, type RigOptions } from './rig.ts';

/** Settlements and voids find the database gone `failures` times. */
function outage(
  failures: number,
  code: StoreUnavailableError['code'] = 'store_unavailable',
): NonNullable<RigOptions['services']> {
  let left = failures;
  const orGone = <Words extends unknown[], R>(work: (...words: Words) => Promise<R>) => {
    return (...words: Words): Promise<R> => {
      left -= 1;
      return left < 0
        ? work(...words)
        : Promise.reject(new StoreUnavailableError(code, 'it restarts'));
    };
  };
  return (services) => {
    const { ledger } = services;
    return {
      ...services,
      ledger: { ...ledger, settle: orGone(ledger.settle), void: orGone(ledger.void) },
    };
  };
}

const question = { model: 'sim-chat', messages: [{ role: 'user', content: 'hello' }] };

for (const stream of [true, false])
  test(`what was answered is charged when the database is back, stream ${stream}`, async () => {
    const rig = await startRig({ services: outage(2) });
    try {
      const response = await rig.post('/v1/chat/completions', { ...question, stream });
      const text = await response.text();
      assert.equal(response.status, 200, text);
      assert.doesNotMatch(text, /"error"/);
      const { receipts } = await rig.books.ledger.statement({ walletId: rig.walletId, limit: 1 });
      assert.equal(receipts[0]?.kind, 'usage');
      const { pendingNanoUsd } = await rig.books.ledger.balance(rig.walletId);
      assert.equal(pendingNanoUsd, 0);
    } finally {
      await rig.close();
    }
  });

test('a hold whose request failed is freed when the database is back', async () => {
  const rules = [{ fault: { status: 400, body: '{"error":{"message":"no"}}' } }];
  const rig = await startRig({ services: outage(1), vendors: [{ id: 'simulator', rules }] });
  try {
    assert.equal((await rig.post('/v1/chat/completions', question)).status, 400);
    assert.equal((await rig.books.ledger.balance(rig.walletId)).pendingNanoUsd, 0);
  } finally {
    await rig.close();
  }
});

test('a process that was replaced does not wait', async () => {
  const rig = await startRig({ services: outage(1, 'store_fenced') });
  try {
    const response = await rig.post('/v1/chat/completions', question);
    assert.equal(response.status, 503);
    assert.match(await response.text(), /storage_unavailable/);
  } finally {
    await rig.close();
  }
});

test('a database that cannot even tell whose key it is asks for patience, and fills no log', async () => {
  const lines: string[] = [];
  const rig = await startRig({
    services: (services) => ({
      ...services,
      access: {
        authenticate: () =>
          Promise.reject(new StoreUnavailableError('store_unavailable', 'the disk is full')),
      },
      log: (_level, event) => void lines.push(event),
    }),
  });
  try {
    const paths = ['/v1/chat/completions', '/v1/embeddings', '/v1/responses'];
    for (const path of paths)
      for (const headers of [{}, { 'idempotency-key': 'one' }]) {
        const response = await rig.post(path, question, headers);
        assert.equal(response.status, 503);
        assert.equal(response.headers.get('retry-after'), '5');
        assert.match(await response.text(), /storage_unavailable/);
      }
    assert.deepEqual(lines, ['store.unavailable']);
  } finally {
    await rig.close();
  }
});
