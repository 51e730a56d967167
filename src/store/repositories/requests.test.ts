import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nanoUsd, systemClock } from '#std';
import type { CommandResult, Engine, Steps } from '../engine.ts';
import { StoreUnavailableError, type RequestRecord, type RequestRepository } from '../contract.ts';
import { openStore } from '../open.ts';
import { createRequestRepository } from './requests.ts';

function record(atMs: number, errorCode: string | null): RequestRecord {
  return {
    requestId: `r${atMs}`,
    walletId: 'w',
    keyId: 'k',
    projectId: null,
    createdAtMs: atMs,
    durationMs: 1,
    firstContentMs: null,
    status: 200,
    errorCode,
    dialect: 'openai-chat',
    operation: 'chat',
    model: 'm',
    channelId: null,
    chargeNanoUsd: nanoUsd(0),
    inputTokens: 0,
    outputTokens: 0,
    streamed: false,
    detail: {},
  };
}

/** A database in which something happens between any two reads, as where several write and none waits. */
function disturbed(engine: Engine, disturb: () => Promise<unknown>): RequestRepository {
  const read: Engine['read'] = async (steps) => {
    const work = steps();
    let next = work.next();
    while (next.done !== true) {
      const command = next.value;
      next = work.next(
        await engine.read(function* (): Steps<CommandResult> {
          return yield command;
        }),
      );
      await disturb();
    }
    return next.value;
  };
  return createRequestRepository({ ...engine, read });
}

test('pages of the request log show each record once, whatever is written between their reads', async () => {
  const store = await openStore({ url: ':memory:', clock: systemClock, nodeId: 'test' });
  try {
    for (let atMs = 1; atMs <= 40; atMs += 1)
      await store.requests.append(record(atMs, atMs % 8 === 6 ? 'upstream_failed' : null));
    let newest = 100;
    const requests = disturbed(store.engine, async () => {
      for (let count = 0; count < 3; count += 1)
        await store.requests.append(record((newest += 1), null));
    });
    const seen: string[] = [];
    let before: string | undefined;
    for (let page = 0; page < 100; page += 1) {
      const { records, next } = await requests.list({
        errorsOnly: true,
        limit: 2,
        looksMax: 4,
        ...(before === undefined ? {} : { before }),
      });
      seen.push(...records.map(({ requestId }) => requestId));
      if ((before = next) === undefined) break;
    }
    assert.deepEqual(seen, ['r38', 'r30', 'r22', 'r14', 'r6']);
  } finally {
    await store.close();
  }
});

/** A database that is away at times. */
function outageOf(engine: Engine, outage: { isOn: boolean; asked: number }): Engine {
  const submit: Engine['submit'] = (lane, operation) => {
    outage.asked += 1;
    return outage.isOn
      ? Promise.reject(new StoreUnavailableError('store_unavailable', 'it restarts'))
      : engine.submit(lane, operation);
  };
  return { ...engine, submit, read: (steps) => engine.read(steps) };
}

test('records of an outage of the database are written when it is back, and one at a time asks until then', async () => {
  const store = await openStore({ url: ':memory:', clock: systemClock, nodeId: 'test' });
  const outage = { isOn: true, asked: 0 };
  const requests = createRequestRepository(outageOf(store.engine, outage), 5);
  try {
    for (let atMs = 1; atMs <= 500; atMs += 1) await requests.append(record(atMs, null));
    assert.equal(outage.asked, 500);
    while (outage.asked < 503) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal((await requests.list({})).records.length, 0);
    outage.isOn = false;
    while ((await requests.list({ limit: 500 })).records.length < 500)
      await new Promise((resolve) => setTimeout(resolve, 5));
    // What waits at the end is written then.
    outage.isOn = true;
    await requests.append(record(501, null));
    outage.isOn = false;
    await requests.close();
    assert.ok(await requests.get('r501'));
  } finally {
    await requests.close();
    await store.close();
  }
});

test('records that have no room in memory while the database is away are refused, not kept without a bound', async () => {
  const store = await openStore({ url: ':memory:', clock: systemClock, nodeId: 'test' });
  const requests = createRequestRepository(outageOf(store.engine, { isOn: true, asked: 0 }));
  const large = { ...record(1, null), detail: { text: 'x'.repeat(2 ** 20) } };
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, () => requests.append(large)),
  );
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 15);
  await requests.close();
  await store.close();
});

test('a record with more tokens than a number can count is read back, alone and in sums', async () => {
  const store = await openStore({ url: ':memory:', clock: systemClock, nodeId: 'test' });
  try {
    const claimed = { inputTokens: 6 * Number.MAX_SAFE_INTEGER, outputTokens: 1e300 };
    await store.requests.append({ ...record(1, null), ...claimed });
    const page = await store.requests.list({});
    assert.deepEqual(
      page.records.map(({ inputTokens, outputTokens }) => [inputTokens, outputTokens]),
      [[1e12, 1e12]],
    );
    assert.equal((await store.requests.totals({ bucketMs: 10 }))[0]?.inputTokens, 10n ** 12n);
  } finally {
    await store.close();
  }
});
