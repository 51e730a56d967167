/**
 * The open books of one batch: the rows that its operations touch, in memory. Operations change
 * the books only after all their checks passed; `rows.ts` loads them and writes the differences.
 * Where this process is the only writer, the rows stay open for the next batch.
 */

import type { JsonObject, NanoUsd } from '#std';
import { nanoUsd } from '#std';
import type { AttemptIntent, AttemptOutcome, LotKind, Receipt, Transfer } from './contract.ts';
import { lotSpendingOrder } from './contract.ts';
import type { StoredReceipt } from './receipt.ts';

export type WalletEntry = {
  readonly walletId: string;
  stored: boolean;
  /** Credits minus debits. */
  posted: number;
  pending: number;
  /** What this batch added to each; what is written is the difference. */
  readonly added: { credits: number; debits: number; pending: number };
  /** In spending order; only loaded when an operation of the batch may take from them. */
  lots: LotEntry[];
  lotsLoaded: boolean;
  changed: boolean;
};

export type LotEntry = {
  readonly lotId: string;
  readonly walletId: string;
  readonly kind: LotKind;
  readonly amount: number;
  remaining: number;
  readonly source: string;
  readonly createdAtMs: number;
  stored: boolean;
  changed: boolean;
};

export type AttemptEntry = AttemptIntent & { readonly outcome?: AttemptOutcome };

export type HoldEntry = {
  readonly requestId: string;
  readonly walletId: string;
  amount: number;
  readonly lifetime: 'process' | 'job';
  readonly scopeKeys: readonly string[];
  /** These two as JSON: written into the row, and again into the receipt. */
  readonly scopesText: string;
  attempts: readonly AttemptEntry[];
  readonly context: JsonObject;
  readonly contextText: string;
  extension: number;
  readonly idempotencyId: string | null;
  readonly nodeId: string;
  readonly epoch: number;
  readonly createdAtMs: number;
  expiresAtMs: number;
  stored: boolean;
  /** Also `false` after it was resolved: there is nothing left to write then. */
  changed: boolean;
};

export type BudgetEntry = {
  readonly key: string;
  spent: number;
  pending: number;
  stored: boolean;
  changed: boolean;
  readonly added: { spent: number; pending: number };
};

export type IdempotencyEntry = {
  readonly requestId: string;
  readonly parametersHash: string;
  readonly expiresAtMs: number;
};

export type Books = {
  readonly nowMs: number;
  readonly nodeId: string;
  readonly epoch: number;
  readonly wallets: Map<string, WalletEntry>;
  readonly holds: Map<string, HoldEntry>;
  /** Stored holds that this batch resolved. */
  readonly resolvedHolds: string[];
  readonly receipts: Map<string, StoredReceipt>;
  readonly budgets: Map<string, BudgetEntry>;
  readonly idempotency: Map<string, IdempotencyEntry>;
  readonly idempotencyWritten: Map<string, IdempotencyEntry | undefined>;
  readonly accounts: Map<string, { debits: number; credits: number }>;
  readonly newReceipts: StoredReceipt[];
  readonly newTransfers: (Transfer & { readonly transferKey: number })[];
  readonly lots: Map<string, LotEntry>;
  /** What this batch has to write: each once, and marked as `changed`. */
  readonly changed: {
    readonly wallets: WalletEntry[];
    readonly holds: HoldEntry[];
    readonly lots: LotEntry[];
    readonly budgets: BudgetEntry[];
  };
  chain: {
    readonly chainId: string;
    number: number;
    sequence: number;
    hash: string;
    indexed: number;
  };
};

export function markChanged<Entry extends { changed: boolean }>(list: Entry[], entry: Entry): void {
  if (entry.changed) return;
  entry.changed = true;
  list.push(entry);
}

export function available(wallet: WalletEntry | undefined): NanoUsd {
  return nanoUsd(wallet ? wallet.posted - wallet.pending : 0);
}

export function walletOf(books: Books, walletId: string): WalletEntry {
  const known = books.wallets.get(walletId);
  if (known) return known;
  const fresh: WalletEntry = {
    walletId,
    stored: false,
    posted: 0,
    pending: 0,
    added: { credits: 0, debits: 0, pending: 0 },
    lots: [],
    lotsLoaded: true,
    changed: false,
  };
  books.wallets.set(walletId, fresh);
  return fresh;
}

export function addPending(books: Books, wallet: WalletEntry, amount: number): void {
  markChanged(books.changed.wallets, wallet);
  wallet.pending += amount;
  wallet.added.pending += amount;
}

function budgetOf(books: Books, key: string): BudgetEntry {
  const known = books.budgets.get(key);
  if (known) return known;
  const fresh: BudgetEntry = {
    key,
    spent: 0,
    pending: 0,
    stored: false,
    changed: false,
    added: { spent: 0, pending: 0 },
  };
  books.budgets.set(key, fresh);
  return fresh;
}

export function addToBudget(books: Books, key: string, spent: number, pending: number): void {
  const budget = budgetOf(books, key);
  markChanged(books.changed.budgets, budget);
  budget.spent += spent;
  budget.pending += pending;
  budget.added.spent += spent;
  budget.added.pending += pending;
}

export const walletPrefix = 'wallet:';

/** Books one transfer: the wallet side into the wallet, the other side into its account. */
export function post(
  books: Books,
  transfer: Pick<Transfer, 'debitAccount' | 'creditAccount' | 'amountNanoUsd'>,
): void {
  bookSide(books, transfer.debitAccount, transfer.amountNanoUsd, 0);
  bookSide(books, transfer.creditAccount, 0, transfer.amountNanoUsd);
}

function bookSide(books: Books, account: string, debit: number, credit: number): void {
  if (account.startsWith(walletPrefix)) {
    const wallet = walletOf(books, account.slice(walletPrefix.length));
    markChanged(books.changed.wallets, wallet);
    wallet.posted += credit - debit;
    wallet.added.debits += debit;
    wallet.added.credits += credit;
    return;
  }
  const totals = books.accounts.get(account);
  if (totals) {
    totals.debits += debit;
    totals.credits += credit;
  } else books.accounts.set(account, { debits: debit, credits: credit });
}

export type LotPart = Receipt['lots'][number];

/** Takes in spending order. The wallet's balance is the sum of its lots, so it always suffices. */
export function takeFromLots(
  books: Books,
  wallet: WalletEntry,
  amount: number,
): readonly LotPart[] {
  if (!wallet.lotsLoaded)
    throw new TypeError(`the lots of wallet ${wallet.walletId} were not loaded`);
  const parts: LotPart[] = [];
  let rest = amount;
  for (const lot of wallet.lots) {
    if (rest === 0) break;
    const part = Math.min(lot.remaining, rest);
    if (part === 0) continue;
    lot.remaining -= part;
    markChanged(books.changed.lots, lot);
    rest -= part;
    parts.push({ lotId: lot.lotId, kind: lot.kind, amountNanoUsd: nanoUsd(part) });
  }
  if (rest > 0)
    throw new RangeError(`lots of wallet ${wallet.walletId} are short by ${rest} nano-USD`);
  return parts;
}

export function addLot(books: Books, lot: LotEntry): void {
  books.lots.set(lot.lotId, lot);
  markChanged(books.changed.lots, lot);
  const wallet = walletOf(books, lot.walletId);
  // Where they are not loaded, the next load brings this one too.
  if (!wallet.lotsLoaded) return;
  wallet.lots.push(lot);
  wallet.lots.sort(inSpendingOrder);
}

export function inSpendingOrder(left: LotEntry, right: LotEntry): number {
  const kinds = lotSpendingOrder.indexOf(left.kind) - lotSpendingOrder.indexOf(right.kind);
  if (kinds !== 0) return kinds;
  if (left.createdAtMs !== right.createdAtMs) return left.createdAtMs - right.createdAtMs;
  return left.lotId < right.lotId ? -1 : left.lotId > right.lotId ? 1 : 0;
}

/** Rows kept open between batches, at most; then all are read anew. */
const keptWalletsMax = 10_000;

/** Empty books. In PostgreSQL each node appends to a chain of its own, so that nodes do not wait for each other. */
export function openBooks(
  nowMs: number,
  node: { readonly nodeId: string; readonly epoch: number },
  chain: Books['chain'],
): Books {
  return {
    nowMs,
    nodeId: node.nodeId,
    epoch: node.epoch,
    wallets: new Map(),
    holds: new Map(),
    resolvedHolds: [],
    receipts: new Map(),
    budgets: new Map(),
    idempotency: new Map(),
    idempotencyWritten: new Map(),
    accounts: new Map(),
    newReceipts: [],
    newTransfers: [],
    lots: new Map(),
    changed: { wallets: [], holds: [], lots: [], budgets: [] },
    chain,
  };
}

function dropLot(books: Books, lot: LotEntry): void {
  books.lots.delete(lot.lotId);
  const wallet = books.wallets.get(lot.walletId);
  if (wallet) wallet.lots = wallet.lots.filter(({ remaining }) => remaining > 0);
}

/** The books for the next batch, after this one was written: rows stay, differences are forgotten. */
export function keepBooks(books: Books, nowMs: number): Books {
  const next = openBooks(nowMs, books, books.chain);
  if (books.wallets.size > keptWalletsMax || books.budgets.size > keptWalletsMax) return next;
  // What changed by nothing was not written, and is not a row yet.
  for (const wallet of books.changed.wallets) {
    const { credits, debits, pending } = wallet.added;
    wallet.stored ||= credits !== 0 || debits !== 0 || pending !== 0;
    wallet.added.credits = 0;
    wallet.added.debits = 0;
    wallet.added.pending = 0;
    wallet.changed = false;
  }
  for (const budget of books.changed.budgets) {
    budget.stored ||= budget.added.spent !== 0 || budget.added.pending !== 0;
    budget.added.spent = 0;
    budget.added.pending = 0;
    budget.changed = false;
  }
  for (const hold of books.changed.holds) {
    hold.stored = true;
    hold.changed = false;
  }
  for (const lot of books.changed.lots) {
    lot.stored = true;
    lot.changed = false;
    if (lot.remaining === 0) dropLot(books, lot);
  }
  return {
    ...next,
    wallets: books.wallets,
    holds: books.holds,
    budgets: books.budgets,
    lots: books.lots,
  };
}
