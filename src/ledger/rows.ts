/** The books as rows: what is loaded before a batch, what is written after it. */

import type { JsonObject, JsonValue } from '#std';
import { asArray, parseJson, parseJsonObject } from '#std';
import type { LoadStatement, Row, Steps, Value, WriteStatement } from '#store';
import { change, integerOf, load, query, textOf, textOrNull, write } from '#store';
import type { AttemptEntry, Books, HoldEntry, LotEntry, WalletEntry } from './books.ts';
import { inSpendingOrder } from './books.ts';
import type { LotKind } from './contract.ts';
import { chainSpan, type StoredReceipt } from './receipt.ts';

const walletsByKey: LoadStatement = {
  table: 'wallets',
  column: 'wallet_id',
  columns: ['wallet_id', 'credits_nano_usd', 'debits_nano_usd', 'pending_nano_usd'],
  lock: true,
};

const holdColumns = [
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

const budgetsByKey: LoadStatement = {
  table: 'budgets',
  column: 'scope_key',
  columns: ['scope_key', 'spent_nano_usd', 'pending_nano_usd'],
  lock: true,
};

export const lotColumns = ['lot_id', 'wallet_id', 'kind', 'amount_nano_usd', 'remaining_nano_usd', 'source', 'created_at_ms'] as const;

const lotsByWallet: LoadStatement = { table: 'lots', column: 'wallet_id', columns: lotColumns, where: 'remaining_nano_usd > 0', many: true };
const lotsByKey: LoadStatement = { table: 'lots', column: 'lot_id', columns: lotColumns };

export const receiptColumns = ['position', 'receipt_id', 'wallet_id', 'created_at_ms', 'previous_hash', 'hash', 'body'] as const;

export const receiptsByKey: LoadStatement = { table: 'receipts', column: 'receipt_id', columns: receiptColumns };

const idempotencyByKey: LoadStatement = {
  table: 'idempotency',
  column: 'idempotency_id',
  columns: ['idempotency_id', 'request_id', 'parameters_hash', 'expires_at_ms'],
};

const chainsByKey: LoadStatement = { table: 'chains', column: 'chain_id', columns: ['chain_id', 'number', 'sequence', 'hash', 'indexed'], lock: true };

/** Readers of the tables, each for many keys at once. */
export function* loadWallets(books: Books, walletIds: readonly string[]): Steps<void> {
  const missing = walletIds.filter((walletId) => !books.wallets.has(walletId));
  for (const row of yield* load(walletsByKey, missing)) {
    const wallet: WalletEntry = {
      walletId: textOf(row, 'wallet_id'),
      stored: true,
      credits: integerOf(row, 'credits_nano_usd'),
      debits: integerOf(row, 'debits_nano_usd'),
      pending: integerOf(row, 'pending_nano_usd'),
      added: { credits: 0, debits: 0, pending: 0 },
      lots: [],
      lotsLoaded: false,
    };
    books.wallets.set(wallet.walletId, wallet);
  }
}

export function* loadHolds(books: Books, requestIds: readonly string[]): Steps<void> {
  const missing = requestIds.filter((requestId) => !books.holds.has(requestId));
  for (const row of yield* load(holdsByKey, missing)) books.holds.set(textOf(row, 'request_id'), readHold(row));
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
      added: { spent: 0, pending: 0 },
    });
  }
}

/** All open lots of the wallets; lots that are named, open or not, only to be found by name. */
export function* loadLots(books: Books, walletIds: readonly string[], lotIds: readonly string[]): Steps<void> {
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
  for (const row of yield* load(receiptsByKey, receiptIds)) books.receipts.set(textOf(row, 'receipt_id'), readReceiptRow(row));
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
  books.chain.number = last ? integerOf(last, 'chains') : 0;
}

export function readHold(row: Row): HoldEntry {
  return {
    requestId: textOf(row, 'request_id'),
    walletId: textOf(row, 'wallet_id'),
    amount: integerOf(row, 'amount_nano_usd'),
    lifetime: textOf(row, 'lifetime') === 'job' ? 'job' : 'process',
    scopeKeys: storedList(textOf(row, 'scopes')).map(String),
    attempts: storedList(textOf(row, 'attempts')) as unknown as readonly AttemptEntry[],
    context: storedObject(textOf(row, 'context')),
    extension: integerOf(row, 'extension'),
    idempotencyId: textOrNull(row, 'idempotency_id'),
    nodeId: textOf(row, 'node_id'),
    epoch: integerOf(row, 'epoch'),
    createdAtMs: integerOf(row, 'created_at_ms'),
    expiresAtMs: integerOf(row, 'expires_at_ms'),
    stored: true,
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

const text = (name: string) => ({ name, type: 'text' }) as const;
const integer = (name: string) => ({ name, type: 'integer' }) as const;

const insertWallets: WriteStatement = {
  action: 'insert',
  table: 'wallets',
  columns: [text('wallet_id'), integer('credits_nano_usd'), integer('debits_nano_usd'), integer('pending_nano_usd'), integer('created_at_ms')],
  conflict: { keys: ['wallet_id'], action: 'add', added: ['credits_nano_usd', 'debits_nano_usd', 'pending_nano_usd'] },
};

const addToWallets: WriteStatement = {
  action: 'add',
  table: 'wallets',
  columns: [text('wallet_id'), integer('credits_nano_usd'), integer('debits_nano_usd'), integer('pending_nano_usd')],
};

const insertLots: WriteStatement = {
  action: 'insert',
  table: 'lots',
  columns: [text('lot_id'), text('wallet_id'), text('kind'), integer('amount_nano_usd'), integer('remaining_nano_usd'), text('source'), integer('created_at_ms')],
};

const setLots: WriteStatement = { action: 'set', table: 'lots', columns: [text('lot_id'), integer('remaining_nano_usd')] };

const addToAccounts: WriteStatement = {
  action: 'insert',
  table: 'accounts',
  columns: [text('account_id'), integer('debits_nano_usd'), integer('credits_nano_usd')],
  conflict: { keys: ['account_id'], action: 'add', added: ['debits_nano_usd', 'credits_nano_usd'] },
};

const insertHolds: WriteStatement = {
  action: 'insert',
  table: 'holds',
  columns: holdColumns.map((name) =>
    ['amount_nano_usd', 'extension', 'epoch', 'created_at_ms', 'expires_at_ms'].includes(name) ? integer(name) : text(name),
  ),
};

const setHolds: WriteStatement = {
  action: 'set',
  table: 'holds',
  columns: [text('request_id'), integer('amount_nano_usd'), text('attempts'), integer('extension'), integer('expires_at_ms')],
};

const deleteHolds: WriteStatement = { action: 'delete', table: 'holds', columns: [text('request_id')] };

const insertBudgets: WriteStatement = {
  action: 'insert',
  table: 'budgets',
  columns: [text('scope_key'), integer('spent_nano_usd'), integer('pending_nano_usd')],
  conflict: { keys: ['scope_key'], action: 'add', added: ['spent_nano_usd', 'pending_nano_usd'] },
};

const addToBudgets: WriteStatement = { action: 'add', table: 'budgets', columns: insertBudgets.columns };

const putIdempotency: WriteStatement = {
  action: 'insert',
  table: 'idempotency',
  columns: [text('idempotency_id'), text('request_id'), text('parameters_hash'), integer('expires_at_ms')],
  conflict: { keys: ['idempotency_id'], action: 'replace' },
};

const deleteIdempotency: WriteStatement = { action: 'delete', table: 'idempotency', columns: [text('idempotency_id')] };

const insertTransfers: WriteStatement = {
  action: 'insert',
  table: 'transfers',
  columns: [integer('transfer_key'), text('transfer_id'), text('kind'), text('debit_account'), text('credit_account'), integer('amount_nano_usd'), integer('created_at_ms')],
};

const insertReceipts: WriteStatement = {
  action: 'insert',
  table: 'receipts',
  columns: [integer('position'), text('receipt_id'), text('wallet_id'), integer('created_at_ms'), text('previous_hash'), text('hash'), text('body')],
};

const putChain: WriteStatement = {
  action: 'insert',
  table: 'chains',
  columns: [text('chain_id'), integer('number'), integer('sequence'), text('hash'), integer('indexed')],
  conflict: { keys: ['chain_id'], action: 'replace' },
};

/** Writes what the batch changed. Wallets go last but for the chain: their CHECK is the final word. */
export function* writeBooks(books: Books): Steps<void> {
  yield* writeHolds(books);
  yield* write(insertTransfers, books.newTransfers.map((transfer) => [transfer.transferKey, transfer.transferId, transfer.kind, transfer.debitAccount, transfer.creditAccount, transfer.amountNanoUsd, transfer.createdAtMs]));
  yield* write(insertReceipts, books.newReceipts.map(receiptRow));
  yield* writeLots(books);
  const accounts = [...books.accounts].sort(([left], [right]) => (left < right ? -1 : 1));
  yield* write(addToAccounts, accounts.map(([id, totals]) => [id, totals.debits, totals.credits]));
  yield* writeBudgets(books);
  yield* writeIdempotency(books);
  yield* writeWallets(books);
  if (books.newReceipts.length === 0) return;
  yield* indexReceipts(books);
  const { chainId, number, sequence, hash, indexed } = books.chain;
  yield* write(putChain, [[chainId, number, sequence, hash, indexed]]);
}

/** Receipts that wait to be indexed, at most: read one by one when a statement is asked for. */
const unindexedMax = 2048;

function* indexReceipts(books: Books): Steps<void> {
  const { number, sequence, indexed } = books.chain;
  if (sequence - indexed < unindexedMax) return;
  const first = number * chainSpan;
  yield* change(
    `INSERT INTO receipts_by_wallet (wallet_id, created_at_ms, position)
     SELECT wallet_id, created_at_ms, position FROM receipts
     WHERE position > ? AND position <= ? AND wallet_id IS NOT NULL ORDER BY wallet_id, created_at_ms, position`,
    [first + indexed, first + sequence],
  );
  books.chain.indexed = sequence;
}

function receiptRow(receipt: StoredReceipt): readonly Value[] {
  const { position, receiptId, walletId, createdAtMs, previousHash, hash, body } = receipt;
  return [position, receiptId, walletId, createdAtMs, previousHash, hash, body];
}

function* writeHolds(books: Books): Steps<void> {
  const inserted: Value[][] = [];
  const changed: Value[][] = [];
  for (const hold of books.changed.holds) {
    const attempts = JSON.stringify(hold.attempts);
    if (hold.stored) changed.push([hold.requestId, hold.amount, attempts, hold.extension, hold.expiresAtMs]);
    else {
      const { requestId, walletId, amount, lifetime, extension, idempotencyId, nodeId, epoch, createdAtMs, expiresAtMs } = hold;
      const scopes = JSON.stringify(hold.scopeKeys);
      const context = JSON.stringify(hold.context);
      inserted.push([requestId, walletId, amount, lifetime, scopes, attempts, context, extension, idempotencyId, nodeId, epoch, createdAtMs, expiresAtMs]);
    }
  }
  yield* write(deleteHolds, books.resolvedHolds.map((requestId) => [requestId]));
  yield* write(insertHolds, inserted);
  yield* write(setHolds, changed);
}

function* writeLots(books: Books): Steps<void> {
  const inserted: Value[][] = [];
  const changed: Value[][] = [];
  for (const lot of books.changed.lots) {
    if (lot.stored) changed.push([lot.lotId, lot.remaining]);
    else inserted.push([lot.lotId, lot.walletId, lot.kind, lot.amount, lot.remaining, lot.source, lot.createdAtMs]);
  }
  yield* write(insertLots, inserted);
  yield* write(setLots, changed);
}

function* writeBudgets(books: Books): Steps<void> {
  const inserted: Value[][] = [];
  const changed: Value[][] = [];
  for (const { key, added, stored } of books.changed.budgets) {
    if (added.spent !== 0 || added.pending !== 0) (stored ? changed : inserted).push([key, added.spent, added.pending]);
  }
  yield* write(insertBudgets, inserted);
  yield* write(addToBudgets, changed);
}

function* writeIdempotency(books: Books): Steps<void> {
  const put: Value[][] = [];
  const removed: Value[][] = [];
  for (const [id, entry] of books.idempotencyWritten) {
    if (entry) put.push([id, entry.requestId, entry.parametersHash, entry.expiresAtMs]);
    else removed.push([id]);
  }
  yield* write(putIdempotency, put);
  yield* write(deleteIdempotency, removed);
}

function* writeWallets(books: Books): Steps<void> {
  const inserted: Value[][] = [];
  const changed: Value[][] = [];
  for (const { walletId, added, stored } of books.changed.wallets) {
    if (added.credits === 0 && added.debits === 0 && added.pending === 0) continue;
    if (stored) changed.push([walletId, added.credits, added.debits, added.pending]);
    else inserted.push([walletId, added.credits, added.debits, added.pending, books.nowMs]);
  }
  yield* write(insertWallets, inserted);
  yield* write(addToWallets, changed);
}
