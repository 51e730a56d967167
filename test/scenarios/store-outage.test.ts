/** A database that cannot be written for a moment while answers end. */

import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreUnavailableError } from '#store';
import { startRig, type RigOptions } from './rig.ts';
import { place } from './server-place.ts';

type Ending = 'settle' | 'void' | 'attempt';

/** These operations, all together, find the database gone `failures` times. */
function outage(
  failures: number,
  code: StoreUnavailableError['code'] = 'store_unavailable',
  operations: readonly Ending[] = ['settle', 'void'],
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
    const isGone = (operation: Ending) => operations.includes(operation);
    return {
      ...services,
      ledger: {
        ...ledger,
        settle: isGone('settle') ? orGone(ledger.settle) : ledger.settle,
        void: isGone('void') ? orGone(ledger.void) : ledger.void,
        attempt: isGone('attempt') ? orGone(ledger.attempt) : ledger.attempt,
      },
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

test('a call that could not be recorded was not made, and the books have no trace of it', async () => {
  const ill = [{ fault: { status: 500 } }];
  const rig = await startRig({
    services: outage(1, 'store_unavailable', ['attempt']),
    vendors: [
      { id: 'one', rules: ill },
      { id: 'two', rules: ill },
    ],
  });
  try {
    const response = await rig.post('/v1/chat/completions', question);
    assert.equal(response.status, 503);
    assert.match(await response.text(), /storage_unavailable/);
    const calls = Object.values(rig.vendors).map(({ seen }) => seen.length);
    assert.deepEqual(calls.sort(), [0, 1]);
    assert.deepEqual((await rig.books.ledger.verify()).differences, []);
  } finally {
    await rig.close();
  }
});

test('a cut answer whose continuation could not be recorded is charged as far as it came', async () => {
  const rig = await startRig({
    services: outage(1, 'store_unavailable', ['attempt']),
    config: { streaming: { continue_cut_answers: true } },
    vendors: ['one', 'two'].map((id) => ({
      id,
      rules: [{ fault: { cut_at_byte: 900 } }],
      channel: { quirks: { prefill: true } },
    })),
  });
  try {
    const response = await rig.post('/v1/chat/completions', { ...question, stream: true });
    assert.match(await response.text(), /upstream_cut/);
    const { receipts } = await rig.books.ledger.statement({ walletId: rig.walletId, limit: 1 });
    assert.equal(receipts[0]?.kind, 'usage');
    assert.deepEqual((await rig.books.ledger.verify()).differences, []);
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

for (const workers of [1, 2])
  test(`a server of ${workers} that cannot write any more does not look healthy`, async (t) => {
    const at = await place(t, { paceMs: 0, settings: { workers } });
    const { url } = await at.start();
    const health = async () => {
      const response = await fetch(`${url}/healthz`);
      return [response.status, await response.text()] as const;
    };
    assert.deepEqual(await health(), [200, '{"status":"ok"}']);
    const file = join(at.files.folder, 'manifold.db');
    renameSync(file, `${file}.lost`);
    // Found by the first that writes.
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${at.key}` },
      body: JSON.stringify(question),
    });
    assert.equal(response.status, 503, await response.text());
    const [status, text] = await health();
    assert.equal(status, 503, text);
    assert.match(text, /"code":"storage_unavailable"/);
  });
