/**
 * `kill -9` (T-B1, ledger alone): `node test/crash/ledger-kill.ts [kills] [seed] [fault] [url]`.
 * Prints one line of JSON; exits 1 unless the ledger and the vendor agree on everything. With a
 * planted fault (`send_early`, `ack_early`) it must exit 1: that guards the test.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom, systemClock } from '#std';
import { openLedger } from '#ledger';
import { openStore } from '#store';
import { compareWithTruth, Truth } from './truth.ts';
import { liveAndDie } from './victim.ts';

const kills = Number(process.argv[2] ?? 200);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_000);
const fault = process.argv[4] ?? 'none';
const random = seededRandom(seed);
const folder = mkdtempSync(join(tmpdir(), 'manifold-kill-'));
const url = process.argv[5] ?? join(folder, 'ledger.db');
const truth = new Truth();
const recoveryMs: number[] = [];
const start = performance.now();
let holdsRecovered = 0;
let differences = 0;

console.error(`seed ${seed}`);
for (let life = 0; life < kills; life += 1) {
  await live(String(life), 'SIGKILL');
  if (life % 20 === 19) differences += await verifyBooks();
}
await live('last', 'end');

const store = await openStore({ url, clock: systemClock, nodeId: 'checker' });
const ledger = openLedger({ store, clock: systemClock });
const report = await compareWithTruth(truth, ledger);
const verified = await ledger.verify();
const pending = await pendingOfAll();
await store.close();
rmSync(folder, { recursive: true, force: true });

recoveryMs.sort((left, right) => left - right);
const failed =
  report.orphans +
    report.lostAcknowledgements +
    report.lookUpMismatches +
    differences +
    verified.differenceCount +
    pending >
  0;
console.log(
  JSON.stringify({
    test: 'T-B1',
    store: store.kind,
    seed,
    fault,
    kills,
    ...report,
    holds_recovered: holdsRecovered,
    open_holds: pending,
    differences: differences + verified.differenceCount,
    first_differences: verified.differences.slice(0, 3),
    receipts: verified.receipts,
    recovery_p50_ms: recoveryMs[Math.floor(recoveryMs.length / 2)],
    recovery_max_ms: recoveryMs.at(-1),
    seconds: Math.round((performance.now() - start) / 1000),
    ok: !failed,
  }),
);
process.exitCode = failed ? 1 : 0;

/** The last life makes no more requests, finishes its look-ups and ends by itself. */
async function live(name: string, end: 'SIGKILL' | 'end'): Promise<void> {
  const last = end === 'end';
  await liveAndDie({
    script: join(import.meta.dirname, 'ledger-victim.ts'),
    arguments: [
      url,
      last ? '0' : '60',
      String(seed + (last ? 1_000_000 : Number(name))),
      '0',
      fault,
    ],
    random,
    liveMs: last ? { minimum: 60_000, maximum: 60_000 } : { minimum: 30, maximum: 450 },
    startTimeoutMs: 20_000,
    onLine: (line, answer) => {
      if (truth.read(line, answer)) return;
      const [verb, ms, holds] = line.split(' ');
      if (verb !== 'recovered') return;
      recoveryMs.push(Number(ms));
      holdsRecovered += Number(holds);
    },
  });
}

/** Between two lives: everything that is recorded must be consistent, also with holds open. */
async function verifyBooks(): Promise<number> {
  const opened = await openStore({ url, clock: systemClock, nodeId: 'checker' });
  const summary = await openLedger({ store: opened, clock: systemClock }).verify();
  await opened.close();
  return summary.differenceCount;
}

async function pendingOfAll(): Promise<number> {
  let pendingSum = 0;
  for (let index = 0; index < 20; index += 1)
    pendingSum += (await ledger.balance(`w${index}`)).pendingNanoUsd;
  return pendingSum;
}
