/** Machines whose time of day jumps while requests run, or is not that of other nodes. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { nanoUsd } from '#std';
import { openLedger, type Ledger } from '#ledger';
import { openStore, StoreUnavailableError, type Engine, type Store } from '#store';
import { manualClock } from './ledger-fixture.ts';

const lifeMs = 3_600_000;
/** When a request that lost its database is given up. */
const leftForMs = 300_000;
const dayMs = 86_400_000;

export type Node = {
  readonly ledger: Ledger;
  /** The time of day is set, and nothing else happens. */
  set(byMs: number): void;
  /** From now on nothing can be written, or can again. */
  away(isAway: boolean): void;
  /** Time passes. */
  pass(ms: number): void;
  reserve(requestId: string): Promise<boolean>;
  settle(requestId: string): Promise<boolean>;
};

export type FreshUrl = () => Promise<{ readonly url: string; remove(): void }>;

/** The engine of a store that is away at times. */
function outageOf({ engine }: Store, isAway: () => boolean): Engine {
  return {
    kind: engine.kind,
    nodeId: engine.nodeId,
    epoch: engine.epoch,
    get stateVersion() {
      return engine.stateVersion;
    },
    failure: undefined,
    submit: (lane, operation) =>
      isAway()
        ? Promise.reject(new StoreUnavailableError('store_unavailable', 'it restarts'))
        : engine.submit(lane, operation),
    read: (steps) => engine.read(steps),
    snapshot: (work) => engine.snapshot(work),
    checkStorage: () => engine.checkStorage(),
    close: () => engine.close(),
  };
}

/** Two nodes on one database with 1,000 in the wallet. */
export async function twoNodes(t: TestContext, freshUrl: FreshUrl): Promise<readonly [Node, Node]> {
  const { url, remove } = await freshUrl();
  const open = async (nodeId: string): Promise<Node> => {
    const ticking = manualClock();
    let setByMs = 0;
    const clock = { ...ticking, now: () => ticking.now() + setByMs };
    const store = await openStore({ url, clock, nodeId, synchronous: 'OFF' });
    t.after(() => store.close());
    let isAway = false;
    const ledger = openLedger({
      store: { ...store, engine: outageOf(store, () => isAway) },
      clock,
    });
    return {
      ledger,
      away: (now) => void (isAway = now),
      set: (byMs) => void (setByMs += byMs),
      pass: (ms) => ticking.advance(ms),
      reserve: async (requestId) => {
        const request = { requestId, walletId: 'w', amountNanoUsd: nanoUsd(100), scopes: [] };
        return (await ledger.reserve({ ...request, expiresAtMs: clock.now() + lifeMs })).ok;
      },
      settle: async (requestId) => {
        const nothing = { usage: {}, priceVersion: 'v1', formula: '', lines: [], attempts: [] };
        const charge = { chargeNanoUsd: nanoUsd(70), usageSource: 'provider' } as const;
        return (await ledger.settle({ requestId, ...charge, ...nothing })).ok;
      },
    };
  };
  const nodes = [await open('north'), await open('south')] as const;
  t.after(remove);
  const money = { walletId: 'w', amountNanoUsd: nanoUsd(1_000), lotKind: 'paid' } as const;
  await nodes[0].ledger.credit({ ...money, source: 'test', eventId: 'e', actor: 'test' });
  return nodes;
}

export function testClocks(freshUrl: FreshUrl): void {
  test('a time of day that jumps forward ends no hold of a request that runs, and its answer is charged', async (t) => {
    const [north] = await twoNodes(t, freshUrl);
    assert.ok(await north.reserve('r1'));
    north.set(dayMs);
    assert.equal((await north.ledger.sweep()).expired, 0);
    assert.ok(await north.settle('r1'));
    assert.equal((await north.ledger.balance('w')).postedNanoUsd, 930);
  });

  test('a time of day that jumps back does not keep the hold of a request that never ended', async (t) => {
    const [north] = await twoNodes(t, freshUrl);
    assert.ok(await north.reserve('r1'));
    north.set(-dayMs);
    north.pass(lifeMs - 1);
    assert.equal((await north.ledger.sweep()).expired, 0);
    north.pass(1);
    assert.equal((await north.ledger.sweep()).expired, 1);
    assert.equal((await north.ledger.balance('w')).pendingNanoUsd, 0);
  });

  test('a node whose clock is wrong ends no hold of a request that runs at another one', async (t) => {
    const [north, south] = await twoNodes(t, freshUrl);
    assert.ok(await north.reserve('r1'));
    south.set(dayMs);
    assert.equal((await south.ledger.sweep()).expired, 0);
    south.pass(lifeMs - 1);
    assert.equal((await south.ledger.sweep()).expired, 0);
    assert.ok(await north.settle('r1'));
  });

  test('a hold of a node that never comes back ends when another has watched it for its whole life', async (t) => {
    const [north, south] = await twoNodes(t, freshUrl);
    assert.ok(await north.reserve('r1'));
    south.pass(lifeMs);
    assert.equal((await south.ledger.sweep()).expired, 0);
    south.pass(lifeMs);
    assert.equal((await south.ledger.sweep()).expired, 1);
    assert.equal((await south.ledger.balance('w')).pendingNanoUsd, 0);
  });

  test('a hold whose end was lost with the database is freed some minutes later, not at the end of its life', async (t) => {
    const [north] = await twoNodes(t, freshUrl);
    for (const requestId of ['r1', 'r2']) assert.ok(await north.reserve(requestId));
    north.away(true);
    for (const requestId of ['r1', 'r2', 'r3'])
      await assert.rejects(
        requestId === 'r3' ? north.reserve(requestId) : north.settle(requestId),
        StoreUnavailableError,
      );
    north.away(false);
    north.pass(leftForMs - 1);
    assert.equal((await north.ledger.sweep()).expired, 0);
    // Who still tries is in time.
    assert.ok(await north.settle('r2'));
    north.pass(1);
    assert.equal((await north.ledger.sweep()).expired, 1);
    const { pendingNanoUsd, postedNanoUsd } = await north.ledger.balance('w');
    assert.deepEqual([pendingNanoUsd, postedNanoUsd], [0, 930]);
    assert.deepEqual((await north.ledger.verify()).differences, []);
  });
}
