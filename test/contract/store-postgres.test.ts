import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
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

  test('a value that cannot be stored fails its own operation, and none of the others on their way with it', async () => {
    const store = await openStore({ url: await cluster.freshUrl(), clock: manualClock() });
    const audit = { auditId: 'a', createdAtMs: 1, action: 'key.create', target: 't', detail: {} };
    // An index has no room for a long id; some vendors make those of their items so.
    const blob = { namespace: 'items', id: randomBytes(9_000).toString('base64'), owner: 'w' };
    for (const bad of [
      () => store.audit.append({ ...audit, actor: 'a\0b' }),
      () => store.blobs.put({ ...blob, body: Buffer.from('b'), expiresAtMs: 1 }),
    ]) {
      const before = store.settings.put('before', { name: 'a' });
      const results = await Promise.allSettled([before, bad(), store.settings.put('after', {})]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
    }
    assert.equal(await store.blobs.remove('answers', 'a\0b', 'w'), false);
    assert.equal(await store.blobs.get('answers', 'a\0b', 'w'), undefined);
    await store.close();
  });

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

  test('a node that stands still in the middle of a batch does not stop the others', async () => {
    const url = await cluster.freshUrl();
    const network = await startNetwork(url);
    const options = { clock: manualClock(), answerMsMax: 1_500 };
    const still = await openStore({ ...options, url: network.url, nodeId: 'still' });
    const other = await openStore({ ...options, url, nodeId: 'other' });
    await other.settings.put('a', { name: 'a' });
    network.holdCommit();
    const lost = assert.rejects(still.settings.put('a', { name: 'still' }), /could not do it/);
    // The row is locked by then.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await other.settings.put('a', { name: 'other' });
    await lost;
    assert.deepEqual((await other.settings.get('a'))?.body, { name: 'other' });
    await still.settings.put('a', { name: 'back' });
    await other.close();
    await still.close();
    await network.close();
  });

  test('when the database cannot be reached, a crowd of reads is told so at once, and works when it is back', async () => {
    const network = await startNetwork(await cluster.freshUrl());
    const store = await openStore({ url: network.url, clock: manualClock(), answerMsMax: 500 });
    await store.settings.put('a', { name: 'a' });
    await Promise.all(Array.from({ length: 4 }, () => store.settings.get('a')));
    network.vanish();
    const began = performance.now();
    const crowd = Array.from({ length: 100 }, () => store.settings.get('a'));
    const results = await Promise.allSettled(crowd);
    assert.ok(results.every(({ status }) => status === 'rejected'));
    assert.ok(performance.now() - began < 3_000, `${performance.now() - began} ms`);
    network.appear();
    assert.ok(await store.settings.get('a'));
    await store.close();
    await network.close();
  });

  test('a database that may only be read is left for one that writes', async () => {
    const network = await startNetwork(await cluster.freshUrl());
    const store = await openStore({ url: network.url, clock: manualClock() });
    await cluster.onlyReads(true);
    network.cut();
    await new Promise((resolve) => setTimeout(resolve, 50));
    try {
      await assert.rejects(store.settings.put('a', { name: 'a' }), /25006/);
    } finally {
      await cluster.onlyReads(false);
    }
    await store.settings.put('a', { name: 'a' });
    await store.close();
    await network.close();
  });
}
