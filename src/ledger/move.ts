/** Money in and out of a wallet that is not the price of a request. Each is known by its event. */

import type { NanoUsd } from '#std';
import { nanoUsd, zeroNanoUsd } from '#std';
import type {
  AdjustRequest,
  CreditRequest,
  LotKind,
  MoveResult,
  ReceiptKind,
  RefundRequest,
  SuspenseRequest,
  TransferKind,
} from './contract.ts';
import type { Books, LotEntry, LotPart } from './books.ts';
import { addLot, available, markChanged, takeFromLots, walletOf, walletPrefix } from './books.ts';
import { readReceipt, writeReceipt } from './receipt.ts';

export function moveReceiptId(
  kind: 'credit' | 'refund' | 'adjust' | 'suspense',
  event: string,
): string {
  return `rcpt_${kind}:${event}`;
}

export function creditReceiptId(request: CreditRequest): string {
  return moveReceiptId('credit', eventOf(request));
}

/** A balance is an exact number wherever it is read: what would lift it beyond is refused. */
function isTooMuch(books: Books, walletId: string, more: NanoUsd): boolean {
  return more > Number.MAX_SAFE_INTEGER - walletOf(books, walletId).posted;
}

/** Sources have no `~`, so the pair cannot be read in two ways. */
function eventOf(request: CreditRequest): string {
  return `${request.source}~${request.eventId}`;
}

export function credit(books: Books, request: CreditRequest): MoveResult {
  const receiptId = creditReceiptId(request);
  const repeated = findRepeated(books, receiptId, {
    walletId: request.walletId,
    charge: -request.amountNanoUsd,
    lotKind: request.lotKind,
  });
  if (repeated) return repeated;
  if (isTooMuch(books, request.walletId, request.amountNanoUsd))
    return { ok: false, error: 'balance_too_large' };
  const paid = request.lotKind === 'paid';
  const lot = newLot(
    books,
    request.walletId,
    request.lotKind,
    request.amountNanoUsd,
    request.source,
    eventOf(request),
  );
  return record(books, {
    receiptId,
    kind: paid ? 'topup' : 'grant',
    transferKind: paid ? 'topup' : 'grant',
    event: eventOf(request),
    walletId: request.walletId,
    debit: paid ? 'cash' : 'promo',
    credit: `${walletPrefix}${request.walletId}`,
    amount: request.amountNanoUsd,
    charge: nanoUsd(-request.amountNanoUsd),
    lots: [lot],
    detail: {
      source: request.source,
      event_id: request.eventId,
      actor: request.actor,
      note: request.note,
    },
  });
}

export function refund(books: Books, request: RefundRequest): MoveResult {
  const receiptId = moveReceiptId('refund', request.eventId);
  const stored = books.receipts.get(receiptId);
  if (stored) {
    const receipt = readReceipt(stored);
    const { amountNanoUsd: asked = receipt.chargeNanoUsd } = request;
    const same =
      receipt.walletId === request.walletId &&
      receipt.lots[0]?.lotId === request.lotId &&
      receipt.chargeNanoUsd === asked;
    return same ? { ok: true, receipt, repeated: true } : { ok: false, error: 'conflict' };
  }
  const lot = books.lots.get(request.lotId);
  if (!lot || lot.walletId !== request.walletId) return { ok: false, error: 'not_found' };
  if (lot.kind !== 'paid') return { ok: false, error: 'lot_not_refundable' };
  const wallet = walletOf(books, request.walletId);
  const refundable = Math.min(lot.remaining, available(wallet));
  const amount = request.amountNanoUsd ?? nanoUsd(refundable);
  if (amount > refundable || amount === 0) {
    return {
      ok: false,
      error: 'insufficient_balance',
      availableNanoUsd: nanoUsd(refundable),
      requiredNanoUsd: amount,
      scope: undefined,
    };
  }
  lot.remaining -= amount;
  markChanged(books.changed.lots, lot);
  return record(books, {
    receiptId,
    kind: 'refund',
    transferKind: 'refund_to_source',
    event: request.eventId,
    walletId: request.walletId,
    debit: `${walletPrefix}${request.walletId}`,
    credit: 'cash',
    amount,
    charge: amount,
    lots: [{ lotId: lot.lotId, kind: lot.kind, amountNanoUsd: amount }],
    detail: { source: lot.source, actor: request.actor, reason: request.reason },
  });
}

export function adjust(books: Books, request: AdjustRequest): MoveResult {
  const receiptId = moveReceiptId('adjust', request.eventId);
  const lotKind = request.lotKind ?? 'gift';
  const repeated = findRepeated(books, receiptId, {
    walletId: request.walletId,
    charge: -request.amountNanoUsd,
    lotKind: request.amountNanoUsd > 0 ? lotKind : undefined,
  });
  if (repeated) return repeated;
  const account = `${walletPrefix}${request.walletId}`;
  const amount = nanoUsd(Math.abs(request.amountNanoUsd));
  const given = request.amountNanoUsd > 0;
  const wallet = walletOf(books, request.walletId);
  if (!given && amount > available(wallet)) {
    return {
      ok: false,
      error: 'insufficient_balance',
      availableNanoUsd: available(wallet),
      requiredNanoUsd: amount,
      scope: undefined,
    };
  }
  if (given && isTooMuch(books, request.walletId, amount))
    return { ok: false, error: 'balance_too_large' };
  const lots = given
    ? [newLot(books, request.walletId, lotKind, amount, 'operator', `adjust:${request.eventId}`)]
    : takeFromLots(books, wallet, amount);
  return record(books, {
    receiptId,
    kind: 'adjust',
    transferKind: 'admin_adjust',
    event: request.eventId,
    walletId: request.walletId,
    debit: given ? 'adjustments' : account,
    credit: given ? account : 'adjustments',
    amount,
    charge: nanoUsd(-request.amountNanoUsd),
    lots,
    detail: { actor: request.actor, reason: request.reason },
  });
}

export function bookSuspense(books: Books, request: SuspenseRequest): MoveResult {
  const receiptId = moveReceiptId('suspense', request.eventId);
  const stored = books.receipts.get(receiptId);
  if (stored) return { ok: true, receipt: readReceipt(stored), repeated: true };
  const more = request.amountNanoUsd > 0;
  const payable = `payable:${request.providerId}`;
  return record(books, {
    receiptId,
    kind: 'suspense',
    transferKind: 'suspense',
    event: request.eventId,
    walletId: undefined,
    debit: more ? 'suspense' : payable,
    credit: more ? payable : 'suspense',
    amount: nanoUsd(Math.abs(request.amountNanoUsd)),
    charge: zeroNanoUsd,
    lots: [],
    detail: { channel: request.channelId, actor: request.actor, reason: request.reason },
  });
}

function findRepeated(
  books: Books,
  receiptId: string,
  asked: {
    readonly walletId: string;
    readonly charge: number;
    /** Of the lot that it made, if it made one. */
    readonly lotKind: LotKind | undefined;
  },
): MoveResult | undefined {
  const stored = books.receipts.get(receiptId);
  if (!stored) return undefined;
  const receipt = readReceipt(stored);
  const same =
    receipt.walletId === asked.walletId &&
    receipt.chargeNanoUsd === asked.charge &&
    (asked.lotKind === undefined || receipt.lots[0]?.kind === asked.lotKind);
  return same ? { ok: true, receipt, repeated: true } : { ok: false, error: 'conflict' };
}

function newLot(
  books: Books,
  walletId: string,
  kind: LotKind,
  amount: NanoUsd,
  source: string,
  event: string,
): LotPart {
  const lot: LotEntry = {
    lotId: `lot_${event}`,
    walletId,
    kind,
    amount,
    remaining: amount,
    source,
    createdAtMs: books.nowMs,
    stored: false,
    changed: false,
  };
  addLot(books, lot);
  return { lotId: lot.lotId, kind, amountNanoUsd: amount };
}

type Movement = {
  readonly receiptId: string;
  readonly kind: ReceiptKind;
  readonly transferKind: TransferKind;
  readonly event: string;
  readonly walletId: string | undefined;
  readonly debit: string;
  readonly credit: string;
  readonly amount: NanoUsd;
  readonly charge: NanoUsd;
  readonly lots: readonly LotPart[];
  readonly detail: { readonly [key: string]: string | undefined };
};

function record(books: Books, movement: Movement): MoveResult {
  const transfer = {
    transferId: `${movement.transferKind}:${movement.event}::1`,
    kind: movement.transferKind,
    debitAccount: movement.debit,
    creditAccount: movement.credit,
    amountNanoUsd: movement.amount,
  };
  const wallet = movement.walletId === undefined ? undefined : walletOf(books, movement.walletId);
  const receipt = writeReceipt(books, {
    receiptId: movement.receiptId,
    kind: movement.kind,
    walletId: movement.walletId,
    requestId: undefined,
    createdAtMs: books.nowMs,
    chargeNanoUsd: movement.charge,
    ratedNanoUsd: movement.charge,
    holdNanoUsd: zeroNanoUsd,
    balanceAfterNanoUsd: nanoUsd(wallet ? wallet.posted - movement.charge : 0),
    attempts: [],
    postedAttemptId: undefined,
    usage: {},
    usageSource: 'none',
    priceVersion: '',
    formula: '',
    lines: [],
    losses: [],
    lots: movement.lots,
    transfers: [transfer],
    scopeKeys: [],
    detail: movement.detail,
  });
  return { ok: true, receipt, repeated: false };
}
