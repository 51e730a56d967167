/** Nodes that died for good, stood still, or are of a version that leaves no signs of life. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import pg from 'pg';
import { receiptIdOf } from '#ledger';
import { nanoUsd } from '#std';
import { twoNodes, type FreshUrl, type Node } from './ledger-clocks.ts';

const sweepMs = 20_000;
/** Sweeps until a silent node is taken for gone: the first only looks. */
const sweepsMost = 7;
const bound = nanoUsd(60);

const call = (attemptId: string) => ({
  attemptId,
  channelId: 'c',
  providerId: 'p',
  priceVersion: 'v1',
  boundNanoUsd: bound,
  canLookUp: false,
});

/** Sweeps of one node over the time, with what happens at each; sums what it ended. */
async function sweeps(node: Node, count: number, meanwhile = async () => {}): Promise<number> {
  let ended = 0;
  for (let index = 0; index < count; index += 1) {
    await meanwhile();
    node.pass(sweepMs);
    const { abandoned, expired } = await node.ledger.sweep();
    assert.equal(expired, 0);
    ended += abandoned;
  }
  return ended;
}

export function testSilence(freshUrl: FreshUrl): void {
  const nodes = async (t: TestContext) => {
    const fresh = await freshUrl();
    const pair = await twoNodes(t, async () => fresh);
    for (const node of pair) await node.ledger.recover();
    return { url: fresh.url, nodes: pair };
  };

  test('holds of a node that died for good are free two minutes later, its calls written down as lost', async (t) => {
    const { nodes: pair } = await nodes(t);
    const [north, south] = pair;
    assert.ok(await north.reserve('r1'));
    assert.ok((await north.ledger.attempt('r1', call('a1'))).ok);
    assert.equal(await sweeps(south, sweepsMost - 1), 0);
    assert.equal(await sweeps(south, 1), 1);
    const { pendingNanoUsd, postedNanoUsd } = await south.ledger.balance('w');
    assert.deepEqual([pendingNanoUsd, postedNanoUsd], [0, 1_000]);
    const receipt = await south.ledger.receipt(receiptIdOf('r1'));
    assert.deepEqual(receipt?.losses, [{ reason: 'crash', amountNanoUsd: bound }]);
    assert.deepEqual((await south.ledger.verify()).differences, []);
  });

  test('a node that comes back from a long silence charges nothing that was ended, and goes on', async (t) => {
    const { nodes: pair } = await nodes(t);
    const [north, south] = pair;
    assert.ok(await north.reserve('r1'));
    assert.equal(await sweeps(south, sweepsMost), 1);
    assert.equal(await north.settle('r1'), false);
    assert.equal((await north.ledger.attempt('r1', call('a1'))).ok, false);
    assert.equal(await north.reserve('r1'), false);
    // Whoever is back is heard again.
    assert.ok(await north.reserve('r2'));
    await north.ledger.sweep();
    assert.equal(await sweeps(south, sweepsMost - 1), 0);
    assert.ok(await north.settle('r2'));
    assert.equal((await south.ledger.balance('w')).postedNanoUsd, 930);
    assert.deepEqual((await south.ledger.verify()).differences, []);
  });

  test('holds of a node that sweeps stay, however long its requests take', async (t) => {
    const { nodes: pair } = await nodes(t);
    const [north, south] = pair;
    assert.ok(await north.reserve('r1'));
    const ended = await sweeps(south, 30, async () => void (await north.ledger.sweep()));
    assert.equal(ended, 0);
    assert.ok(await north.settle('r1'));
  });

  test('time in which a node could not look, or the database was away, is no silence of others', async (t) => {
    const { nodes: pair } = await nodes(t);
    const [north, south] = pair;
    assert.ok(await north.reserve('r1'));
    await south.ledger.sweep();
    south.away(true);
    for (let index = 0; index < 30; index += 1) {
      south.pass(sweepMs);
      await assert.rejects(south.ledger.sweep());
    }
    south.away(false);
    assert.equal((await south.ledger.sweep()).abandoned, 0);
    await north.ledger.sweep();
    assert.equal(await sweeps(south, sweepsMost - 1), 0);
    assert.ok(await north.settle('r1'));
  });

  test('a node of a version that leaves no signs is not taken for gone', async (t) => {
    const { url, nodes: pair } = await nodes(t);
    const [north, south] = pair;
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query("DELETE FROM node_signs WHERE node_id = 'north'");
    await client.end();
    assert.ok(await north.reserve('r1'));
    assert.equal(await sweeps(south, 30), 0);
    assert.ok(await north.settle('r1'));
  });
}
