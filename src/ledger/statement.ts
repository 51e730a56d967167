/** The receipts of a wallet, newest first: from the index, and from the receipts it lacks as yet. */

import type { Row, Steps, Value } from '#store';
import { query } from '#store';
import type { Statement, StatementQuery } from './contract.ts';
import { chainSpan, readReceipt, type StoredReceipt } from './receipt.ts';
import { readReceiptRow, receiptColumns } from './rows.ts';

const pageDefault = 50;
const pageMax = 500;

export function* readStatement(request: StatementQuery): Steps<Statement> {
  const limit = Math.min(Math.max(1, Math.trunc(request.limit ?? pageDefault)), pageMax);
  const { where, parameters } = conditionsOf(request);
  const order = 'ORDER BY place.created_at_ms DESC, place.position DESC';
  const columns = receiptColumns.map((column) => `receipts.${column}`).join(', ');
  const indexed = yield* query(
    `SELECT ${columns} FROM (SELECT position, created_at_ms FROM receipts_by_wallet AS place WHERE ${where} ${order} LIMIT ${limit + 1}) AS place
     JOIN receipts ON receipts.position = place.position ${order}`,
    parameters,
  );
  const recent = yield* query(
    `SELECT ${receiptColumns.map((column) => `place.${column}`).join(', ')} FROM chains
     JOIN receipts AS place ON place.position > chains.number * ${chainSpan} + chains.indexed AND place.position < (chains.number + 1) * ${chainSpan}
     WHERE ${where} ${order} LIMIT ${limit + 1}`,
    parameters,
  );
  const stored = merged([...recent, ...indexed]);
  const page = stored.slice(0, limit);
  const last = page.at(-1);
  return {
    receipts: page.map(readReceipt),
    next: stored.length > limit && last ? `${last.createdAtMs}-${last.position}` : undefined,
  };
}

/** The index may have grown between the two queries: a receipt can be in both. */
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
