/** One batch of ledger operations: load what they touch, decide in order, write the differences. */

import type { Clock } from '#std';
import type { Engine, Lane, Steps } from '#store';
import type {
  AdjustRequest,
  AttemptIntent,
  AttemptOutcome,
  AttemptResult,
  CreditRequest,
  ExtendRequest,
  ExtendResult,
  MoveResult,
  RefundRequest,
  ReserveRequest,
  ReserveResult,
  Settlement,
  SettleResult,
  SuspenseRequest,
  VoidRequest,
  VoidResult,
} from './contract.ts';
import { receiptIdOf } from './contract.ts';
import type { Books } from './books.ts';
import { keepBooks, openBooks } from './books.ts';
import { attempt, extend, idempotencyId, reserve } from './hold.ts';
import type { HoldLives } from './hold-lives.ts';
import { adjust, bookSuspense, credit, creditReceiptId, moveReceiptId, refund } from './move.ts';
import { chainStart } from './receipt.ts';
import { settle, voidHold } from './resolve.ts';
import {
  loadBudgets,
  loadChain,
  loadHolds,
  loadIdempotency,
  loadLots,
  loadReceipts,
  loadWallets,
} from './rows.ts';
import { writeBooks } from './write-rows.ts';
import { scopeKey } from './scopes.ts';

export type Operation =
  | { readonly kind: 'reserve'; readonly request: ReserveRequest }
  | {
      readonly kind: 'attempt';
      readonly requestId: string;
      readonly intent: AttemptIntent;
      readonly previous: AttemptOutcome | undefined;
    }
  | { readonly kind: 'extend'; readonly request: ExtendRequest }
  | { readonly kind: 'settle'; readonly settlement: Settlement }
  | { readonly kind: 'void'; readonly request: VoidRequest }
  | { readonly kind: 'credit'; readonly request: CreditRequest }
  | { readonly kind: 'refund'; readonly request: RefundRequest }
  | { readonly kind: 'adjust'; readonly request: AdjustRequest }
  | { readonly kind: 'suspense'; readonly request: SuspenseRequest };

export type OperationResult =
  | ReserveResult
  | AttemptResult
  | ExtendResult
  | SettleResult
  | VoidResult
  | MoveResult;

export type LedgerLane = Lane<Operation, OperationResult>;

export function createLedgerLane(engine: Engine, clock: Clock, lives: HoldLives): LedgerLane {
  let kept: { readonly version: string; readonly books: Books } | undefined;
  const chainId = engine.kind === 'postgres' ? engine.nodeId : 'main';
  return {
    name: 'ledger',
    journaled: true,
    *apply(operations) {
      const version = engine.stateVersion;
      const books =
        kept && kept.version === version
          ? keepBooks(kept.books, clock.now())
          : openBooks(clock.now(), engine, {
              chainId,
              number: 0,
              sequence: 0,
              hash: chainStart,
              indexed: 0,
            });
      // A batch that throws leaves books that must not be used again.
      kept = undefined;
      yield* loadBooks(books, operations, version === undefined);
      const results = operations.map((operation) => perform(books, operation));
      yield* writeBooks(books);
      lives.note(operations, results);
      kept = version === undefined ? undefined : { version, books };
      return results;
    },
  };
}

export function perform(books: Books, operation: Operation): OperationResult {
  switch (operation.kind) {
    case 'reserve':
      return reserve(books, operation.request);
    case 'attempt':
      return attempt(books, operation.requestId, operation.intent, operation.previous);
    case 'extend':
      return extend(books, operation.request);
    case 'settle':
      return settle(books, operation.settlement);
    case 'void':
      return voidHold(books, operation.request);
    case 'credit':
      return credit(books, operation.request);
    case 'refund':
      return refund(books, operation.request);
    case 'adjust':
      return adjust(books, operation.request);
    case 'suspense':
      return bookSuspense(books, operation.request);
  }
}

/** Which rows the operations touch and the books lack, as far as it can be known before anything is loaded. */
type Touched = {
  readonly requests: Set<string>;
  readonly wallets: Set<string>;
  readonly receipts: Set<string>;
  readonly budgets: Set<string>;
  readonly idempotency: Set<string>;
  readonly lots: Set<string>;
  /** Requests and wallets that may pay: their lots are needed. */
  readonly payingRequests: Set<string>;
  readonly payingWallets: Set<string>;
};

function touchedBy(operations: readonly Operation[], books: Books): Touched {
  const touched: Touched = {
    requests: new Set(),
    wallets: new Set(),
    receipts: new Set(),
    budgets: new Set(),
    idempotency: new Set(),
    lots: new Set(),
    payingRequests: new Set(),
    payingWallets: new Set(),
  };
  for (const operation of operations) touch(touched, operation, books);
  return touched;
}

/** Most of it is open already, so to look first costs less than to gather all. */
function want(wanted: Set<string>, open: ReadonlyMap<string, unknown>, key: string): void {
  if (!open.has(key)) wanted.add(key);
}

function touch(touched: Touched, operation: Operation, books: Books): void {
  switch (operation.kind) {
    case 'reserve': {
      const { request } = operation;
      if (request.fresh !== true) {
        touched.requests.add(request.requestId);
        touched.receipts.add(receiptIdOf(request.requestId));
      }
      want(touched.wallets, books.wallets, request.walletId);
      for (const scope of request.scopes)
        want(touched.budgets, books.budgets, scopeKey(scope, books.nowMs));
      if (request.idempotency)
        touched.idempotency.add(idempotencyId(request.walletId, request.idempotency.key));
      return;
    }
    case 'attempt':
      touched.requests.add(operation.requestId);
      return;
    case 'extend':
    case 'void':
      touched.requests.add(operation.request.requestId);
      return;
    case 'settle':
      touched.requests.add(operation.settlement.requestId);
      touched.payingRequests.add(operation.settlement.requestId);
      return;
    case 'credit':
      touched.wallets.add(operation.request.walletId);
      touched.receipts.add(creditReceiptId(operation.request));
      return;
    case 'refund':
      touched.wallets.add(operation.request.walletId);
      touched.payingWallets.add(operation.request.walletId);
      touched.lots.add(operation.request.lotId);
      touched.receipts.add(moveReceiptId('refund', operation.request.eventId));
      return;
    case 'adjust':
      touched.wallets.add(operation.request.walletId);
      touched.payingWallets.add(operation.request.walletId);
      touched.receipts.add(moveReceiptId('adjust', operation.request.eventId));
      return;
    case 'suspense':
      touched.receipts.add(moveReceiptId('suspense', operation.request.eventId));
      return;
  }
}

/**
 * With several writers the wallets are locked before anything else is believed: all that changes
 * a hold, budget or lot holds the lock of its wallet.
 */
function* loadBooks(
  books: Books,
  operations: readonly Operation[],
  severalWriters: boolean,
): Steps<void> {
  const touched = touchedBy(operations, books);
  const requestIds = [...touched.requests];
  yield* loadHolds(books, requestIds);
  for (const requestId of requestIds) {
    const hold = books.holds.get(requestId);
    if (hold) want(touched.wallets, books.wallets, hold.walletId);
  }
  yield* loadWallets(books, [...touched.wallets].sort());
  if (severalWriters) {
    books.holds.clear();
    yield* loadHolds(books, requestIds);
  }
  for (const requestId of requestIds) {
    const hold = books.holds.get(requestId);
    if (!hold) touched.receipts.add(receiptIdOf(requestId));
    else {
      for (const key of hold.scopeKeys) want(touched.budgets, books.budgets, key);
      const lacksLots = books.wallets.get(hold.walletId)?.lotsLoaded === false;
      if (lacksLots && touched.payingRequests.has(requestId))
        touched.payingWallets.add(hold.walletId);
    }
  }
  for (const operation of operations) {
    if (operation.kind !== 'reserve') continue;
    const { requestId, walletId } = operation.request;
    const lacksLots = books.wallets.get(walletId)?.lotsLoaded === false;
    if (lacksLots && touched.payingRequests.has(requestId)) touched.payingWallets.add(walletId);
  }
  yield* loadBudgets(books, [...touched.budgets].sort());
  yield* loadLots(books, [...touched.payingWallets], [...touched.lots]);
  yield* loadIdempotency(books, [...touched.idempotency]);
  for (const { requestId } of books.idempotency.values())
    touched.receipts.add(receiptIdOf(requestId));
  yield* loadReceipts(books, [...touched.receipts]);
  yield* loadChain(books);
}
