/** Receipts as text: the body is what is stored, shown and hashed. */

import { hash } from 'node:crypto';
import type { JsonObject, JsonValue } from '#std';
import { asArray, asNumber, asObject, asString, nanoUsd, parseJsonObject } from '#std';
import { post, type Books } from './books.ts';
import type {
  AttemptOutcome,
  LossReason,
  LotKind,
  Receipt,
  ReceiptKind,
  TransferKind,
  UsageSource,
} from './contract.ts';
import { escaped, escapedName, listed, objectText, quoted } from './text.ts';
import { transfersOf } from './transfers.ts';

export type StoredReceipt = {
  readonly position: number;
  readonly receiptId: string;
  readonly walletId: string | null;
  readonly createdAtMs: number;
  readonly previousHash: string;
  readonly hash: string;
  readonly body: string;
};

/** A receipt before it has its place in the chain. `scopeKeys` are the budgets it counted in. */
export type ReceiptDraft = Omit<Receipt, 'chainNumber' | 'sequence' | 'previousHash' | 'hash'> & {
  readonly scopeKeys: readonly string[];
};

/** Parts of a receipt whose JSON text is known already. */
export type KnownTexts = { readonly scopes?: string; readonly detail?: string | undefined };

/** The first receipt of a chain follows this. */
export const chainStart = '0'.repeat(64);

/** Receipts that one chain has room for. */
export const chainSpan = 2 ** 36;

/** Transfers that one receipt has room for; together they stay within the safe integers. */
export const transferSpan = 128;

/** Larger `detail` and `usage` are replaced: a settlement must not fail because of its decoration. */
const bodyBytesMax = 65_536;

export function chainHash(previousHash: string, body: string): string {
  return hashOf(`${previousHash}\n${body}`);
}

/** The text that is hashed, as bytes: a text of many pieces costs less to hash when it was written out once. */
let hashed = Buffer.alloc(8192);

function hashOf(chained: string): string {
  const bytesMax = chained.length * 3;
  if (bytesMax > hashed.length) hashed = Buffer.alloc(bytesMax);
  return hash('sha256', hashed.subarray(0, hashed.write(chained)), 'hex');
}

/** Books the transfers of the receipt, and appends it to the chain of the books. */
export function writeReceipt(books: Books, draft: ReceiptDraft, known: KnownTexts = {}): Receipt {
  let body = receiptBody(draft, known);
  if (body.length > bodyBytesMax) {
    const detail = { dropped: 'usage and detail were too large' };
    body = receiptBody({ ...draft, usage: {}, detail }, {});
  }
  const previousHash = books.chain.hash;
  const chained = `${previousHash}\n${body}`;
  const chainedHash = hashOf(chained);
  const sequence = books.chain.sequence + 1;
  const stored: StoredReceipt = {
    position: books.chain.number * chainSpan + sequence,
    receiptId: draft.receiptId,
    walletId: draft.walletId ?? null,
    createdAtMs: draft.createdAtMs,
    previousHash,
    hash: chainedHash,
    // A part of the text that was hashed is in one piece by now; `body` is still put together from a hundred.
    body: chained.slice(previousHash.length + 1),
  };
  books.chain.sequence = sequence;
  books.chain.hash = stored.hash;
  books.newReceipts.push(stored);
  if (draft.transfers.length > transferSpan)
    throw new RangeError(`receipt ${draft.receiptId} has too many transfers`);
  let transferKey = stored.position * transferSpan;
  for (const transfer of draft.transfers) {
    post(books, transfer);
    if (!isOfRequest(draft.kind))
      books.newTransfers.push({ ...transfer, createdAtMs: draft.createdAtMs, transferKey });
    transferKey += 1;
  }
  books.receipts.set(stored.receiptId, stored);
  return { ...draft, chainNumber: books.chain.number, sequence, previousHash, hash: stored.hash };
}

function receiptBody(draft: ReceiptDraft, known: KnownTexts): string {
  const { walletId, requestId, postedAttemptId } = draft;
  return `{"receipt_id":"${escaped(draft.receiptId)}","kind":"${draft.kind}"${
    walletId === undefined ? '' : `,"wallet_id":"${escapedName(walletId)}"`
  }${requestId === undefined ? '' : `,"request_id":"${escaped(requestId)}"`},"created_at_ms":${
    draft.createdAtMs
  },"charge_nano_usd":${draft.chargeNanoUsd},"rated_nano_usd":${
    draft.ratedNanoUsd
  },"hold_nano_usd":${draft.holdNanoUsd},"balance_after_nano_usd":${
    draft.balanceAfterNanoUsd
  },"usage_source":"${draft.usageSource}","price_version":"${escapedName(draft.priceVersion)}","formula":"${escapedName(draft.formula)}","lines":${listed(draft.lines, lineText)},"attempts":${listed(
    draft.attempts,
    attemptText,
  )}${
    postedAttemptId === undefined ? '' : `,"posted_attempt_id":"${escaped(postedAttemptId)}"`
  },"losses":${listed(draft.losses, lossText)},"lots":${listed(draft.lots, lotText)}${
    isOfRequest(draft.kind) ? '' : `,"transfers":${listed(draft.transfers, transferText)}`
  },"scopes":${known.scopes ?? listed(draft.scopeKeys, quoted)},"usage":${objectText(
    draft.usage,
  )},"detail":${known.detail ?? objectText(draft.detail)}}`;
}

function lineText({ unit, quantity, priceNanoUsdPerMillion }: Receipt['lines'][number]): string {
  return `{"unit":"${escapedName(unit)}","quantity":${quantity},"price_nano_usd_per_million":${priceNanoUsdPerMillion}}`;
}

function attemptText(attempt: Receipt['attempts'][number]): string {
  const { attemptId, channelId, providerId, outcome, costNanoUsd } = attempt;
  return `{"attempt_id":"${escaped(attemptId)}","channel_id":"${escapedName(channelId)}","provider_id":"${escapedName(providerId)}","outcome":"${outcome}","cost_nano_usd":${costNanoUsd}}`;
}

function lossText({ reason, amountNanoUsd }: Receipt['losses'][number]): string {
  return `{"reason":"${reason}","amount_nano_usd":${amountNanoUsd}}`;
}

function lotText({ lotId, kind, amountNanoUsd }: Receipt['lots'][number]): string {
  return `{"lot_id":"${escapedName(lotId)}","kind":"${kind}","amount_nano_usd":${amountNanoUsd}}`;
}

function transferText(transfer: Receipt['transfers'][number]): string {
  return JSON.stringify({
    transfer_id: transfer.transferId,
    kind: transfer.kind,
    debit_account: transfer.debitAccount,
    credit_account: transfer.creditAccount,
    amount_nano_usd: transfer.amountNanoUsd,
  });
}

/** Reads a stored body. Throws when it is not a receipt: the file is damaged. */
export function readReceipt(
  stored: StoredReceipt,
): Receipt & { readonly scopeKeys: readonly string[] } {
  const body = parseJsonObject(stored.body);
  if (!body) throw new TypeError(`receipt ${stored.receiptId} is not readable`);
  const receipt = {
    receiptId: text(body, 'receipt_id'),
    kind: text(body, 'kind') as ReceiptKind,
    walletId: asString(body['wallet_id']),
    requestId: asString(body['request_id']),
    createdAtMs: integer(body, 'created_at_ms'),
    chargeNanoUsd: nanoUsd(integer(body, 'charge_nano_usd')),
    ratedNanoUsd: nanoUsd(integer(body, 'rated_nano_usd')),
    holdNanoUsd: nanoUsd(integer(body, 'hold_nano_usd')),
    balanceAfterNanoUsd: nanoUsd(integer(body, 'balance_after_nano_usd')),
    usageSource: text(body, 'usage_source') as UsageSource,
    priceVersion: text(body, 'price_version'),
    formula: text(body, 'formula'),
    lines: list(body, 'lines').map((line) => ({
      unit: text(line, 'unit'),
      quantity: integer(line, 'quantity'),
      priceNanoUsdPerMillion: integer(line, 'price_nano_usd_per_million'),
    })),
    attempts: list(body, 'attempts').map((attempt) => ({
      attemptId: text(attempt, 'attempt_id'),
      channelId: text(attempt, 'channel_id'),
      providerId: text(attempt, 'provider_id'),
      outcome: text(attempt, 'outcome') as AttemptOutcome['outcome'],
      costNanoUsd: nanoUsd(integer(attempt, 'cost_nano_usd')),
    })),
    postedAttemptId: asString(body['posted_attempt_id']),
    losses: list(body, 'losses').map((loss) => ({
      reason: text(loss, 'reason') as LossReason,
      amountNanoUsd: nanoUsd(integer(loss, 'amount_nano_usd')),
    })),
    lots: list(body, 'lots').map((lot) => ({
      lotId: text(lot, 'lot_id'),
      kind: text(lot, 'kind') as LotKind,
      amountNanoUsd: nanoUsd(integer(lot, 'amount_nano_usd')),
    })),
    scopeKeys: (asArray(body['scopes']) ?? []).map(String),
    usage: asObject(body['usage']) ?? {},
    detail: asObject(body['detail']) ?? {},
    chainNumber: Math.floor(stored.position / chainSpan),
    sequence: stored.position % chainSpan,
    previousHash: stored.previousHash,
    hash: stored.hash,
  };
  return {
    ...receipt,
    transfers: isOfRequest(receipt.kind) ? transfersOf(receipt) : readTransfers(body),
  };
}

/** The transfers of a request follow from the rest of its receipt, so they are not written down again. */
export function isOfRequest(kind: ReceiptKind): boolean {
  return kind === 'usage' || kind === 'void';
}

function readTransfers(body: JsonObject): Receipt['transfers'] {
  return list(body, 'transfers').map((transfer) => ({
    transferId: text(transfer, 'transfer_id'),
    kind: text(transfer, 'kind') as TransferKind,
    debitAccount: text(transfer, 'debit_account'),
    creditAccount: text(transfer, 'credit_account'),
    amountNanoUsd: nanoUsd(integer(transfer, 'amount_nano_usd')),
  }));
}

function text(object: JsonObject, key: string): string {
  const value = asString(object[key]);
  if (value === undefined) throw new TypeError(`receipt field ${key} is not text`);
  return value;
}

function integer(object: JsonObject, key: string): number {
  const value = asNumber(object[key]);
  if (value === undefined) throw new TypeError(`receipt field ${key} is not a number`);
  return value;
}

function list(object: JsonObject, key: string): readonly JsonObject[] {
  const values: readonly JsonValue[] | undefined = asArray(object[key]);
  if (!values) throw new TypeError(`receipt field ${key} is not a list`);
  return values.map((value) => {
    const entry = asObject(value);
    if (!entry) throw new TypeError(`receipt field ${key} holds something else`);
    return entry;
  });
}
