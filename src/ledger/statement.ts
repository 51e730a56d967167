/** The receipts of a wallet, newest first: from the index, and from the receipts it lacks as yet. */

import type { Engine, Row, Steps, Value } from '#store';
import { integerOf, query } from '#store';
import type { Receipt, Statement, StatementQuery } from './contract.ts';
import { chainSpan, readReceipt, type StoredReceipt } from './receipt.ts';
import { readReceiptRow, receiptColumns } from './rows.ts';

const pageDefault = 50;
const pageMax = 500;

type StoredPage = {
  readonly stored: readonly StoredReceipt[];
  readonly next: string | undefined;
};

/** Between so many receipts others have their turn: to read hundreds at once would stop every stream. */
const readAtOnce = 10;

export async function readStatement(engine: Engine, request: StatementQuery): Promise<Statement> {
  const { stored, next } = await engine.read(() => readStatementPage(request));
  const receipts: Receipt[] = [];
  for (const receipt of stored) {
    if (receipts.length % readAtOnce === 0) await new Promise((turn) => setImmediate(turn));
    receipts.push(readReceipt(receipt));
  }
  return { receipts, next };
}

export function* readStatementPage(request: StatementQuery): Steps<StoredPage> {
  const limit = Math.min(Math.max(1, Math.trunc(request.limit ?? pageDefault)), pageMax);
  const { where, parameters } = conditionsOf(request);
  // First: what enters the index meanwhile is then found twice, and not missed.
  const recent = yield* unindexed(where, parameters, limit + 1);
  const indexed = yield* query(newest('receipts_by_wallet', where, limit + 1), parameters);
  const stored = merged([...recent, ...indexed]);
  const page = stored.slice(0, limit);
  const last = page.at(-1);
  return {
    stored: page,
    next: stored.length > limit && last ? `${last.createdAtMs}-${last.position}` : undefined,
  };
}

/**
 * What the index lacks, chain by chain. Joined with the chains, SQLite makes an index of all receipts by
 * wallet first: half a second for 42,000 of them, in which nobody is served.
 */
function* unindexed(
  where: string,
  parameters: readonly Value[],
  count: number,
): Steps<readonly Row[]> {
  const chains = yield* query(
    'SELECT number, sequence, indexed FROM chains WHERE sequence > indexed',
    [],
  );
  const sql = newest('receipts', `place.position > ? AND place.position <= ? AND ${where}`, count);
  const found: Row[] = [];
  for (const chain of chains) {
    const start = integerOf(chain, 'number') * chainSpan;
    const [after, last] = [integerOf(chain, 'indexed'), integerOf(chain, 'sequence')];
    found.push(...(yield* query(sql, [start + after, start + last, ...parameters])));
  }
  return found;
}

/** Sorts places, which are small, and then reads the receipts of those that are wanted. */
function newest(table: 'receipts' | 'receipts_by_wallet', where: string, count: number): string {
  const columns = receiptColumns.map((column) => `receipts.${column}`).join(', ');
  const order = 'ORDER BY place.created_at_ms DESC, place.position DESC';
  return `SELECT ${columns} FROM (SELECT position, created_at_ms FROM ${table} AS place WHERE ${where} ${order} LIMIT ${count}) AS place
    JOIN receipts ON receipts.position = place.position ${order}`;
}

/** The index may have grown between the queries: a receipt can be in both. */
function merged(rows: readonly Row[]): readonly StoredReceipt[] {
  const byPosition = new Map(rows.map((row) => [Number(row['position']), readReceiptRow(row)]));
  return [...byPosition.values()].sort(
    (left, right) => right.createdAtMs - left.createdAtMs || right.position - left.position,
  );
}

function conditionsOf(request: StatementQuery): {
  readonly where: string;
  readonly parameters: readonly Value[];
} {
  const conditions = ['place.wallet_id = ?'];
  const parameters: Value[] = [request.walletId];
  const add = (sql: string, ...values: readonly Value[]): void => {
    conditions.push(sql);
    parameters.push(...values);
  };
  if (request.fromMs !== undefined) add('place.created_at_ms >= ?', request.fromMs);
  if (request.untilMs !== undefined) add('place.created_at_ms < ?', request.untilMs);
  if (request.before !== undefined) {
    const [atMs, position] = request.before.split('-');
    add(
      '(place.created_at_ms < ? OR (place.created_at_ms = ? AND place.position < ?))',
      Number(atMs),
      Number(atMs),
      Number(position),
    );
  }
  return { where: conditions.join(' AND '), parameters };
}
