/** Reserve, attempt, extend: the part of a request's life in which money is only held. */

import type { NanoUsd } from '#std';
import { nanoUsd } from '#std';
import type {
  AttemptIntent,
  AttemptOutcome,
  AttemptResult,
  BudgetScope,
  ExtendRequest,
  ExtendResult,
  HeldScope,
  Hold,
  InsufficientBalance,
  ReserveRequest,
  ReserveResult,
} from './contract.ts';
import { receiptIdOf } from './contract.ts';
import type { Books, HoldEntry } from './books.ts';
import { addPending, addToBudget, available, markChanged, walletOf } from './books.ts';
import { readReceipt } from './receipt.ts';
import { heldScope, scopeKey, windowStartMs } from './scopes.ts';
import { listed, objectText, quoted } from './text.ts';

/** More calls for one request than any retry policy makes. */
const attemptsMax = 64;

export function reserve(books: Books, request: ReserveRequest): ReserveResult {
  const existing = books.holds.get(request.requestId);
  if (existing) return repeatedReserve(existing, request);
  if (books.receipts.has(receiptIdOf(request.requestId))) return { ok: false, error: 'conflict' };
  const duplicate = findDuplicate(books, request);
  if (duplicate) return duplicate;

  const keys = request.scopes.map((scope) => scopeKey(scope, books.nowMs));
  const granted = grant(books, request.walletId, request, keys);
  if (typeof granted !== 'number') return granted;

  const context = request.context ?? {};
  const entry: HoldEntry = {
    requestId: request.requestId,
    walletId: request.walletId,
    amount: granted,
    lifetime: request.lifetime ?? 'process',
    scopeKeys: keys,
    scopesText: listed(keys, quoted),
    attempts: request.attempt ? [request.attempt] : [],
    context,
    contextText: objectText(context),
    extension: 0,
    idempotencyId: request.idempotency
      ? idempotencyId(request.walletId, request.idempotency.key)
      : null,
    nodeId: books.nodeId,
    epoch: books.epoch,
    createdAtMs: books.nowMs,
    expiresAtMs: request.expiresAtMs,
    stored: false,
    changed: false,
  };
  books.holds.set(entry.requestId, entry);
  markChanged(books.changed.holds, entry);
  holdMore(books, entry, granted);
  rememberKey(books, entry, request);
  const scopes = request.scopes.map(({ kind, id, window }) => ({
    kind,
    id,
    window,
    windowStartMs: windowStartMs(window, books.nowMs),
  }));
  return { ok: true, hold: holdOf(entry, scopes), repeated: false };
}

/** No space is allowed in wallet ids, so the pair cannot be read in two ways. */
export function idempotencyId(walletId: string, key: string): string {
  return `${walletId} ${key}`;
}

function repeatedReserve(existing: HoldEntry, request: ReserveRequest): ReserveResult {
  const same =
    existing.walletId === request.walletId &&
    existing.attempts[0]?.attemptId === request.attempt?.attemptId;
  return same
    ? { ok: true, hold: holdOf(existing), repeated: true }
    : { ok: false, error: 'conflict' };
}

function findDuplicate(books: Books, request: ReserveRequest): ReserveResult | undefined {
  if (!request.idempotency) return undefined;
  const known = books.idempotency.get(idempotencyId(request.walletId, request.idempotency.key));
  if (!known) return undefined;
  const stored = books.receipts.get(receiptIdOf(known.requestId));
  if (known.expiresAtMs <= books.nowMs && stored) return undefined;
  if (known.parametersHash !== request.idempotency.parametersHash) {
    return { ok: false, error: 'idempotency_mismatch', requestId: known.requestId };
  }
  return {
    ok: false,
    error: 'idempotency_duplicate',
    requestId: known.requestId,
    state: stored ? (readReceipt(stored).kind === 'void' ? 'voided' : 'settled') : 'open',
    receiptId: stored?.receiptId,
  };
}

function rememberKey(books: Books, entry: HoldEntry, request: ReserveRequest): void {
  if (!request.idempotency || entry.idempotencyId === null) return;
  const written = {
    requestId: entry.requestId,
    parametersHash: request.idempotency.parametersHash,
    expiresAtMs: request.idempotency.expiresAtMs,
  };
  books.idempotency.set(entry.idempotencyId, written);
  books.idempotencyWritten.set(entry.idempotencyId, written);
}

type Wanted = {
  readonly amountNanoUsd: NanoUsd;
  readonly minimumNanoUsd?: NanoUsd;
  readonly scopes: readonly BudgetScope[];
};

/** The amount that fits into the wallet and every budget, or the scope that refuses; of equals the wallet. */
function grant(
  books: Books,
  walletId: string,
  wanted: Wanted,
  keys: readonly string[],
): number | InsufficientBalance {
  let tightest: number = available(books.wallets.get(walletId));
  let refusing: BudgetScope | undefined;
  let index = 0;
  for (const scope of wanted.scopes) {
    const budget = books.budgets.get(keys[index++] ?? '');
    if (scope.limitNanoUsd === null) continue;
    const left = Math.max(0, scope.limitNanoUsd - (budget ? budget.spent + budget.pending : 0));
    if (left < tightest) {
      tightest = left;
      refusing = scope;
    }
  }
  if (wanted.amountNanoUsd <= tightest) return wanted.amountNanoUsd;
  const minimum = wanted.minimumNanoUsd ?? wanted.amountNanoUsd;
  if (minimum <= tightest) return tightest;
  return {
    ok: false,
    error: refusing ? 'budget_exceeded' : 'insufficient_balance',
    availableNanoUsd: nanoUsd(tightest),
    requiredNanoUsd: minimum,
    scope: refusing,
  };
}

function holdMore(books: Books, entry: HoldEntry, amount: number): void {
  if (amount > 0) addPending(books, walletOf(books, entry.walletId), amount);
  for (const key of entry.scopeKeys) addToBudget(books, key, 0, amount);
}

/** `previous` closes an attempt that has failed, so that recovery does not count it as unknown. */
export function attempt(
  books: Books,
  requestId: string,
  intent: AttemptIntent,
  previous: AttemptOutcome | undefined,
): AttemptResult {
  const entry = books.holds.get(requestId);
  if (!entry) return notOpen(books, requestId);
  const known = entry.attempts.find((candidate) => candidate.attemptId === intent.attemptId);
  if (known) {
    return known.channelId === intent.channelId
      ? { ok: true, repeated: true }
      : { ok: false, error: 'conflict' };
  }
  if (entry.attempts.length >= attemptsMax) return { ok: false, error: 'conflict' };
  const closed = entry.attempts.map((earlier) =>
    previous && earlier.attemptId === previous.attemptId
      ? { ...earlier, outcome: previous }
      : earlier,
  );
  entry.attempts = [...closed, intent];
  markChanged(books.changed.holds, entry);
  return { ok: true, repeated: false };
}

export function extend(books: Books, request: ExtendRequest): ExtendResult {
  const entry = books.holds.get(request.requestId);
  if (!entry) return notOpen(books, request.requestId);
  if (request.sequence <= entry.extension) return { ok: true, hold: holdOf(entry), repeated: true };
  const limits = new Map(
    request.scopes.map((scope) => [`${scope.kind} ${scope.window} ${scope.id}`, scope]),
  );
  const scopes = entry.scopeKeys.map((key) => {
    const held = heldScope(key);
    const given = limits.get(`${held.kind} ${held.window} ${held.id}`);
    return given ?? { ...held, limitNanoUsd: null };
  });
  const granted = grant(books, entry.walletId, { ...request, scopes }, entry.scopeKeys);
  if (typeof granted !== 'number') return granted;
  entry.amount += granted;
  entry.extension = request.sequence;
  if (request.expiresAtMs !== undefined)
    entry.expiresAtMs = Math.max(entry.expiresAtMs, request.expiresAtMs);
  markChanged(books.changed.holds, entry);
  holdMore(books, entry, granted);
  return { ok: true, hold: holdOf(entry), repeated: false };
}

function notOpen(books: Books, requestId: string) {
  const stored = books.receipts.get(receiptIdOf(requestId));
  return {
    ok: false,
    error: stored ? 'already_resolved' : 'not_found',
    receipt: stored ? readReceipt(stored) : undefined,
  } as const;
}

/** @param scopes where they are at hand: to read them from their keys costs more than all the rest */
export function holdOf(entry: HoldEntry, scopes?: readonly HeldScope[]): Hold {
  return {
    requestId: entry.requestId,
    walletId: entry.walletId,
    amountNanoUsd: nanoUsd(entry.amount),
    state: 'open',
    lifetime: entry.lifetime,
    scopes: scopes ?? entry.scopeKeys.map(heldScope),
    createdAtMs: entry.createdAtMs,
    expiresAtMs: entry.expiresAtMs,
    context: entry.context,
  };
}
