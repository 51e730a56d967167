import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openStore } from '#store';
import { startCluster } from './ledger-postgres-cluster.ts';
import { manualClock } from './ledger-fixture.ts';
import { startNetwork } from './postgres-network.ts';
import { testStoreContract } from './store.ts';

const cluster = await startCluster();

if (!cluster)
  test('the store on PostgreSQL', { skip: 'no PostgreSQL server here' }, () => undefined);
else {
  after(() => cluster.stop());
  testStoreContract(async () => ({ url: await cluster.freshUrl(), remove: () => undefined }));

  test('a connection that has fallen silent is given up at its first question', async () => {
    const network = await startNetwork(await cluster.freshUrl());
    const store = await openStore({ url: network.url, clock: manualClock(), answerMsMax: 300 });
    await store.settings.put('a', { name: 'a' });
    assert.ok(await store.settings.get('a'));
    network.fallSilent();
    await assert.rejects(store.settings.get('a'), /could not do it/);
    assert.ok(await store.settings.get('a'));
    await assert.rejects(store.settings.put('b', { name: 'b' }), /could not do it/);
    await store.settings.put('b', { name: 'b' });
    await store.close();
    await network.close();
  });

  test('connections that ended while nobody used them are not used', async () => {
    const network = await startNetwork(await cluster.freshUrl());
    const store = await openStore({ url: network.url, clock: manualClock() });
    await store.settings.put('a', { name: 'a' });
    await Promise.all(Array.from({ length: 4 }, () => store.settings.get('a')));
    network.cut();
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (let count = 0; count < 4; count += 1) assert.ok(await store.settings.get('a'));
    await store.settings.put('b', { name: 'b' });
    await store.close();
    await network.close();
  });

  test('a commit whose answer was lost is asked about until the database can be reached', async () => {
    const network = await startNetwork(await cluster.freshUrl());
    const store = await openStore({ url: network.url, clock: manualClock() });
    await store.settings.put('a', { name: 'a' });
    network.breakCommit(700);
    await store.settings.put('b', { name: 'b' });
    assert.ok(await store.settings.get('b'));
    await store.close();
    await network.close();
  });
}
