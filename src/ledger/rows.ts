/** Rows as books: what is loaded before a batch of operations; `write-rows.ts` writes it back. */

import type { JsonObject, JsonValue } from '#std';
import { asArray, nanoUsdPerUsd, parseJson, parseJsonObject } from '#std';
import type { LoadStatement, Row, Steps } from '#store';
import { StoreUnavailableError, integerOf, load, query, textOf, textOrNull } from '#store';
import type { AttemptEntry, Books, HoldEntry, LotEntry, WalletEntry } from './books.ts';
import { inSpendingOrder } from './books.ts';
import type { AccountTotals, LotKind } from './contract.ts';
import type { StoredReceipt } from './receipt.ts';

const walletsByKey: LoadStatement = {
  table: 'wallets',
  column: 'wallet_id',
  columns: [
    'wallet_id',
    // Both only grow, past the exact integers in the end; a balance never does.
    'credits_nano_usd - debits_nano_usd AS posted_nano_usd',
    'pending_nano_usd',
  ],
  lock: true,
};

export const holdColumns = [
  'request_id',
  'wallet_id',
  'amount_nano_usd',
  'lifetime',
  'scopes',
  'attempts',
  'context',
  'extension',
  'idempotency_id',
  'node_id',
  'epoch',
  'created_at_ms',
  'expires_at_ms',
] as const;

const holdsByKey: LoadStatement = { table: 'holds', column: 'request_id', columns: holdColumns };
export const holdSelect = `SELECT ${holdColumns.join(', ')} FROM holds`;

/** No limit is higher, so whoever has spent more has spent enough; `total` is a window without an end. */
export const spentColumn = `CASE WHEN spent_nano_usd > ${Number.MAX_SAFE_INTEGER} THEN ${Number.MAX_SAFE_INTEGER} ELSE spent_nano_usd END AS spent_nano_usd`;

export const budgetsByKey: LoadStatement = {
  table: 'budgets',
  column: 'scope_key',
  columns: ['scope_key', spentColumn, 'pending_nano_usd'],
  lock: true,
};

export const lotColumns = [
  'lot_id',
  'wallet_id',
  'kind',
  'amount_nano_usd',
  'remaining_nano_usd',
  'source',
  'created_at_ms',
] as const;

const lotsByWallet: LoadStatement = {
  table: 'lots',
  column: 'wallet_id',
  columns: lotColumns,
  where: 'remaining_nano_usd > 0',
  many: true,
};
const lotsByKey: LoadStatement = { table: 'lots', column: 'lot_id', columns: lotColumns };

/** Sums may pass the safe integers, so they travel as text. */
export const accountColumns = ['debits', 'credits']
  .flatMap((side) => [`${side}_usd`, `${side}_nano_usd`])
  .map((column) => `CAST(${column} AS TEXT) AS ${column}`)
  .join(', ');

export function readAccountSums(row: Row): Omit<AccountTotals, 'accountId'> {
  const sum = (side: 'debits' | 'credits'): bigint =>
    BigInt(textOf(row, `${side}_usd`)) * BigInt(nanoUsdPerUsd) +
    BigInt(textOf(row, `${side}_nano_usd`));
  return { debitsNanoUsd: sum('debits'), creditsNanoUsd: sum('credits') };
}

export const receiptColumns = [
  'position',
  'receipt_id',
  'wallet_id',
  'created_at_ms',
  'previous_hash',
  'hash',
  'body',
] as const;

export const receiptsByKey: LoadStatement = {
  table: 'receipts',
  column: 'receipt_id',
  columns: receiptColumns,
};

const idempotencyByKey: LoadStatement = {
  table: 'idempotency',
  column: 'idempotency_id',
  columns: ['idempotency_id', 'request_id', 'parameters_hash', 'expires_at_ms'],
};

const chainsByKey: LoadStatement = {
  table: 'chains',
  column: 'chain_id',
  columns: ['chain_id', 'number', 'sequence', 'hash', 'indexed'],
  lock: true,
};

/** Readers of the tables, each for many keys at once. */
export function* loadWallets(books: Books, walletIds: readonly string[]): Steps<void> {
  const missing = walletIds.filter((walletId) => !books.wallets.has(walletId));
  for (const row of yield* load(walletsByKey, missing)) {
    const wallet: WalletEntry = {
      walletId: textOf(row, 'wallet_id'),
      stored: true,
      posted: integerOf(row, 'posted_nano_usd'),
      pending: integerOf(row, 'pending_nano_usd'),
      added: { credits: 0, debits: 0, pending: 0 },
      lots: [],
      lotsLoaded: false,
      changed: false,
    };
    books.wallets.set(wallet.walletId, wallet);
  }
}

export function* loadHolds(books: Books, requestIds: readonly string[]): Steps<void> {
  const missing = requestIds.filter((requestId) => !books.holds.has(requestId));
  for (const row of yield* load(holdsByKey, missing))
    books.holds.set(textOf(row, 'request_id'), readHold(row));
}

export function* loadBudgets(books: Books, keys: readonly string[]): Steps<void> {
  const missing = keys.filter((key) => !books.budgets.has(key));
  for (const row of yield* load(budgetsByKey, missing)) {
    const key = textOf(row, 'scope_key');
    books.budgets.set(key, {
      key,
      spent: integerOf(row, 'spent_nano_usd'),
      pending: integerOf(row, 'pending_nano_usd'),
      stored: true,
      changed: false,
      added: { spent: 0, pending: 0 },
    });
  }
}

/** All open lots of the wallets; lots that are named, open or not, only to be found by name. */
export function* loadLots(
  books: Books,
  walletIds: readonly string[],
  lotIds: readonly string[],
): Steps<void> {
  const missing = walletIds.filter((walletId) => books.wallets.get(walletId)?.lotsLoaded === false);
  for (const row of yield* load(lotsByWallet, missing)) {
    const lot = readLot(row);
    books.lots.set(lot.lotId, lot);
    books.wallets.get(lot.walletId)?.lots.push(lot);
  }
  for (const walletId of missing) {
    const wallet = books.wallets.get(walletId);
    if (!wallet) continue;
    wallet.lots.sort(inSpendingOrder);
    wallet.lotsLoaded = true;
  }
  const missingLots = lotIds.filter((lotId) => !books.lots.has(lotId));
  for (const row of yield* load(lotsByKey, missingLots)) {
    const lot = readLot(row);
    books.lots.set(lot.lotId, lot);
  }
}

export function* loadReceipts(books: Books, receiptIds: readonly string[]): Steps<void> {
  for (const row of yield* load(receiptsByKey, receiptIds))
    books.receipts.set(textOf(row, 'receipt_id'), readReceiptRow(row));
}

export function* loadIdempotency(books: Books, ids: readonly string[]): Steps<void> {
  for (const row of yield* load(idempotencyByKey, ids)) {
    books.idempotency.set(textOf(row, 'idempotency_id'), {
      requestId: textOf(row, 'request_id'),
      parametersHash: textOf(row, 'parameters_hash'),
      expiresAtMs: integerOf(row, 'expires_at_ms'),
    });
  }
}

export function* loadChain(books: Books): Steps<void> {
  if (books.chain.sequence > 0) return;
  const [row] = yield* load(chainsByKey, [books.chain.chainId]);
  if (row) {
    books.chain.number = integerOf(row, 'number');
    books.chain.sequence = integerOf(row, 'sequence');
    books.chain.hash = textOf(row, 'hash');
    books.chain.indexed = integerOf(row, 'indexed');
    return;
  }
  const [last] = yield* query('SELECT count(*) AS chains FROM chains', []);
  const number = last ? integerOf(last, 'chains') : 0;
  if (number >= chainsMax)
    throw new StoreUnavailableError(
      'store_unavailable',
      `${chainsMax} nodes have written to this database, and it has room for no more names: give this node a node_id of an earlier one that no longer runs`,
    );
  books.chain.number = number;
}

/** By a CHECK of the table: places in all chains must be exact numbers. */
const chainsMax = 1024;

export function readHold(row: Row): HoldEntry {
  const scopesText = textOf(row, 'scopes');
  const contextText = textOf(row, 'context');
  return {
    requestId: textOf(row, 'request_id'),
    walletId: textOf(row, 'wallet_id'),
    amount: integerOf(row, 'amount_nano_usd'),
    lifetime: textOf(row, 'lifetime') === 'job' ? 'job' : 'process',
    scopeKeys: storedList(scopesText).map(String),
    scopesText,
    attempts: storedList(textOf(row, 'attempts')) as unknown as readonly AttemptEntry[],
    context: storedObject(contextText),
    contextText,
    extension: integerOf(row, 'extension'),
    idempotencyId: textOrNull(row, 'idempotency_id'),
    nodeId: textOf(row, 'node_id'),
    epoch: integerOf(row, 'epoch'),
    createdAtMs: integerOf(row, 'created_at_ms'),
    expiresAtMs: integerOf(row, 'expires_at_ms'),
    stored: true,
    changed: false,
  };
}

export function readLot(row: Row): LotEntry {
  return {
    lotId: textOf(row, 'lot_id'),
    walletId: textOf(row, 'wallet_id'),
    kind: textOf(row, 'kind') as LotKind,
    amount: integerOf(row, 'amount_nano_usd'),
    remaining: integerOf(row, 'remaining_nano_usd'),
    source: textOf(row, 'source'),
    createdAtMs: integerOf(row, 'created_at_ms'),
    stored: true,
    changed: false,
  };
}

export function readReceiptRow(row: Row): StoredReceipt {
  return {
    position: integerOf(row, 'position'),
    receiptId: textOf(row, 'receipt_id'),
    walletId: textOrNull(row, 'wallet_id'),
    createdAtMs: integerOf(row, 'created_at_ms'),
    previousHash: textOf(row, 'previous_hash'),
    hash: textOf(row, 'hash'),
    body: textOf(row, 'body'),
  };
}

function storedList(text: string): readonly JsonValue[] {
  const parsed = parseJson(text);
  const list = parsed.ok ? asArray(parsed.value) : undefined;
  if (!list) throw new TypeError('a stored list is not readable');
  return list;
}

function storedObject(text: string): JsonObject {
  const object = parseJsonObject(text);
  if (!object) throw new TypeError('a stored object is not readable');
  return object;
}
