/** What a batch of operations changed in the books, as rows. */

import { nanoUsd, nanoUsdPerUsd } from '#std';
import type { Steps, Value, WriteStatement } from '#store';
import { change, write } from '#store';
import type { AttemptEntry, Books } from './books.ts';
import { chainSpan, type StoredReceipt } from './receipt.ts';
import { holdColumns } from './rows.ts';
import { escaped, escapedName, listed } from './text.ts';

const text = (name: string) => ({ name, type: 'text' }) as const;
const integer = (name: string) => ({ name, type: 'integer' }) as const;

const insertWallets: WriteStatement = {
  action: 'insert',
  table: 'wallets',
  columns: [
    text('wallet_id'),
    integer('credits_nano_usd'),
    integer('debits_nano_usd'),
    integer('pending_nano_usd'),
    integer('created_at_ms'),
  ],
  conflict: {
    keys: ['wallet_id'],
    action: 'add',
    added: ['credits_nano_usd', 'debits_nano_usd', 'pending_nano_usd'],
  },
};

const addToWallets: WriteStatement = {
  action: 'add',
  table: 'wallets',
  columns: [
    text('wallet_id'),
    integer('credits_nano_usd'),
    integer('debits_nano_usd'),
    integer('pending_nano_usd'),
  ],
};

const insertLots: WriteStatement = {
  action: 'insert',
  table: 'lots',
  columns: [
    text('lot_id'),
    text('wallet_id'),
    text('kind'),
    integer('amount_nano_usd'),
    integer('remaining_nano_usd'),
    text('source'),
    integer('created_at_ms'),
  ],
};

const setLots: WriteStatement = {
  action: 'set',
  table: 'lots',
  columns: [text('lot_id'), integer('remaining_nano_usd')],
};

const accountSums = ['debits_usd', 'debits_nano_usd', 'credits_usd', 'credits_nano_usd'];

const addToAccounts: WriteStatement = {
  action: 'insert',
  table: 'accounts',
  columns: [text('account_id'), ...accountSums.map(integer)],
  conflict: { keys: ['account_id'], action: 'add', added: accountSums },
};

const insertHolds: WriteStatement = {
  action: 'insert',
  table: 'holds',
  columns: holdColumns.map((name) =>
    ['amount_nano_usd', 'extension', 'epoch', 'created_at_ms', 'expires_at_ms'].includes(name)
      ? integer(name)
      : text(name),
  ),
};

const setHolds: WriteStatement = {
  action: 'set',
  table: 'holds',
  columns: [
    text('request_id'),
    integer('amount_nano_usd'),
    text('attempts'),
    integer('extension'),
    integer('expires_at_ms'),
  ],
};

const deleteHolds: WriteStatement = {
  action: 'delete',
  table: 'holds',
  columns: [text('request_id')],
};

const insertBudgets: WriteStatement = {
  action: 'insert',
  table: 'budgets',
  columns: [text('scope_key'), integer('spent_nano_usd'), integer('pending_nano_usd')],
  conflict: { keys: ['scope_key'], action: 'add', added: ['spent_nano_usd', 'pending_nano_usd'] },
};

const addToBudgets: WriteStatement = {
  action: 'add',
  table: 'budgets',
  columns: insertBudgets.columns,
};

const putIdempotency: WriteStatement = {
  action: 'insert',
  table: 'idempotency',
  columns: [
    text('idempotency_id'),
    text('request_id'),
    text('parameters_hash'),
    integer('expires_at_ms'),
  ],
  conflict: { keys: ['idempotency_id'], action: 'replace' },
};

const deleteIdempotency: WriteStatement = {
  action: 'delete',
  table: 'idempotency',
  columns: [text('idempotency_id')],
};

const insertTransfers: WriteStatement = {
  action: 'insert',
  table: 'transfers',
  columns: [
    integer('transfer_key'),
    text('transfer_id'),
    text('kind'),
    text('debit_account'),
    text('credit_account'),
    integer('amount_nano_usd'),
    integer('created_at_ms'),
  ],
  appends: true,
};

const insertReceipts: WriteStatement = {
  action: 'insert',
  table: 'receipts',
  columns: [
    integer('position'),
    text('receipt_id'),
    text('wallet_id'),
    integer('created_at_ms'),
    text('previous_hash'),
    text('hash'),
    text('body'),
  ],
  appends: true,
};

const putChain: WriteStatement = {
  action: 'insert',
  table: 'chains',
  columns: [
    text('chain_id'),
    integer('number'),
    integer('sequence'),
    text('hash'),
    integer('indexed'),
  ],
  conflict: { keys: ['chain_id'], action: 'replace' },
};

/** Writes what the batch changed. Wallets go last but for the chain: their CHECK is the final word. */
export function* writeBooks(books: Books): Steps<void> {
  yield* writeHolds(books);
  yield* write(
    insertTransfers,
    books.newTransfers.map((transfer) => [
      transfer.transferKey,
      transfer.transferId,
      transfer.kind,
      transfer.debitAccount,
      transfer.creditAccount,
      transfer.amountNanoUsd,
      transfer.createdAtMs,
    ]),
  );
  yield* write(insertReceipts, books.newReceipts.map(receiptRow));
  yield* writeLots(books);
  const accounts = [...books.accounts].sort(([left], [right]) => (left < right ? -1 : 1));
  yield* write(
    addToAccounts,
    accounts.map(([id, { debits, credits }]) => [id, ...dollars(debits), ...dollars(credits)]),
  );
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

/** As the row has it: whole dollars, and the nano-dollars beside them. */
function dollars(sum: number): readonly [number, number] {
  const whole = BigInt(exact(sum)) / perDollar;
  return [nanoUsd(whole), nanoUsd(BigInt(sum) - whole * perDollar)];
}

const perDollar = BigInt(nanoUsdPerUsd);

/** A batch whose sums are not exact is refused, and its operations are performed one by one. */
function exact(sum: number): number {
  if (Number.isSafeInteger(sum)) return sum;
  throw new RangeError('the sums of a batch pass the exact integers');
}

function receiptRow(receipt: StoredReceipt): readonly Value[] {
  const { position, receiptId, walletId, createdAtMs, previousHash, hash, body } = receipt;
  return [position, receiptId, walletId, createdAtMs, previousHash, hash, body];
}

/** Read again by `readHold`: the names are those of the type. */
function attemptText(attempt: AttemptEntry): string {
  const { attemptId, channelId, providerId, priceVersion, boundNanoUsd, canLookUp } = attempt;
  const outcome = attempt.outcome ? `,"outcome":${JSON.stringify(attempt.outcome)}` : '';
  return `{"attemptId":"${escaped(attemptId)}","channelId":"${escapedName(channelId)}","providerId":"${escapedName(providerId)}","priceVersion":"${escapedName(priceVersion)}","boundNanoUsd":${boundNanoUsd},"canLookUp":${canLookUp}${outcome}}`;
}

function* writeHolds(books: Books): Steps<void> {
  const inserted: Value[][] = [];
  const changed: Value[][] = [];
  for (const hold of books.changed.holds) {
    if (!hold.changed) continue;
    const attempts = listed(hold.attempts, attemptText);
    if (hold.stored)
      changed.push([hold.requestId, hold.amount, attempts, hold.extension, hold.expiresAtMs]);
    else {
      const {
        requestId,
        walletId,
        amount,
        lifetime,
        extension,
        idempotencyId,
        nodeId,
        epoch,
        createdAtMs,
        expiresAtMs,
      } = hold;
      inserted.push([
        requestId,
        walletId,
        amount,
        lifetime,
        hold.scopesText,
        attempts,
        hold.contextText,
        extension,
        idempotencyId,
        nodeId,
        epoch,
        createdAtMs,
        expiresAtMs,
      ]);
    }
  }
  yield* write(
    deleteHolds,
    books.resolvedHolds.map((requestId) => [requestId]),
  );
  yield* write(insertHolds, inserted);
  yield* write(setHolds, changed);
}

function* writeLots(books: Books): Steps<void> {
  const inserted: Value[][] = [];
  const changed: Value[][] = [];
  for (const lot of books.changed.lots) {
    if (lot.stored) changed.push([lot.lotId, lot.remaining]);
    else
      inserted.push([
        lot.lotId,
        lot.walletId,
        lot.kind,
        lot.amount,
        lot.remaining,
        lot.source,
        lot.createdAtMs,
      ]);
  }
  yield* write(insertLots, inserted);
  yield* write(setLots, changed);
}

function* writeBudgets(books: Books): Steps<void> {
  const inserted: Value[][] = [];
  const changed: Value[][] = [];
  for (const { key, added, stored } of books.changed.budgets) {
    if (added.spent !== 0 || added.pending !== 0)
      (stored ? changed : inserted).push([key, exact(added.spent), added.pending]);
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
    const [credits, debits] = [exact(added.credits), exact(added.debits)];
    if (stored) changed.push([walletId, credits, debits, added.pending]);
    else inserted.push([walletId, credits, debits, added.pending, books.nowMs]);
  }
  yield* write(insertWallets, inserted);
  yield* write(addToWallets, changed);
}
