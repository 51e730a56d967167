import type { Clock } from '#std';
import { nanoUsd } from '#std';
import type { LoadStatement, Steps, Store } from '#store';
import { integerOf, load, query, StoreUnavailableError, textOf } from '#store';
import type {
  AccountTotals,
  Balance,
  BudgetScope,
  BudgetState,
  Ledger,
  Lot,
  MoveResult,
  Receipt,
} from './contract.ts';
import type { LotEntry } from './books.ts';
import { inSpendingOrder } from './books.ts';
import { holdOf } from './hold.ts';
import { HoldLives } from './hold-lives.ts';
import { createLedgerLane, type Operation, type OperationResult } from './lane.ts';
import { NodeLives } from './node-lives.ts';
import { readReceipt } from './receipt.ts';
import { createRecovery } from './recover.ts';
import {
  accountColumns,
  budgetsByKey,
  holdSelect,
  lotColumns,
  readAccountSums,
  readHold,
  readLot,
  readReceiptRow,
  receiptsByKey,
} from './rows.ts';
import { heldScope, scopeKey } from './scopes.ts';
import { readStatement } from './statement.ts';
import {
  checkAdjust,
  checkCredit,
  checkExtend,
  checkIntent,
  checkRefund,
  checkReserve,
  checkSettlement,
  checkSuspense,
  checkVoid,
} from './validate.ts';
import { verify } from './verify.ts';

export type LedgerDeps = { readonly store: Store; readonly clock: Clock };

/** The ledger of an open store. Call `recover` once, before the first request is accepted. */
export function openLedger({ store, clock }: LedgerDeps): Ledger {
  const { engine } = store;
  const lives = new HoldLives(clock);
  const lane = createLedgerLane(engine, clock, lives);
  // Not `async`: each would be one more promise on the way of every request.
  const submit = <Result extends OperationResult>(
    check: () => void,
    operation: Operation,
  ): Promise<Result> => {
    try {
      check();
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new TypeError('not an operation'));
    }
    return engine.submit(lane, operation) as Promise<Result>;
  };
  /** What the database did not take may have happened, and its request may be given up. */
  const submitOf = <Result extends OperationResult>(
    requestId: string,
    check: () => void,
    operation: Operation,
  ): Promise<Result> => {
    const result = submit<Result>(check, operation);
    result.catch((error: unknown) => {
      if (error instanceof StoreUnavailableError) lives.leave(requestId);
    });
    return result;
  };
  const move = (check: () => void, operation: Operation): Promise<MoveResult> =>
    submit(check, operation);
  const ledger: Omit<Ledger, 'recover' | 'sweep' | 'abandon'> = {
    reserve: (request) =>
      submitOf(request.requestId, () => checkReserve(request), { kind: 'reserve', request }),
    attempt: (requestId, intent, previous) =>
      submit(() => checkIntent(requestId, intent), {
        kind: 'attempt',
        requestId,
        intent,
        previous,
      }),
    extend: (request) => submit(() => checkExtend(request), { kind: 'extend', request }),
    settle: (settlement) =>
      submitOf(settlement.requestId, () => checkSettlement(settlement), {
        kind: 'settle',
        settlement,
      }),
    void: (request) =>
      submitOf(request.requestId, () => checkVoid(request), { kind: 'void', request }),
    credit: (request) => move(() => checkCredit(request), { kind: 'credit', request }),
    refund: (request) => move(() => checkRefund(request), { kind: 'refund', request }),
    adjust: (request) => move(() => checkAdjust(request), { kind: 'adjust', request }),
    bookSuspense: (request) => move(() => checkSuspense(request), { kind: 'suspense', request }),
    balance: (walletId) => engine.read(() => readBalance(walletId)),
    budgets: (scopes) => engine.read(() => readBudgets(scopes, clock.now())),
    hold: (requestId) =>
      engine.read(function* () {
        const rows = yield* query(`${holdSelect} WHERE request_id = ?`, [requestId]);
        return rows[0] ? holdOf(readHold(rows[0])) : undefined;
      }),
    receipt: (receiptId) => engine.read(() => readOne(receiptId)),
    statement: (request) => readStatement(engine, request),
    accounts: (prefix) => engine.read(() => readAccounts(prefix ?? '')),
    verify: (options) => verify(engine, options ?? {}),
  };
  return {
    ...ledger,
    ...createRecovery({ engine, clock, lives, nodes: new NodeLives(clock), ledger }),
  };
}

function* readBalance(walletId: string): Steps<Balance> {
  const rows = yield* query(
    'SELECT credits_nano_usd - debits_nano_usd AS posted, pending_nano_usd AS pending FROM wallets WHERE wallet_id = ?',
    [walletId],
  );
  const lots = yield* query(
    `SELECT ${lotColumns.join(', ')} FROM lots WHERE wallet_id = ? AND remaining_nano_usd > 0`,
    [walletId],
  );
  const posted = nanoUsd(rows[0] ? integerOf(rows[0], 'posted') : 0);
  const pending = nanoUsd(rows[0] ? integerOf(rows[0], 'pending') : 0);
  return {
    walletId,
    availableNanoUsd: nanoUsd(posted - pending),
    postedNanoUsd: posted,
    pendingNanoUsd: pending,
    lots: lots.map(readLot).sort(inSpendingOrder).map(lotOf),
  };
}

function lotOf(entry: LotEntry): Lot {
  const { lotId, walletId, kind, source, createdAtMs } = entry;
  return {
    lotId,
    walletId,
    kind,
    source,
    createdAtMs,
    amountNanoUsd: nanoUsd(entry.amount),
    remainingNanoUsd: nanoUsd(entry.remaining),
  };
}

const shownBudgets: LoadStatement = { ...budgetsByKey, lock: false };

function* readBudgets(
  scopes: readonly BudgetScope[],
  nowMs: number,
): Steps<readonly BudgetState[]> {
  const keys = scopes.map((scope) => scopeKey(scope, nowMs));
  const found = yield* load(shownBudgets, [...new Set(keys)]);
  const rows = new Map(found.map((row) => [textOf(row, 'scope_key'), row]));
  return scopes.map(({ limitNanoUsd: limit }, index) => {
    const key = keys[index] ?? '';
    const row = rows.get(key);
    const spent = nanoUsd(row ? integerOf(row, 'spent_nano_usd') : 0);
    const pending = nanoUsd(row ? integerOf(row, 'pending_nano_usd') : 0);
    return {
      ...heldScope(key),
      limitNanoUsd: limit,
      spentNanoUsd: spent,
      pendingNanoUsd: pending,
      remainingNanoUsd: limit === null ? null : nanoUsd(Math.max(0, limit - spent - pending)),
    };
  });
}

function* readOne(receiptId: string): Steps<Receipt | undefined> {
  const rows = yield* load(receiptsByKey, [receiptId]);
  return rows[0] ? readReceipt(readReceiptRow(rows[0])) : undefined;
}

function* readAccounts(prefix: string): Steps<readonly AccountTotals[]> {
  const rows = yield* query(
    `SELECT account_id, ${accountColumns} FROM accounts WHERE substr(account_id, 1, ?) = ? ORDER BY account_id`,
    [prefix.length, prefix],
  );
  return rows.map((row) => ({ accountId: textOf(row, 'account_id'), ...readAccountSums(row) }));
}
