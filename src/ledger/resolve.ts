/** Settle and void: a hold resolves once, in one transaction with its costs and its receipt. */

import type { JsonObject, NanoUsd } from '#std';
import { nanoUsd, zeroNanoUsd } from '#std';
import type {
  AttemptOutcome,
  LossEntry,
  Receipt,
  ReceiptLine,
  Settlement,
  SettleResult,
  UsageSource,
  VoidRequest,
  VoidResult,
} from './contract.ts';
import { receiptIdOf } from './contract.ts';
import type { AttemptEntry, Books, HoldEntry, LotPart } from './books.ts';
import { addPending, addToBudget, takeFromLots, walletOf } from './books.ts';
import { readReceipt, writeReceipt, type ReceiptDraft } from './receipt.ts';
import { transfersOf } from './transfers.ts';

export function settle(books: Books, settlement: Settlement): SettleResult {
  const entry = books.holds.get(settlement.requestId);
  if (!entry) {
    const receipt = receiptOf(books, settlement.requestId);
    if (!receipt) return { ok: false, error: 'not_found', receipt: undefined };
    if (receipt.kind === 'void') return { ok: false, error: 'already_voided', receipt };
    return { ok: true, receipt, repeated: true };
  }
  const charge = nanoUsd(Math.min(settlement.chargeNanoUsd, entry.amount));
  const overrun = settlement.chargeNanoUsd - charge;
  const receipt = resolve(books, entry, {
    kind: 'usage',
    charge,
    rated: settlement.chargeNanoUsd,
    attempts: settlement.attempts,
    postedAttemptId: settlement.postedAttemptId,
    losses: withOverrun(settlement.losses ?? [], overrun),
    usage: settlement.usage,
    usageSource: settlement.usageSource,
    priceVersion: settlement.priceVersion,
    formula: settlement.formula,
    lines: settlement.lines,
    detail: settlement.detail,
  });
  return { ok: true, receipt, repeated: false };
}

export function voidHold(books: Books, request: VoidRequest): VoidResult {
  const entry = books.holds.get(request.requestId);
  if (!entry) {
    const receipt = receiptOf(books, request.requestId);
    if (!receipt) return { ok: false, error: 'not_found', receipt: undefined };
    if (receipt.kind !== 'void') return { ok: false, error: 'already_settled', receipt };
    return { ok: true, receipt, repeated: true };
  }
  const receipt = resolve(books, entry, {
    kind: 'void',
    charge: zeroNanoUsd,
    rated: zeroNanoUsd,
    attempts: request.attempts ?? [],
    postedAttemptId: undefined,
    losses: request.isLost ? lostWith(entry, request) : (request.losses ?? []),
    usage: {},
    usageSource: 'none',
    priceVersion: '',
    formula: '',
    lines: [],
    detail: { ...request.detail, reason: request.reason },
  });
  if (entry.idempotencyId !== null && request.releaseIdempotency !== false) {
    books.idempotency.delete(entry.idempotencyId);
    books.idempotencyWritten.set(entry.idempotencyId, undefined);
  }
  return { ok: true, receipt, repeated: false };
}

/** Told here and not before: until now the request may have made one more call. */
function lostWith(entry: HoldEntry, { attempts, losses }: VoidRequest): readonly LossEntry[] {
  const unknown = entry.attempts.filter(
    ({ attemptId, outcome }) =>
      outcome === undefined && !attempts?.some((given) => given.attemptId === attemptId),
  );
  return [...(losses ?? []), ...boundOfUnknown(unknown)];
}

export function boundOfUnknown(attempts: readonly AttemptEntry[]): readonly LossEntry[] {
  const bound = attempts.reduce((sum, { boundNanoUsd }) => sum + boundNanoUsd, 0);
  return bound > 0 ? [{ reason: 'crash', amountNanoUsd: atMost(bound) }] : [];
}

/** Bounds add up to more than money can be; the start of the server must not end in that. */
export function atMost(sum: number): NanoUsd {
  return nanoUsd(Math.min(sum, Number.MAX_SAFE_INTEGER));
}

function receiptOf(books: Books, requestId: string): Receipt | undefined {
  const stored = books.receipts.get(receiptIdOf(requestId));
  return stored ? readReceipt(stored) : undefined;
}

function withOverrun(losses: readonly LossEntry[], overrun: number): readonly LossEntry[] {
  return overrun > 0 ? [...losses, { reason: 'overrun', amountNanoUsd: nanoUsd(overrun) }] : losses;
}

type Resolution = {
  readonly kind: 'usage' | 'void';
  readonly charge: NanoUsd;
  readonly rated: NanoUsd;
  readonly attempts: readonly AttemptOutcome[];
  readonly postedAttemptId: string | undefined;
  readonly losses: readonly LossEntry[];
  readonly usage: JsonObject;
  readonly usageSource: UsageSource;
  readonly priceVersion: string;
  readonly formula: string;
  readonly lines: readonly ReceiptLine[];
  readonly detail: JsonObject | undefined;
};

function resolve(books: Books, entry: HoldEntry, resolution: Resolution): Receipt {
  const wallet = walletOf(books, entry.walletId);
  const lots: readonly LotPart[] =
    resolution.charge > 0 ? takeFromLots(books, wallet, resolution.charge) : [];
  const attempts = outcomes(entry, resolution.attempts);
  const { walletId, requestId } = entry;
  const { postedAttemptId, losses } = resolution;
  const transfers = transfersOf({
    walletId,
    requestId,
    chargeNanoUsd: resolution.charge,
    postedAttemptId,
    attempts,
    losses,
  });

  if (entry.amount > 0) addPending(books, wallet, -entry.amount);
  for (const key of entry.scopeKeys) addToBudget(books, key, resolution.charge, -entry.amount);
  books.holds.delete(entry.requestId);
  entry.changed = false;
  if (entry.stored) books.resolvedHolds.push(entry.requestId);

  const draft: ReceiptDraft = {
    receiptId: receiptIdOf(entry.requestId),
    kind: resolution.kind,
    walletId,
    requestId,
    createdAtMs: books.nowMs,
    chargeNanoUsd: resolution.charge,
    ratedNanoUsd: resolution.rated,
    holdNanoUsd: nanoUsd(entry.amount),
    balanceAfterNanoUsd: nanoUsd(wallet.posted - resolution.charge),
    attempts,
    postedAttemptId,
    usage: resolution.usage,
    usageSource: resolution.usageSource,
    priceVersion: resolution.priceVersion,
    formula: resolution.formula,
    lines: resolution.lines,
    losses,
    lots,
    transfers,
    scopeKeys: entry.scopeKeys,
    detail: resolution.detail ? { ...entry.context, ...resolution.detail } : entry.context,
  };
  return writeReceipt(books, draft, {
    scopes: entry.scopesText,
    detail: resolution.detail ? undefined : entry.contextText,
  });
}

type ResolvedAttempt = Receipt['attempts'][number];

/**
 * What is known of each attempt: what the caller says now, else what was recorded when it was
 * followed by another one, else unknown. A cost of a call that was never recorded is booked too,
 * under a name that `verify` reports.
 */
function outcomes(entry: HoldEntry, given: readonly AttemptOutcome[]): readonly ResolvedAttempt[] {
  const resolved: ResolvedAttempt[] = entry.attempts.map((recorded) => {
    const outcome =
      given.find((candidate) => candidate.attemptId === recorded.attemptId) ?? recorded.outcome;
    return {
      attemptId: recorded.attemptId,
      outcome: outcome?.outcome ?? 'unknown',
      costNanoUsd: outcome?.costNanoUsd ?? zeroNanoUsd,
      channelId: recorded.channelId,
      providerId: recorded.providerId,
    };
  });
  for (const outcome of given) {
    if (entry.attempts.some((recorded) => recorded.attemptId === outcome.attemptId)) continue;
    resolved.push({ ...outcome, channelId: unrecorded, providerId: unrecorded });
  }
  return resolved;
}

export const unrecorded = 'unrecorded';
