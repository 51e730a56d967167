/** Two processes' worth of ledgers on one database (T-B4, I16). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nanoUsd } from '#std';
import { openLedger } from '#ledger';
import { openStore, StoreUnavailableError } from '#store';
import { manualClock } from './ledger-fixture.ts';

export function testNodes(
  freshUrl: () => Promise<{ readonly url: string; remove(): void }>,
  rounds: number,
): void {
  const clock = manualClock();
  const start = async (url: string, nodeId: string) => {
    const store = await openStore({ url, clock, nodeId, synchronous: 'OFF' });
    return { store, ledger: openLedger({ store, clock }) };
  };

  test(`two nodes, 1,000 concurrent requests, balance for 10: never more, in ${rounds} rounds`, async () => {
    const { url, remove } = await freshUrl();
    const nodes = [await start(url, 'north'), await start(url, 'south')] as const;
    try {
      for (let round = 0; round < rounds; round += 1) {
        const walletId = `w${round}`;
        await nodes[0].ledger.credit({
          walletId,
          amountNanoUsd: nanoUsd(1009),
          lotKind: 'paid',
          source: 'test',
          eventId: walletId,
          actor: 'test',
        });
        const results = await Promise.all(
          Array.from({ length: 1000 }, (_, index) =>
            nodes[index % 2 === 0 ? 0 : 1].ledger.reserve({
              requestId: `r${round}_${index}`,
              walletId,
              amountNanoUsd: nanoUsd(100),
              scopes: [{ kind: 'key', id: walletId, window: 'daily', limitNanoUsd: nanoUsd(5000) }],
              expiresAtMs: clock.now() + 60_000,
            }),
          ),
        );
        const admitted = results.flatMap((result) => (result.ok ? [result.hold.requestId] : []));
        assert.equal(admitted.length, 10, `round ${round}`);
        // Each is settled by the other node, and by its own at the same time: charged once.
        const settled = await Promise.all(
          admitted.flatMap((requestId) =>
            nodes.map((node) =>
              node.ledger.settle({
                requestId,
                chargeNanoUsd: nanoUsd(90),
                attempts: [],
                usage: {},
                usageSource: 'provider',
                priceVersion: 'v1',
                formula: '',
                lines: [],
              }),
            ),
          ),
        );
        assert.equal(settled.filter((result) => result.ok && !result.repeated).length, 10);
        assert.equal((await nodes[1].ledger.balance(walletId)).availableNanoUsd, 1009 - 900);
      }
      const verified = await nodes[0].ledger.verify();
      assert.deepEqual(verified.differences, []);
    } finally {
      for (const node of nodes) await node.store.close();
      remove();
    }
  });

  test('a process that was replaced under its name can write nothing more', async () => {
    const { url, remove } = await freshUrl();
    const old = await start(url, 'main');
    await old.ledger.credit({
      walletId: 'w',
      amountNanoUsd: nanoUsd(100),
      lotKind: 'paid',
      source: 'test',
      eventId: 'e1',
      actor: 'test',
    });
    const fresh = await start(url, 'main');
    try {
      const reserve = {
        requestId: 'r1',
        walletId: 'w',
        amountNanoUsd: nanoUsd(10),
        scopes: [],
        expiresAtMs: clock.now() + 1000,
      };
      await assert.rejects(
        old.ledger.reserve(reserve),
        (error) => error instanceof StoreUnavailableError && error.code === 'store_fenced',
      );
      await assert.rejects(
        old.ledger.reserve(reserve),
        (error) => error instanceof StoreUnavailableError && error.code === 'store_fenced',
      );
      assert.equal((await fresh.ledger.reserve(reserve)).ok, true);
      assert.equal((await fresh.ledger.balance('w')).pendingNanoUsd, 10);
    } finally {
      await old.store.close();
      await fresh.store.close();
      remove();
    }
  });
}
