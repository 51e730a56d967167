/**
 * The open books of one batch: the rows that its operations touch, in memory. Operations change
 * the books only after all their checks passed; `rows.ts` loads them and writes the differences.
 */

import type { JsonObject, NanoUsd } from '#std';
import { nanoUsd } from '#std';
import type { AttemptIntent, AttemptOutcome, LotKind, Receipt, Transfer } from './contract.ts';
import { lotSpendingOrder } from './contract.ts';
import type { StoredReceipt } from './receipt.ts';

export type WalletEntry = {
  readonly walletId: string;
  readonly stored: boolean;
  credits: number;
  debits: number;
  pending: number;
  /** What this batch added to each; what is written is the difference. */
  readonly added: { credits: number; debits: number; pending: number };
  /** In spending order; only loaded when an operation of the batch may take from them. */
  lots: LotEntry[];
  lotsLoaded: boolean;
};

export type LotEntry = {
  readonly lotId: string;
  readonly walletId: string;
  readonly kind: LotKind;
  readonly amount: number;
  remaining: number;
  readonly source: string;
  readonly createdAtMs: number;
  readonly stored: boolean;
  changed: boolean;
};

export type AttemptEntry = AttemptIntent & { readonly outcome?: AttemptOutcome };

export type HoldEntry = {
  readonly requestId: string;
  readonly walletId: string;
  amount: number;
  readonly lifetime: 'process' | 'job';
  readonly scopeKeys: readonly string[];
  attempts: readonly AttemptEntry[];
  readonly context: JsonObject;
  extension: number;
  readonly idempotencyId: string | null;
  readonly nodeId: string;
  readonly epoch: number;
  readonly createdAtMs: number;
  expiresAtMs: number;
  readonly stored: boolean;
  changed: boolean;
};

export type BudgetEntry = {
  spent: number;
  pending: number;
  readonly stored: boolean;
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
  readonly newTransfers: Transfer[];
  readonly lots: Map<string, LotEntry>;
  chain: { readonly chainId: string; number: number; sequence: number; hash: string };
};

export function available(wallet: WalletEntry | undefined): NanoUsd {
  return nanoUsd(wallet ? wallet.credits - wallet.debits - wallet.pending : 0);
}

export function walletOf(books: Books, walletId: string): WalletEntry {
  const known = books.wallets.get(walletId);
  if (known) return known;
  const fresh: WalletEntry = {
    walletId,
    stored: false,
    credits: 0,
    debits: 0,
    pending: 0,
    added: { credits: 0, debits: 0, pending: 0 },
    lots: [],
    lotsLoaded: true,
  };
  books.wallets.set(walletId, fresh);
  return fresh;
}

export function addPending(wallet: WalletEntry, amount: number): void {
  wallet.pending += amount;
  wallet.added.pending += amount;
}

export function budgetOf(books: Books, key: string): BudgetEntry {
  const known = books.budgets.get(key);
  if (known) return known;
  const fresh: BudgetEntry = { spent: 0, pending: 0, stored: false, added: { spent: 0, pending: 0 } };
  books.budgets.set(key, fresh);
  return fresh;
}

export function addToBudget(budget: BudgetEntry, spent: number, pending: number): void {
  budget.spent += spent;
  budget.pending += pending;
  budget.added.spent += spent;
  budget.added.pending += pending;
}

export const walletPrefix = 'wallet:';

/** Books one transfer: the wallet side into the wallet, the other side into its account. */
export function post(books: Books, transfer: Transfer): void {
  books.newTransfers.push(transfer);
  bookSide(books, transfer.debitAccount, transfer.amountNanoUsd, 0);
  bookSide(books, transfer.creditAccount, 0, transfer.amountNanoUsd);
}

function bookSide(books: Books, account: string, debit: number, credit: number): void {
  if (account.startsWith(walletPrefix)) {
    const wallet = walletOf(books, account.slice(walletPrefix.length));
    wallet.debits += debit;
    wallet.credits += credit;
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
export function takeFromLots(wallet: WalletEntry, amount: number): readonly LotPart[] {
  if (!wallet.lotsLoaded) throw new TypeError(`the lots of wallet ${wallet.walletId} were not loaded`);
  const parts: LotPart[] = [];
  let rest = amount;
  for (const lot of wallet.lots) {
    if (rest === 0) break;
    const part = Math.min(lot.remaining, rest);
    if (part === 0) continue;
    lot.remaining -= part;
    lot.changed = true;
    rest -= part;
    parts.push({ lotId: lot.lotId, kind: lot.kind, amountNanoUsd: nanoUsd(part) });
  }
  if (rest > 0) throw new RangeError(`lots of wallet ${wallet.walletId} are short by ${rest} nano-USD`);
  return parts;
}

export function addLot(books: Books, lot: LotEntry): void {
  books.lots.set(lot.lotId, lot);
  const wallet = walletOf(books, lot.walletId);
  wallet.lots.push(lot);
  wallet.lots.sort(inSpendingOrder);
}

export function inSpendingOrder(left: LotEntry, right: LotEntry): number {
  const kinds = lotSpendingOrder.indexOf(left.kind) - lotSpendingOrder.indexOf(right.kind);
  if (kinds !== 0) return kinds;
  if (left.createdAtMs !== right.createdAtMs) return left.createdAtMs - right.createdAtMs;
  return left.lotId < right.lotId ? -1 : left.lotId > right.lotId ? 1 : 0;
}
