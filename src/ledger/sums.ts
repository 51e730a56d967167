/** Sums computed from receipts and open holds, and their comparison with the stored balances. */

import { nanoUsdPerUsd } from '#std';
import type { Row, SnapshotReader } from '#store';
import { rowsOf, textOf } from '#store';
import { walletPrefix } from './books.ts';
import type { Receipt } from './contract.ts';

type Amounts = Map<string, bigint>;

export type Sums = {
  readonly debits: Amounts;
  readonly credits: Amounts;
  readonly pending: Amounts;
  readonly lotMade: Amounts;
  /** Whose and which each lot is, as {@link lotFacts} says it. */
  readonly lotFacts: Map<string, string>;
  readonly lotTaken: Amounts;
  readonly budgetSpent: Amounts;
  readonly budgetPending: Amounts;
};

export function emptySums(): Sums {
  return {
    debits: new Map(),
    credits: new Map(),
    pending: new Map(),
    lotMade: new Map(),
    lotFacts: new Map(),
    lotTaken: new Map(),
    budgetSpent: new Map(),
    budgetPending: new Map(),
  };
}

export function amountOf(amounts: Amounts, key: string, added: bigint): void {
  amounts.set(key, (amounts.get(key) ?? 0n) + added);
}

/** Spent by its kind and age, paid back by its kind and source: what a lot is worth beside its amount. */
export function lotFacts(receipt: Receipt, kind: string): string {
  const source = receipt.kind === 'adjust' ? 'operator' : String(receipt.detail['source']);
  return `${receipt.walletId} ${kind} ${source} ${receipt.createdAtMs}`;
}

type Report = (kind: string, where: string, detail: string) => void;

const pageSize = 1000;

type Table = {
  readonly kind: string;
  readonly table: string;
  readonly key: string;
  /** Each stored column and what it should be, with the column of its whole dollars where it has one. */
  readonly columns: readonly (readonly [
    column: string,
    expected: (key: string) => bigint,
    dollars?: string,
  ])[];
  /** What else the row says: an expression, and the text that it should be. */
  readonly facts?: readonly [expression: string, expected: (key: string) => string | undefined];
  /** Every key for which a row must exist, unless all its sums are zero. */
  readonly expectedKeys: Iterable<string>;
};

export async function compareSums(
  reader: SnapshotReader,
  sums: Sums,
  report: Report,
): Promise<void> {
  for (const table of tablesOf(sums)) await compareTable(reader, table, report);
  const debits = total(sums.debits);
  const credits = total(sums.credits);
  if (debits !== credits)
    report('double_entry', 'all accounts', `debits ${debits}, credits ${credits}`);
}

function tablesOf(sums: Sums): readonly Table[] {
  const accounts = [...new Set([...sums.debits.keys(), ...sums.credits.keys()])];
  const wallet = (key: string): string => `${walletPrefix}${key}`;
  return [
    {
      kind: 'wallet_balance',
      table: 'wallets',
      key: 'wallet_id',
      columns: [
        ['credits_nano_usd', (key) => sums.credits.get(wallet(key)) ?? 0n],
        ['debits_nano_usd', (key) => sums.debits.get(wallet(key)) ?? 0n],
        ['pending_nano_usd', (key) => sums.pending.get(key) ?? 0n],
      ],
      expectedKeys: [
        ...accounts
          .filter((id) => id.startsWith(walletPrefix))
          .map((id) => id.slice(walletPrefix.length)),
        ...sums.pending.keys(),
      ],
    },
    {
      kind: 'account_balance',
      table: 'accounts',
      key: 'account_id',
      columns: [
        ['debits_nano_usd', (key) => sums.debits.get(key) ?? 0n, 'debits_usd'],
        ['credits_nano_usd', (key) => sums.credits.get(key) ?? 0n, 'credits_usd'],
      ],
      expectedKeys: accounts.filter((id) => !id.startsWith(walletPrefix)),
    },
    {
      kind: 'lot_balance',
      table: 'lots',
      key: 'lot_id',
      columns: [
        ['amount_nano_usd', (key) => sums.lotMade.get(key) ?? 0n],
        [
          'remaining_nano_usd',
          (key) => (sums.lotMade.get(key) ?? 0n) - (sums.lotTaken.get(key) ?? 0n),
        ],
      ],
      facts: [
        "wallet_id || ' ' || kind || ' ' || source || ' ' || CAST(created_at_ms AS TEXT)",
        (key) => sums.lotFacts.get(key),
      ],
      expectedKeys: sums.lotMade.keys(),
    },
    {
      kind: 'budget_balance',
      table: 'budgets',
      key: 'scope_key',
      columns: [
        ['spent_nano_usd', (key) => sums.budgetSpent.get(key) ?? 0n],
        ['pending_nano_usd', (key) => sums.budgetPending.get(key) ?? 0n],
      ],
      expectedKeys: [...sums.budgetSpent.keys(), ...sums.budgetPending.keys()],
    },
  ];
}

async function compareTable(reader: SnapshotReader, table: Table, report: Report): Promise<void> {
  const missing = new Set(table.expectedKeys);
  let after = '';
  for (;;) {
    const rows = await page(reader, table, after);
    for (const row of rows) {
      after = textOf(row, 'row_key');
      missing.delete(after);
      for (const [column, expected, dollars] of table.columns) {
        const whole = dollars === undefined ? 0n : BigInt(textOf(row, dollars));
        const stored = whole * BigInt(nanoUsdPerUsd) + BigInt(textOf(row, column));
        if (stored !== expected(after))
          report(table.kind, after, `${column} is ${stored}, the receipts say ${expected(after)}`);
      }
      const [, expectedFacts] = table.facts ?? [];
      if (expectedFacts && textOf(row, 'facts') !== expectedFacts(after))
        report(
          table.kind,
          after,
          `it is "${textOf(row, 'facts')}", the receipts say "${expectedFacts(after)}"`,
        );
    }
    if (rows.length < pageSize) break;
  }
  for (const key of missing) {
    if (table.columns.some(([, expected]) => expected(key) !== 0n))
      report(table.kind, key, 'the row is missing');
  }
}

async function page(reader: SnapshotReader, table: Table, after: string): Promise<readonly Row[]> {
  const columns = table.columns
    .flatMap(([column, , dollars]) => (dollars === undefined ? [column] : [column, dollars]))
    .map((column) => `CAST(${column} AS TEXT) AS ${column}`)
    .join(', ');
  const facts = table.facts ? `, ${table.facts[0]} AS facts` : '';
  const sql = `SELECT ${table.key} AS row_key, ${columns}${facts} FROM ${table.table} WHERE ${table.key} > ? ORDER BY ${table.key} LIMIT ${pageSize}`;
  return rowsOf(await reader.run({ run: 'query', sql, parameters: [after] }));
}

function total(amounts: Amounts): bigint {
  let sum = 0n;
  for (const amount of amounts.values()) sum += amount;
  return sum;
}
