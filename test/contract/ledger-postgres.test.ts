import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import pg from 'pg';
import { openLedger, receiptIdOf } from '#ledger';
import { nanoUsd } from '#std';
import { openStore, StoreUnavailableError } from '#store';
import { testClocks } from './ledger-clocks.ts';
import { manualClock, openFixture } from './ledger-fixture.ts';
import { checkModel } from './ledger-model-run.ts';
import { startCluster } from './ledger-postgres-cluster.ts';
import { testSilence } from './ledger-silence.ts';
import { testNodes } from './ledger-nodes.ts';
import { runLine } from './ledger-script.ts';
import { testLedgerContract } from './ledger.ts';

/** T-B4 asks for 100; `LEDGER_NODE_ROUNDS=100`. */
const rounds = Number(process.env['LEDGER_NODE_ROUNDS'] ?? 10);

const cluster = await startCluster();

if (!cluster)
  test('the ledger on PostgreSQL', { skip: 'no PostgreSQL server here' }, () => undefined);
else {
  after(() => cluster.stop());
  const open = async () => openFixture(await cluster.freshUrl(), async () => undefined);
  testLedgerContract(open);
  const freshUrl = async () => ({ url: await cluster.freshUrl(), remove: () => undefined });
  testNodes(freshUrl, rounds);
  testClocks(freshUrl);
  testSilence(freshUrl);

  test('nodes that write for the first time at the same moment all get a place, and what they all say is done once', async () => {
    const url = await cluster.freshUrl();
    const clock = manualClock();
    const names = ['one', 'two', 'three', 'four', 'five', 'six'];
    const nodes = await Promise.all(
      names.map(async (nodeId) => {
        const store = await openStore({ url, clock, nodeId });
        return { store, ledger: openLedger({ store, clock }) };
      }),
    );
    const money = { amountNanoUsd: nanoUsd(5), source: 'test', actor: 'test' };
    const results = await Promise.all(
      nodes.map(({ ledger }) =>
        ledger.credit({ ...money, walletId: 'w', eventId: 'e', lotKind: 'paid' }),
      ),
    );
    assert.equal(results.filter((result) => result.ok && !result.repeated).length, 1);
    assert.equal((await nodes[0]?.ledger.balance('w'))?.postedNanoUsd, 5);
    await Promise.all(
      nodes.map(({ ledger }, index) =>
        ledger.credit({ ...money, walletId: `w${index}`, eventId: `e${index}`, lotKind: 'paid' }),
      ),
    );
    assert.deepEqual((await nodes[0]?.ledger.verify())?.differences, []);
    for (const { store } of nodes) await store.close();
  });

  test('a node that comes after 1,024 others is told to take the name of one of them, and can', async () => {
    const url = await cluster.freshUrl();
    const clock = manualClock();
    const credit = async (nodeId: string, eventId: string) => {
      const store = await openStore({ url, clock, nodeId });
      const money = { walletId: 'w', amountNanoUsd: nanoUsd(5), lotKind: 'paid' } as const;
      try {
        const ledger = openLedger({ store, clock });
        return await ledger.credit({ ...money, eventId, source: 'test', actor: 'test' });
      } finally {
        await store.close();
      }
    };
    assert.ok((await credit('first', 'e1')).ok);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(
      "INSERT INTO chains SELECT 'n' || i, i, 1, 'x', 0 FROM generate_series(1, 1023) AS i",
    );
    await client.end();
    await assert.rejects(credit('late', 'e2'), /node_id of an earlier one/);
    assert.ok((await credit('first', 'e2')).ok);
  });

  test('the database restarts under load: nothing acknowledged is lost, and work goes on by itself', async () => {
    const fixture = await open();
    const charged = new Map<string, number>();
    let refused = 0;
    let stop = false;
    await runLine(fixture, 'credit w paid 100000000 e1');
    const stream = async (name: number): Promise<void> => {
      for (let index = 0; !stop; index += 1) {
        const requestId = `r${name}_${index}`;
        try {
          await runLine(fixture, `reserve ${requestId} w 10`);
          const settled = await runLine(fixture, `settle ${requestId} 7`);
          if (settled.startsWith('ok 7')) charged.set(requestId, 7);
        } catch (error) {
          assert.ok(error instanceof StoreUnavailableError, String(error));
          refused += 1;
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
      }
    };
    const streams = Promise.all(Array.from({ length: 20 }, (_, name) => stream(name)));
    for (let round = 0; round < 3; round += 1) {
      await waitFor(() => charged.size > 200 * (round + 1));
      await cluster.restart();
    }
    const before = charged.size;
    await waitFor(() => charged.size > before + 200);
    stop = true;
    await streams;
    assert.ok(refused > 0, 'no restart was felt');
    for (const requestId of charged.keys()) {
      assert.equal(
        (await fixture.ledger().receipt(receiptIdOf(requestId)))?.chargeNanoUsd,
        7,
        requestId,
      );
    }
    assert.equal(await runLine(fixture, 'verify'), 'ok');
    await fixture.close();
  });

  const seed = Number(process.env['LEDGER_MODEL_SEED'] ?? 20_261_123);
  test(`random scripts agree with a naive model (seed ${seed})`, async () => {
    await checkModel({ seed, commandsMin: 300, lengthMax: 80, open });
  });
}

/** Waits for other tasks of this process, not for the clock. */
async function waitFor(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, 'it took too long');
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
