/**
 * Disk full (T-B6): `node test/crash/ledger-full.ts [rounds]`. A small tmpfs is filled under a
 * working ledger and emptied again. While full, every write is refused as unavailable; afterwards
 * it works without anybody's help, and nothing was charged without a record. Needs the right to
 * mount (else: says so and exits 0, or 1 when CI=true). Prints one line of JSON.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nanoUsd, systemClock } from '#std';
import { openLedger, receiptIdOf } from '#ledger';
import { openStore, StoreUnavailableError } from '#store';

const rounds = Number(process.argv[2] ?? 20);
const folder = mkdtempSync(join(tmpdir(), 'manifold-full-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256m', 'tmpfs', folder]);
if (mounted.status !== 0) {
  console.error('SKIPPED: T-B6 needs the right to mount a tmpfs');
  rmSync(folder, { recursive: true });
  process.exit(process.env['CI'] === 'true' ? 1 : 0);
}

const ballast = join(folder, 'ballast');
const charged = new Map<string, number>();
let refused = 0;
let otherErrors = 0;
let made = 0;
let loops = 0;
try {
  const store = await openStore({
    url: join(folder, 'ledger.db'),
    clock: systemClock,
    checkpointPages: 100,
  });
  const ledger = openLedger({ store, clock: systemClock });
  await ledger.credit({
    walletId: 'w',
    amountNanoUsd: nanoUsd(1_000_000_000),
    lotKind: 'paid',
    source: 'test',
    eventId: 'once',
    actor: 'test',
  });
  let refusedBefore = 0;
  let stuckRounds = 0;
  for (let round = 0; round < rounds; round += 1) {
    await work(40);
    const before = charged.size;
    fill();
    refusedBefore = refused;
    // What the files have room for already goes on being written.
    for (let tries = 0; tries < 400 && refused === refusedBefore; tries += 1) await work(100);
    if (refused === refusedBefore) throw new Error('the disk never became full');
    rmSync(ballast, { force: true });
    const afterFull = charged.size;
    await work(10);
    if (charged.size - afterFull !== 10 || before > afterFull) stuckRounds += 1;
  }
  await ledger.recover();
  let missing = 0;
  let sum = 0;
  for (const [requestId, charge] of charged) {
    sum += charge;
    if ((await ledger.receipt(receiptIdOf(requestId)))?.chargeNanoUsd !== charge) missing += 1;
  }
  const verified = await ledger.verify();
  const { postedNanoUsd } = await ledger.balance('w');
  const unexplained = 1_000_000_000 - postedNanoUsd - sum;
  await store.close();
  const ok =
    missing === 0 && stuckRounds === 0 && otherErrors === 0 && verified.ok && unexplained === 0;
  console.log(
    JSON.stringify({
      test: 'T-B6',
      rounds,
      charged: charged.size,
      refused,
      other_errors: otherErrors,
      charges_without_record: missing,
      unexplained_nano_usd: unexplained,
      rounds_not_recovered: stuckRounds,
      differences: verified.differences.slice(0, 3),
      ok,
    }),
  );
  process.exitCode = ok ? 0 : 1;

  async function work(count: number): Promise<void> {
    const results = await Promise.allSettled(
      Array.from({ length: count }, () => one(`r${String((made += 1)).padStart(8, '0')}`)),
    );
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      if (result.reason instanceof StoreUnavailableError) refused += 1;
      else {
        otherErrors += 1;
        console.error(result.reason);
      }
    }
  }

  async function one(requestId: string): Promise<void> {
    const reserved = await ledger.reserve({
      requestId,
      walletId: 'w',
      amountNanoUsd: nanoUsd(1000),
      scopes: [],
      expiresAtMs: systemClock.now() + 600_000,
      context: { padding: 'x'.repeat(500) },
    });
    if (!reserved.ok) throw new Error(reserved.error);
    const settlement = {
      requestId,
      chargeNanoUsd: nanoUsd(100),
      attempts: [],
      usage: {},
      usageSource: 'provider',
      priceVersion: 'v1',
      formula: '',
      lines: [],
    } as const;
    for (;;) {
      try {
        const settled = await ledger.settle(settlement);
        if (settled.ok) charged.set(requestId, settled.receipt.chargeNanoUsd);
        return;
      } catch (error) {
        // What a gateway does with money it could not settle: it releases nothing, and repeats later.
        if (!(error instanceof StoreUnavailableError)) throw error;
        rmSync(ballast, { force: true });
        refused += 1;
        if ((loops += 1) > 100_000)
          throw new Error('the ledger does not recover', { cause: error });
      }
    }
  }
} finally {
  spawnSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true, force: true });
}

/** Takes all that is left, down to the last bytes. */
function fill(): void {
  for (const size of [1 << 20, 1 << 16, 1 << 12, 1]) {
    try {
      for (;;) writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' });
    } catch {
      // Full at this grain.
    }
  }
}
