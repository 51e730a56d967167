/**
 * CPU of reserve + settle per request (T-B13):
 * `node test/crash/ledger-cost.ts [concurrency] [requests] [url] [record]`. Both operations are
 * durable (`synchronous=FULL`), with one budget and one attempt with cost; with `record` the row of
 * the request log is written too. Prints one line of JSON.
 */

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nanoUsd, systemClock } from '#std';
import { openLedger, type Ledger } from '#ledger';
import { openStore } from '#store';

const concurrency = Number(process.argv[2] ?? 100);
const requests = Number(process.argv[3] ?? 30_000);
const url = process.argv[4] === '' ? undefined : process.argv[4];
const withRecord = process.argv[5] === 'record';
const wallets = 100;

const folder = mkdtempSync(join(tmpdir(), 'manifold-cost-'));
const store = await openStore({ url: url ?? join(folder, 'ledger.db'), clock: systemClock });
const ledger = openLedger({ store, clock: systemClock });
const run = Date.now();
for (let index = 0; index < wallets; index += 1) {
  await ledger.credit({
    walletId: `w${index}`,
    amountNanoUsd: nanoUsd(1_000_000_000_000),
    lotKind: 'paid',
    source: 'test',
    eventId: `${run}-${index}`,
    actor: 'test',
  });
}

const reserveMs: number[] = [];
// As many before it is measured: a server runs for days, and compiles in its first seconds.
await work(ledger, requests, `warm${run}`);
reserveMs.length = 0;
const cpuStart = process.cpuUsage();
const start = performance.now();
await work(ledger, requests, `r${run}`);
const elapsedMs = performance.now() - start;
const cpu = process.cpuUsage(cpuStart);
reserveMs.sort((left, right) => left - right);
const percentile = (share: number): number =>
  Number((reserveMs[Math.floor(reserveMs.length * share)] ?? 0).toFixed(2));
console.log(
  JSON.stringify({
    store: store.kind,
    concurrency,
    requests,
    cpu_us_per_request: Number(((cpu.user + cpu.system) / requests).toFixed(1)),
    requests_per_second: Math.round((requests / elapsedMs) * 1000),
    reserve_p50_ms: percentile(0.5),
    reserve_p99_ms: percentile(0.99),
    bytes_per_request: url
      ? undefined
      : Math.round(statSync(join(folder, 'ledger.db')).size / (requests * 2)),
  }),
);
await store.close();
rmSync(folder, { recursive: true, force: true });

async function work(on: Ledger, count: number, prefix: string): Promise<void> {
  let next = 0;
  const stream = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++)
      await one(on, `${prefix}_${String(index).padStart(10, '0')}`, `w${index % wallets}`);
  };
  await Promise.all(Array.from({ length: concurrency }, stream));
}

async function one(on: Ledger, requestId: string, walletId: string): Promise<void> {
  const began = performance.now();
  const attemptId = `a_${requestId}`;
  const reserved = await on.reserve({
    requestId,
    fresh: true,
    walletId,
    amountNanoUsd: nanoUsd(5_000_000),
    scopes: [
      { kind: 'key', id: walletId, window: 'monthly', limitNanoUsd: nanoUsd(900_000_000_000) },
    ],
    attempt: {
      attemptId,
      channelId: 'c1',
      providerId: 'p1',
      priceVersion: 'v1',
      boundNanoUsd: nanoUsd(5_000_000),
      canLookUp: false,
    },
    expiresAtMs: Date.now() + 600_000,
    context: { model: 'gpt-test', key_id: 'key_1' },
  });
  reserveMs.push(performance.now() - began);
  if (!reserved.ok) throw new Error(reserved.error);
  const settled = await on.settle({
    requestId,
    chargeNanoUsd: nanoUsd(1_234_567),
    attempts: [{ attemptId, outcome: 'succeeded', costNanoUsd: nanoUsd(1_000_000) }],
    postedAttemptId: attemptId,
    usage: { input_tokens: 100, output_tokens: 200 },
    usageSource: 'provider',
    priceVersion: 'v1',
    formula: 'ceil(sum(quantity*price)/1e6)',
    lines: [
      { unit: 'input', quantity: 100, priceNanoUsdPerMillion: 1_000_000_000 },
      { unit: 'output', quantity: 200, priceNanoUsdPerMillion: 5_000_000_000 },
    ],
  });
  if (!settled.ok) throw new Error(settled.error);
  if (withRecord) await record(requestId, walletId, attemptId);
}

function record(requestId: string, walletId: string, attemptId: string): Promise<void> {
  return store.requests.append({
    requestId,
    walletId,
    keyId: walletId,
    projectId: null,
    createdAtMs: systemClock.now(),
    durationMs: 1000,
    firstContentMs: 300,
    status: 200,
    errorCode: null,
    dialect: 'openai-chat',
    operation: 'chat',
    model: 'gpt-test',
    channelId: 'c1',
    chargeNanoUsd: nanoUsd(1_234_567),
    inputTokens: 100,
    outputTokens: 200,
    streamed: true,
    detail: { attempts: [{ attempt_id: attemptId, channel: 'c1', status: 200, duration_ms: 990 }] },
  });
}
