/**
 * `verify` at size: `node test/crash/ledger-verify.ts [receipts] [flips] [seed]`. Makes receipts,
 * verifies them, then flips single bits in copies of the file: in the text of known receipts (must
 * be found there) and anywhere (must be found when any row reads differently). One line of JSON.
 */

import { hash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { nanoUsd, seededRandom, systemClock } from '#std';
import { openLedger, type VerifySummary } from '#ledger';
import { openStore } from '#store';

const receipts = Number(process.argv[2] ?? 100_000);
const flips = Number(process.argv[3] ?? 10);
const seed = Number(process.argv[4] ?? 1);
const random = seededRandom(seed);
const folder = mkdtempSync(join(tmpdir(), 'manifold-verify-'));
const original = join(folder, 'ledger.db');
const copy = join(folder, 'copy.db');

await make();
const began = performance.now();
const clean = await verifyFile(original);
const verifyMs = performance.now() - began;
const bytes = readFileSync(original);
const rowsBefore = digestOfRows(original);

let located = 0;
for (let index = 0; index < flips; index += 1) {
  const requestId = `r_${String(Math.floor(random() * receipts)).padStart(8, '0')}`;
  const at = bytes.indexOf(`"receipt_id":"rcpt_${requestId}"`) + 60 + Math.floor(random() * 200);
  const summary = await verifyFlipped(at, 1 << Math.floor(random() * 7));
  if (
    !summary.ok &&
    summary.differences.some((difference) => difference.where === `rcpt_${requestId}`)
  )
    located += 1;
  else
    console.error(`not located: ${requestId} ${JSON.stringify(summary.differences.slice(0, 2))}`);
}
let changed = 0;
let found = 0;
for (let index = 0; index < flips; index += 1) {
  const summary = await verifyFlipped(
    Math.floor(random() * bytes.length),
    1 << Math.floor(random() * 8),
  );
  if (digestOfRows(copy) === rowsBefore) continue;
  changed += 1;
  if (!summary.ok) found += 1;
}
rmSync(folder, { recursive: true, force: true });
const ok = clean.ok && located === flips && found === changed;
console.log(
  JSON.stringify({
    test: 'verify',
    seed,
    receipts: clean.receipts,
    transfers: clean.transfers,
    differences: clean.differenceCount,
    verify_ms: Math.round(verifyMs),
    flips_in_receipts: flips,
    located,
    flips_anywhere: flips,
    changed_rows: changed,
    found,
    ok,
  }),
);
process.exitCode = ok ? 0 : 1;

async function make(): Promise<void> {
  const store = await openStore({ url: original, clock: systemClock, synchronous: 'OFF' });
  const ledger = openLedger({ store, clock: systemClock });
  for (let index = 0; index < 50; index += 1) {
    await ledger.credit({
      walletId: `w${index}`,
      amountNanoUsd: nanoUsd(9_000_000_000_000),
      lotKind: 'paid',
      source: 'test',
      eventId: `e${index}`,
      actor: 'test',
    });
  }
  let next = 0;
  const stream = async (): Promise<void> => {
    for (let index = next++; index < receipts; index = next++) {
      const requestId = `r_${String(index).padStart(8, '0')}`;
      const charge = nanoUsd(1 + Math.floor(random() * 1_000_000));
      await ledger.reserve({
        requestId,
        walletId: `w${index % 50}`,
        amountNanoUsd: charge,
        scopes: [],
        expiresAtMs: systemClock.now() + 60_000,
      });
      await ledger.settle({
        requestId,
        chargeNanoUsd: charge,
        attempts: [],
        usage: { output_tokens: charge },
        usageSource: 'provider',
        priceVersion: 'v1',
        formula: 'quantity',
        lines: [{ unit: 'output', quantity: charge, priceNanoUsdPerMillion: 1_000_000 }],
      });
    }
  };
  await Promise.all(Array.from({ length: 128 }, stream));
  await store.close();
}

async function verifyFlipped(at: number, bit: number): Promise<VerifySummary> {
  copyFileSync(original, copy);
  const flipped = Buffer.from(bytes);
  flipped[at] = (flipped[at] ?? 0) ^ bit;
  writeFileSync(copy, flipped);
  return verifyFile(copy);
}

async function verifyFile(path: string): Promise<VerifySummary> {
  try {
    const store = await openStore({ url: path, clock: systemClock, synchronous: 'OFF' });
    const summary = await openLedger({ store, clock: systemClock }).verify({
      rate: (receipt) => nanoUsd(receipt.lines[0]?.quantity ?? 0),
    });
    await store.close();
    return summary;
  } catch (error) {
    const detail = error instanceof Error ? error.message : 'not readable';
    return {
      ok: false,
      receipts: 0,
      transfers: 0,
      unrated: 0,
      differenceCount: 1,
      differences: [{ kind: 'storage', where: 'database', detail }],
    };
  }
}

/** All that the ledger's tables say, or why they cannot be read. */
function digestOfRows(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const parts: string[] = [];
    for (const table of [
      'wallets',
      'lots',
      'accounts',
      'holds',
      'budgets',
      'transfers',
      'chains',
      'receipts',
    ]) {
      parts.push(
        hash('sha256', JSON.stringify(database.prepare(`SELECT * FROM ${table} ORDER BY 1`).all())),
      );
    }
    return parts.join(' ');
  } catch (error) {
    return error instanceof Error ? error.message : 'not readable';
  } finally {
    database.close();
  }
}
