/**
 * Proof of the books: every hash, every transfer, every balance computed again from the receipts,
 * which are the one chain of evidence. Reads only, one page at a time, in one snapshot.
 */

import type { Command, Engine, Row, SnapshotReader } from '#store';
import { integerOf, rowsOf, textOf } from '#store';
import type { Difference, Receipt, VerifyOptions, VerifySummary } from './contract.ts';
import { walletPrefix } from './books.ts';
import {
  chainHash,
  chainSpan,
  chainStart,
  isOfRequest,
  readReceipt,
  transferSpan,
  type StoredReceipt,
} from './receipt.ts';
import { unrecorded } from './resolve.ts';
import { holdSelect, readHold, readReceiptRow, receiptColumns } from './rows.ts';
import { amountOf, compareSums, emptySums, lotFacts, type Sums } from './sums.ts';

const pageSize = 1000;

type Audit = {
  readonly options: VerifyOptions;
  readonly sums: Sums;
  readonly differences: Difference[];
  differenceCount: number;
  receipts: number;
  transfers: number;
  /** Of these, those that have a row of their own. */
  transferRows: number;
  unrated: number;
};

export async function verify(engine: Engine, options: VerifyOptions): Promise<VerifySummary> {
  const audit: Audit = {
    options,
    sums: emptySums(),
    differences: [],
    differenceCount: 0,
    receipts: 0,
    transfers: 0,
    transferRows: 0,
    unrated: 0,
  };
  for (const line of await engine.checkStorage()) report(audit, 'storage', 'database', line);
  try {
    await engine.snapshot(async (reader) => {
      await checkChains(reader, audit);
      await checkTransferCount(reader, audit);
      await checkIndex(reader, audit);
      await collectHolds(reader, audit);
      await compareSums(reader, audit.sums, (kind, where, detail) =>
        report(audit, kind, where, detail),
      );
    });
  } catch (error) {
    report(audit, 'storage', 'database', error instanceof Error ? error.message : 'not readable');
  }
  const { receipts, transfers, unrated, differenceCount, differences } = audit;
  return { ok: differenceCount === 0, receipts, transfers, unrated, differenceCount, differences };
}

function report(audit: Audit, kind: string, where: string, detail: string): void {
  audit.differenceCount += 1;
  if (audit.differences.length < (audit.options.differencesMax ?? 100))
    audit.differences.push({ kind, where, detail });
}

async function select(
  reader: SnapshotReader,
  sql: string,
  parameters: Extract<Command, { run: 'query' }>['parameters'] = [],
): Promise<readonly Row[]> {
  return rowsOf(await reader.run({ run: 'query', sql, parameters }));
}

/** The sequence in each chain has no gap, and each hash covers the body and the hash before it. */
async function checkChains(reader: SnapshotReader, audit: Audit): Promise<void> {
  const heads = await select(
    reader,
    'SELECT chain_id, number, sequence, hash FROM chains ORDER BY number',
  );
  for (const head of heads) {
    const chainId = textOf(head, 'chain_id');
    const first = integerOf(head, 'number') * chainSpan;
    let sequence = 0;
    let previousHash = chainStart;
    for (;;) {
      const rows = await select(
        reader,
        `SELECT ${receiptColumns.join(', ')} FROM receipts WHERE position > ? AND position < ? ORDER BY position LIMIT ${pageSize}`,
        [first + sequence, first + chainSpan],
      );
      const page = rows.map(readReceiptRow);
      await checkPage(reader, audit, page, { sequence, previousHash });
      const last = page.at(-1);
      if (!last) break;
      sequence = last.position % chainSpan;
      previousHash = last.hash;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (sequence !== integerOf(head, 'sequence'))
      report(
        audit,
        'receipt_sequence',
        `chain ${chainId}`,
        `ends at ${sequence}, its head says ${integerOf(head, 'sequence')}`,
      );
    else if (previousHash !== textOf(head, 'hash'))
      report(
        audit,
        'receipt_hash',
        `chain ${chainId}`,
        'the head has another hash than the last receipt',
      );
  }
  const strays = await select(
    reader,
    'SELECT receipt_id FROM receipts WHERE position < 1 OR position >= ? LIMIT 100',
    [heads.length * chainSpan],
  );
  for (const row of strays)
    report(audit, 'receipt_sequence', textOf(row, 'receipt_id'), 'belongs to no chain');
}

type Link = { sequence: number; previousHash: string };

async function checkPage(
  reader: SnapshotReader,
  audit: Audit,
  page: readonly StoredReceipt[],
  start: Link,
): Promise<void> {
  const link = { ...start };
  const readable = new Map<number, Receipt>();
  for (const stored of page) {
    audit.receipts += 1;
    checkLink(audit, stored, link);
    link.sequence = stored.position % chainSpan;
    link.previousHash = stored.hash;
    const receipt = readOrReport(audit, stored);
    if (!receipt) continue;
    checkColumns(audit, stored, receipt);
    checkAmounts(audit, receipt);
    checkRating(audit, receipt);
    addToSums(audit.sums, receipt);
    readable.set(stored.position, receipt);
  }
  await checkTransfers(reader, audit, page, readable);
}

function checkLink(audit: Audit, stored: StoredReceipt, link: Link): void {
  const sequence = stored.position % chainSpan;
  if (sequence !== link.sequence + 1)
    report(
      audit,
      'receipt_sequence',
      stored.receiptId,
      `has sequence ${sequence} after ${link.sequence}`,
    );
  if (stored.previousHash !== link.previousHash)
    report(audit, 'receipt_hash', stored.receiptId, 'does not follow the receipt before it');
  if (chainHash(stored.previousHash, stored.body) !== stored.hash)
    report(audit, 'receipt_hash', stored.receiptId, 'the body does not have the stored hash');
}

function readOrReport(
  audit: Audit,
  stored: StoredReceipt,
): (Receipt & { readonly scopeKeys: readonly string[] }) | undefined {
  try {
    return readReceipt(stored);
  } catch (error) {
    report(
      audit,
      'receipt_body',
      stored.receiptId,
      error instanceof Error ? error.message : 'not readable',
    );
    return undefined;
  }
}

/** The columns by which a receipt is found say the same as its body. */
function checkColumns(audit: Audit, stored: StoredReceipt, receipt: Receipt): void {
  if (stored.receiptId !== receipt.receiptId)
    report(audit, 'receipt_column', stored.receiptId, `the body names ${receipt.receiptId}`);
  if (stored.walletId !== (receipt.walletId ?? null))
    report(audit, 'receipt_column', stored.receiptId, 'column wallet_id differs from the body');
  if (stored.createdAtMs !== receipt.createdAtMs)
    report(audit, 'receipt_column', stored.receiptId, 'column created_at_ms differs from the body');
}

/** What one receipt promises in itself. */
function checkAmounts(audit: Audit, receipt: Receipt): void {
  const { receiptId, chargeNanoUsd, ratedNanoUsd, holdNanoUsd } = receipt;
  const fail = (detail: string): void => report(audit, 'receipt_amount', receiptId, detail);
  if (isOfRequest(receipt.kind) && chargeNanoUsd !== Math.min(ratedNanoUsd, holdNanoUsd))
    fail(`charged ${chargeNanoUsd}, rated ${ratedNanoUsd}, held ${holdNanoUsd}`);
  const paid = receipt.lots.reduce((sum, lot) => sum + lot.amountNanoUsd, 0);
  if (receipt.kind !== 'suspense' && paid !== Math.abs(chargeNanoUsd))
    fail(`lots sum to ${paid}, charged ${chargeNanoUsd}`);
  const moved = receipt.transfers.reduce(
    (sum, transfer) => sum + walletEffect(transfer, receipt.walletId),
    0,
  );
  if (moved !== -chargeNanoUsd)
    fail(`transfers move the wallet by ${moved}, charged ${chargeNanoUsd}`);
  if (receipt.attempts.some((attempt) => attempt.channelId === unrecorded))
    report(
      audit,
      'attempt_without_intent',
      receiptId,
      'an upstream call was never recorded before it was sent',
    );
}

function walletEffect(
  transfer: Receipt['transfers'][number],
  walletId: string | undefined,
): number {
  const account = `${walletPrefix}${walletId}`;
  if (transfer.debitAccount === account) return -transfer.amountNanoUsd;
  return transfer.creditAccount === account ? transfer.amountNanoUsd : 0;
}

function checkRating(audit: Audit, receipt: Receipt): void {
  if (receipt.kind !== 'usage' || !audit.options.rate) return;
  const rated = audit.options.rate(receipt);
  if (rated === undefined) audit.unrated += 1;
  else if (rated !== receipt.ratedNanoUsd)
    report(
      audit,
      'rating',
      receipt.receiptId,
      `computed ${rated}, written ${receipt.ratedNanoUsd}`,
    );
}

const transferSql = `SELECT transfer_key, transfer_id, kind, debit_account, credit_account, amount_nano_usd, created_at_ms
  FROM transfers WHERE transfer_key >= ? AND transfer_key < ? ORDER BY transfer_key`;

/**
 * The rows between the first and the last receipt of the page are those of its movements, and no
 * others. The transfers of requests have no rows: they follow from their receipts.
 */
async function checkTransfers(
  reader: SnapshotReader,
  audit: Audit,
  page: readonly StoredReceipt[],
  receipts: ReadonlyMap<number, Receipt>,
): Promise<void> {
  const first = page[0];
  const last = page.at(-1);
  if (!first || !last) return;
  const rows = await select(reader, transferSql, [
    first.position * transferSpan,
    (last.position + 1) * transferSpan,
  ]);
  const byKey = new Map(rows.map((row) => [integerOf(row, 'transfer_key'), row]));
  for (const [position, receipt] of receipts) {
    audit.transfers += receipt.transfers.length;
    if (isOfRequest(receipt.kind)) continue;
    for (const [index, transfer] of receipt.transfers.entries()) {
      audit.transferRows += 1;
      const row = byKey.get(position * transferSpan + index);
      if (!row)
        report(audit, 'transfer_missing', transfer.transferId, `named by ${receipt.receiptId}`);
      else if (!sameTransfer(row, transfer, receipt))
        report(audit, 'transfer', transfer.transferId, `differs from ${receipt.receiptId}`);
    }
  }
}

function sameTransfer(row: Row, transfer: Receipt['transfers'][number], receipt: Receipt): boolean {
  return (
    textOf(row, 'transfer_id') === transfer.transferId &&
    textOf(row, 'kind') === transfer.kind &&
    textOf(row, 'debit_account') === transfer.debitAccount &&
    textOf(row, 'credit_account') === transfer.creditAccount &&
    integerOf(row, 'amount_nano_usd') === transfer.amountNanoUsd &&
    integerOf(row, 'created_at_ms') === receipt.createdAtMs
  );
}

/** Every transfer that a receipt names was found; equal counts mean that there is no other. */
async function checkTransferCount(reader: SnapshotReader, audit: Audit): Promise<void> {
  const [row] = await select(reader, 'SELECT count(*) AS transfers FROM transfers');
  const count = row ? integerOf(row, 'transfers') : 0;
  if (count !== audit.transferRows)
    report(
      audit,
      'transfer_count',
      'transfers',
      `${count} rows, ${audit.transferRows} named by receipts`,
    );
}

/** The index of statements has every receipt of a wallet up to `indexed`, and nothing else. */
async function checkIndex(reader: SnapshotReader, audit: Audit): Promise<void> {
  const [row] = await select(
    reader,
    `SELECT (SELECT count(*) FROM receipts_by_wallet) AS rows_found,
       (SELECT count(*) FROM receipts_by_wallet AS place JOIN receipts ON receipts.position = place.position
          AND receipts.wallet_id = place.wallet_id AND receipts.created_at_ms = place.created_at_ms) AS rows_right,
       (SELECT count(*) FROM chains JOIN receipts ON receipts.position > chains.number * ${chainSpan}
          AND receipts.position <= chains.number * ${chainSpan} + chains.indexed WHERE receipts.wallet_id IS NOT NULL) AS rows_expected`,
  );
  if (!row) return;
  const [found, right, expected] = [
    integerOf(row, 'rows_found'),
    integerOf(row, 'rows_right'),
    integerOf(row, 'rows_expected'),
  ];
  if (found !== right || found !== expected)
    report(
      audit,
      'statement_index',
      'receipts_by_wallet',
      `${found} rows, ${right} of them right, ${expected} expected`,
    );
}

async function collectHolds(reader: SnapshotReader, audit: Audit): Promise<void> {
  const resolved = await select(
    reader,
    "SELECT request_id FROM holds WHERE EXISTS (SELECT 1 FROM receipts WHERE receipt_id = 'rcpt_' || holds.request_id) LIMIT 100",
  );
  for (const row of resolved)
    report(audit, 'hold_resolved', textOf(row, 'request_id'), 'is held and has a receipt');
  let after = '';
  for (;;) {
    const rows = await select(
      reader,
      `${holdSelect} WHERE request_id > ? ORDER BY request_id LIMIT ${pageSize}`,
      [after],
    );
    for (const hold of rows.map(readHold)) {
      amountOf(audit.sums.pending, hold.walletId, BigInt(hold.amount));
      for (const key of hold.scopeKeys)
        amountOf(audit.sums.budgetPending, key, BigInt(hold.amount));
      after = hold.requestId;
    }
    if (rows.length < pageSize) return;
  }
}

function addToSums(sums: Sums, receipt: Receipt & { readonly scopeKeys: readonly string[] }): void {
  for (const transfer of receipt.transfers) {
    const amount = BigInt(transfer.amountNanoUsd);
    amountOf(sums.debits, transfer.debitAccount, amount);
    amountOf(sums.credits, transfer.creditAccount, amount);
  }
  const spends = receipt.chargeNanoUsd > 0;
  for (const { lotId, kind, amountNanoUsd } of receipt.lots) {
    amountOf(spends ? sums.lotTaken : sums.lotMade, lotId, BigInt(amountNanoUsd));
    if (!spends) sums.lotFacts.set(lotId, lotFacts(receipt, kind));
  }
  for (const key of receipt.scopeKeys)
    amountOf(sums.budgetSpent, key, BigInt(receipt.chargeNanoUsd));
}
