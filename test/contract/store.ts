/** The contract of the store, run over every database. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nanoUsd } from '#std';
import type { KeyRecord, RequestRecord, Store } from '#store';
import {
  allDocuments,
  blobRowBytes,
  openStore,
  query,
  write,
  type Lane,
  type WriteStatement,
} from '#store';
import { manualClock } from './ledger-fixture.ts';

export type FreshUrl = () => Promise<{ readonly url: string; remove(): void }>;

const key: KeyRecord = {
  keyId: 'key_1',
  digest: 'd1',
  lastFour: 'abcd',
  name: 'first',
  walletId: 'w1',
  projectId: null,
  limits: { models: ['a', 'b'], rpm: 60 },
  metadata: { note: 'ключ 密钥' },
  createdAtMs: 1,
  expiresAtMs: null,
  revokedAtMs: null,
};

function record(index: number, more: Partial<RequestRecord> = {}): RequestRecord {
  return {
    requestId: `r${String(index).padStart(4, '0')}`,
    walletId: `w${index % 2}`,
    keyId: 'key_1',
    projectId: index % 3 === 0 ? 'p1' : null,
    createdAtMs: 1_000_000 + index * 100,
    durationMs: 12.4,
    firstContentMs: index % 5 === 0 ? null : 3,
    status: index % 4 === 0 ? 502 : 200,
    errorCode: index % 4 === 0 ? 'upstream_failed' : null,
    dialect: 'openai-chat',
    operation: 'chat',
    model: index % 2 === 0 ? 'small' : 'large',
    channelId: 'c1',
    chargeNanoUsd: nanoUsd(10),
    inputTokens: 5,
    outputTokens: 7,
    streamed: index % 2 === 0,
    detail: { attempts: [{ channel: 'c1' }] },
    ...more,
  };
}

export function testStoreContract(freshUrl: FreshUrl): void {
  const clock = manualClock();
  const withStore =
    (
      run: (store: Store, url: string) => Promise<void>,
      options: { readonly namespaceBytesMax?: number } = {},
    ) =>
    async () => {
      const { url, remove } = await freshUrl();
      const store = await openStore({
        url,
        clock,
        blobBounds: { bodyBytesMax: 1000, namespaceBytesMax: 2500, ...options },
      });
      try {
        await run(store, url);
      } finally {
        await store.close();
        remove();
      }
    };

  test(
    'keys are found by digest, replaced by id, and never share a digest',
    withStore(async ({ keys }) => {
      await keys.put(key);
      assert.deepEqual(await keys.findByDigest('d1'), key);
      const revoked = { ...key, revokedAtMs: 5, name: 'renamed' };
      await keys.put(revoked);
      assert.deepEqual(await keys.get('key_1'), revoked);
      assert.equal(await keys.findByDigest('nothing'), undefined);
      const results = await Promise.allSettled([
        keys.put({ ...key, keyId: 'key_2', digest: 'd2', createdAtMs: 2 }),
        keys.put({ ...key, keyId: 'key_3' }),
        keys.put({ ...key, keyId: 'key_4', digest: 'd4', createdAtMs: 3, walletId: 'w2' }),
      ]);
      assert.deepEqual(
        results.map((result) => result.status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      assert.deepEqual(
        (await keys.list({})).map((each) => each.keyId),
        ['key_4', 'key_2', 'key_1'],
      );
      assert.deepEqual(
        (await keys.list({ walletId: 'w1' })).map((each) => each.keyId),
        ['key_2', 'key_1'],
      );
      assert.deepEqual(
        (await keys.list({ limit: 1, before: 'key_4' })).map((each) => each.keyId),
        ['key_2'],
      );
      assert.deepEqual(await keys.list({ before: 'key_1' }), []);
    }),
  );

  test(
    'documents are read to the last, however many there are',
    withStore(async ({ channels }) => {
      const ids = Array.from({ length: 1_001 }, (_, index) => `c${String(index).padStart(4, '0')}`);
      await Promise.all(ids.map((id) => channels.put(id, { id })));
      assert.deepEqual(
        (await allDocuments(channels)).map((each) => each.id),
        ids,
      );
    }),
  );

  test(
    'documents are written by compare and set',
    withStore(async ({ channels, collection }) => {
      assert.deepEqual(
        await channels.put('c1', { url: 'a' }, { expectedVersion: 0, parent: 'u1' }),
        { ok: true, version: 1 },
      );
      assert.deepEqual(await channels.put('c1', { url: 'b' }, { expectedVersion: 0 }), {
        ok: false,
        error: 'version_conflict',
        version: 1,
      });
      const race = await Promise.all(
        ['x', 'y', 'z'].map((url) => channels.put('c1', { url }, { expectedVersion: 1 })),
      );
      assert.deepEqual(
        race.map((result) => result.ok),
        [true, false, false],
      );
      const stored = await channels.get('c1');
      assert.deepEqual([stored?.body, stored?.version, stored?.parent], [{ url: 'x' }, 2, 'u1']);
      await channels.put('c2', { url: 'q' });
      assert.deepEqual(
        (await channels.list()).map((each) => each.id),
        ['c1', 'c2'],
      );
      assert.deepEqual(
        (await channels.list({ parent: 'u1' })).map((each) => each.id),
        ['c1'],
      );
      assert.deepEqual(
        (await channels.list({ after: 'c1' })).map((each) => each.id),
        ['c2'],
      );
      assert.equal((await collection('others').list()).length, 0);
      assert.deepEqual([await channels.remove('c1'), await channels.remove('c1')], [true, false]);
      assert.throws(() => collection('Not A Name'), RangeError);
    }),
  );

  test(
    'request records are appended once, listed newest first in pages, summed and pruned',
    withStore(async ({ requests }) => {
      await Promise.all(Array.from({ length: 25 }, (_, index) => requests.append(record(index))));
      await requests.append(record(3, { status: 999 }));
      assert.deepEqual(await requests.get('r0003'), { ...record(3), durationMs: 12 });
      const first = await requests.list({ walletId: 'w1', limit: 5 });
      const second = await requests.list({
        walletId: 'w1',
        limit: 100,
        ...(first.next === undefined ? {} : { before: first.next }),
      });
      assert.deepEqual(
        first.records.map((each) => each.requestId),
        ['r0023', 'r0021', 'r0019', 'r0017', 'r0015'],
      );
      assert.equal(second.records.length, 7);
      assert.equal(second.next, undefined);
      assert.equal((await requests.list({ errorsOnly: true })).records.length, 7);
      const rare = { errorsOnly: true, limit: 2, looksMax: 4 };
      const found: string[] = [];
      for (let before: string | undefined, page = 0; page < 20; page += 1) {
        const { records, next } = await requests.list({ ...rare, ...(before ? { before } : {}) });
        found.push(...records.map((each) => each.requestId));
        before = next;
        if (next === undefined) break;
      }
      const all = await requests.list({ errorsOnly: true });
      assert.deepEqual(
        found,
        all.records.map((each) => each.requestId),
        'short pages lead to the end',
      );
      assert.equal(
        (await requests.list({ projectId: 'p1', fromMs: 1_000_900, untilMs: 1_001_500 })).records
          .length,
        2,
      );
      const totals = await requests.totals({
        bucketMs: 1000,
        fromMs: 1_000_000,
        untilMs: 1_002_000,
      });
      assert.deepEqual(totals[0], {
        atMs: 1_000_000,
        model: 'large',
        requests: 5,
        errors: 0,
        chargeNanoUsd: 50n,
        inputTokens: 25n,
        outputTokens: 35n,
      });
      assert.equal(
        totals.reduce((sum, each) => sum + each.requests, 0),
        20,
      );
      for (const index of [90, 91, 92])
        await requests.append(record(index, { chargeNanoUsd: nanoUsd(Number.MAX_SAFE_INTEGER) }));
      const large = await requests.totals({ bucketMs: 86_400_000, fromMs: 1_008_500 });
      assert.equal(
        large.reduce((sum, each) => sum + each.chargeNanoUsd, 0n),
        BigInt(Number.MAX_SAFE_INTEGER) * 3n,
        'a sum over all wallets may pass what one balance can be',
      );
      assert.deepEqual(
        [await requests.prune(1_001_000, 4), await requests.prune(1_001_000, 100)],
        [4, 6],
      );
    }),
  );

  test(
    'blobs belong to their owner, expire, and stay within their bounds',
    withStore(async ({ blobs }) => {
      const body = new Uint8Array([0, 255, 10, 13]);
      const entry = {
        namespace: 'answers',
        id: 'a',
        owner: 'w1',
        body,
        expiresAtMs: clock.now() + 1000,
        detail: { type: 'sse' },
      };
      assert.equal(await blobs.put(entry), true);
      const stored = await blobs.get('answers', 'a', 'w1');
      assert.deepEqual(
        [stored?.body && [...stored.body], stored?.detail],
        [[0, 255, 10, 13], { type: 'sse' }],
      );
      assert.equal(await blobs.get('answers', 'a', 'w2'), undefined);
      assert.equal(await blobs.put({ ...entry, owner: 'w2' }), false);
      assert.equal(await blobs.remove('answers', 'a', 'w2'), false);
      assert.equal(await blobs.put({ ...entry, id: 'large', body: new Uint8Array(1001) }), false);
      assert.equal(
        await blobs.put({ ...entry, namespace: 'state', id: 'd', body: new Uint8Array(1000) }),
        true,
      );
      clock.advance(1000);
      assert.equal(await blobs.get('answers', 'a', 'w1'), undefined);
      assert.equal(await blobs.put({ ...entry, id: 'e', expiresAtMs: clock.now() + 1000 }), true);
      assert.equal(await blobs.remove('answers', 'e', 'w1'), true);
      assert.equal(await blobs.sweep(100), 2);
    }),
  );

  test(
    'a full namespace drops the oldest rows of whoever has most, and nobody else’s',
    withStore(
      async ({ blobs }) => {
        const put = (owner: string, id: string, expiresInMs: number): Promise<boolean> =>
          blobs.put({
            namespace: 'answers',
            id,
            owner,
            body: new Uint8Array(1000),
            expiresAtMs: clock.now() + expiresInMs,
          });
        const kept = async (owner: string, ids: readonly string[]): Promise<readonly string[]> => {
          const found = await Promise.all(ids.map((id) => blobs.get('answers', id, owner)));
          return ids.filter((_, index) => found[index] !== undefined);
        };
        const many = ['m1', 'm2', 'm3', 'm4'];
        for (const [index, id] of many.slice(0, 3).entries())
          assert.equal(await put('big', id, 3000 + index), true);
        // The oldest of all, but of somebody who has little.
        assert.equal(await put('small', 'f1', 1000), true);
        assert.equal(await put('small', 'f2', 4000), true);
        assert.deepEqual(await kept('big', many), ['m2', 'm3']);
        assert.equal(await put('big', 'm4', 5000), true);
        assert.deepEqual(await kept('big', many), ['m3', 'm4']);
        assert.deepEqual(await kept('small', ['f1', 'f2']), ['f1', 'f2']);
        // Put again it takes the room that it has.
        assert.equal(await put('big', 'm4', 5000), true);
        // What has expired goes first.
        clock.advance(1000);
        assert.equal(await put('small', 'f3', 5000), true);
        assert.deepEqual(await kept('big', many), ['m3', 'm4']);
        assert.deepEqual(await kept('small', ['f1', 'f2', 'f3']), ['f2', 'f3']);
      },
      { namespaceBytesMax: 4.5 * (1000 + blobRowBytes) },
    ),
  );

  test(
    'audit entries are listed newest first',
    withStore(async ({ audit }) => {
      for (const index of [1, 2, 3]) {
        await audit.append({
          auditId: `aud_${index}`,
          createdAtMs: index,
          actor: index === 2 ? 'bob' : 'alice',
          action: 'key.create',
          target: 'key_1',
          detail: { index },
        });
      }
      assert.deepEqual(
        (await audit.list({})).map((each) => each.auditId),
        ['aud_3', 'aud_2', 'aud_1'],
      );
      assert.deepEqual(
        (await audit.list({ actor: 'alice', before: 'aud_3' })).map((each) => each.auditId),
        ['aud_1'],
      );
      await assert.rejects(
        audit.append({
          auditId: 'aud_1',
          createdAtMs: 9,
          actor: 'x',
          action: 'x',
          target: 'x',
          detail: {},
        }),
      );
    }),
  );

  test(
    'one operation that breaks a rule of the database does not fail the others of its batch',
    withStore(async ({ engine }) => {
      const insert: WriteStatement = {
        action: 'insert',
        table: 'wallets',
        columns: (
          [
            'wallet_id',
            'credits_nano_usd',
            'debits_nano_usd',
            'pending_nano_usd',
            'created_at_ms',
          ] as const
        ).map((name) => ({ name, type: name === 'wallet_id' ? 'text' : 'integer' })),
      };
      const lane: Lane<readonly [string, number, number], true> = {
        name: 'test',
        *apply(rows) {
          yield* write(
            insert,
            rows.map(([id, credits, pending]) => [id, credits, 0, pending, 1]),
          );
          return rows.map(() => true);
        },
      };
      const results = await Promise.allSettled([
        engine.submit(lane, ['a', 10, 0]),
        // Never negative, also when our code is wrong.
        engine.submit(lane, ['b', 10, 11]),
        engine.submit(lane, ['c', 10, 10]),
      ]);
      assert.deepEqual(
        results.map((result) => result.status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      const rows = await engine.read(() =>
        query('SELECT wallet_id FROM wallets ORDER BY wallet_id', []),
      );
      assert.deepEqual(
        rows.map((row) => row['wallet_id']),
        ['a', 'c'],
      );
    }),
  );

  test(
    'the schema knows no transfer that takes money away because of its age',
    withStore(async ({ engine }) => {
      const lane: Lane<readonly [number, string, string], true> = {
        name: 'test',
        *apply(rows) {
          for (const [transferKey, kind, debit] of rows) {
            yield {
              run: 'change',
              sql: 'INSERT INTO transfers (transfer_key, transfer_id, kind, debit_account, credit_account, amount_nano_usd, created_at_ms) VALUES (?, ?, ?, ?, ?, 1, 1)',
              parameters: [transferKey, 't', kind, debit, 'revenue'],
            };
          }
          return rows.map(() => true);
        },
      };
      const tried = [
        'expire',
        'topup',
        'grant',
        'cost',
        'loss',
        'suspense',
        'post',
        'refund_to_source',
        'admin_adjust',
      ];
      const results = await Promise.allSettled(
        tried.map((kind, index) => engine.submit(lane, [index, kind, 'wallet:w'])),
      );
      const allowed = tried.filter((_, index) => results[index]?.status === 'fulfilled');
      assert.deepEqual(allowed, ['post', 'refund_to_source', 'admin_adjust']);
    }),
  );

  test(
    'a second start applies no migration again; a database of a newer version is refused',
    withStore(async (store, url) => {
      await store.keys.put(key);
      const again = await openStore({ url, clock, nodeId: 'second' });
      assert.deepEqual(await again.keys.get('key_1'), key);
      const lane: Lane<number, true> = {
        name: 'test',
        *apply(numbers) {
          for (const number of numbers)
            yield {
              run: 'change',
              sql: 'INSERT INTO migrations (number, name, applied_at_ms) VALUES (?, ?, ?)',
              parameters: [number, 'future', 1],
            };
          return numbers.map(() => true);
        },
      };
      await again.engine.submit(lane, 9999);
      await again.close();
      await assert.rejects(openStore({ url, clock, nodeId: 'third' }), /newer version/);
    }),
  );

  test(
    'closing waits for what is queued, and refuses what comes after',
    withStore(async (store, url) => {
      const pending = Array.from({ length: 300 }, (_, index) =>
        store.requests.append(record(index)),
      );
      await store.close();
      await Promise.all(pending);
      await assert.rejects(store.requests.append(record(1)), /closed/);
      const again = await openStore({ url, clock, nodeId: 'second' });
      assert.equal((await again.requests.list({ limit: 1000 })).records.length, 300);
      await again.close();
    }),
  );
}
