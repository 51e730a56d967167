/**
 * Time to recover (part of T-B1): `node test/crash/ledger-recovery.ts [holds]`. Leaves open holds,
 * each with a sent attempt, starts anew and measures until every one is resolved. One line of JSON;
 * exits 1 above one second of CPU for
 * 10,000 (a machine that does other work needs longer by the clock).
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nanoUsd, systemClock } from '#std';
import { openLedger } from '#ledger';
import { openStore } from '#store';

const holds = Number(process.argv[2] ?? 10_000);
const folder = mkdtempSync(join(tmpdir(), 'manifold-recovery-'));
const url = join(folder, 'ledger.db');

const before = await openStore({ url, clock: systemClock });
const first = openLedger({ store: before, clock: systemClock });
await first.credit({
  walletId: 'w',
  amountNanoUsd: nanoUsd(1_000_000_000),
  lotKind: 'paid',
  source: 'test',
  eventId: 'once',
  actor: 'test',
});
await Promise.all(
  Array.from({ length: holds }, (_, index) =>
    first.reserve({
      requestId: `r${index}`,
      walletId: 'w',
      amountNanoUsd: nanoUsd(100),
      scopes: [{ kind: 'key', id: 'k', window: 'monthly', limitNanoUsd: null }],
      attempt: {
        attemptId: `a${index}`,
        channelId: 'c',
        providerId: 'p',
        priceVersion: 'v1',
        boundNanoUsd: nanoUsd(100),
        canLookUp: false,
      },
      expiresAtMs: systemClock.now() + 600_000,
    }),
  ),
);
await before.close();

const cpuBefore = process.cpuUsage();
const began = performance.now();
const after = await openStore({ url, clock: systemClock });
const ledger = openLedger({ store: after, clock: systemClock });
const summary = await ledger.recover();
const elapsedMs = performance.now() - began;
const cpu = process.cpuUsage(cpuBefore);
const cpuMs = Math.round((cpu.user + cpu.system) / 1000);
const { pendingNanoUsd } = await ledger.balance('w');
const verified = await ledger.verify();
await after.close();
rmSync(folder, { recursive: true, force: true });

const ok =
  summary.voided === holds &&
  pendingNanoUsd === 0 &&
  verified.ok &&
  cpuMs <= Math.max(1000, holds / 10);
console.log(
  JSON.stringify({
    test: 'recovery',
    holds,
    voided: summary.voided,
    open_and_recover_ms: Math.round(elapsedMs),
    cpu_ms: cpuMs,
    ok,
  }),
);
process.exitCode = ok ? 0 : 1;
