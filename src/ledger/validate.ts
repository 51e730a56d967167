/** Arguments that break these rules are bugs of the caller: they throw before anything is queued. */

import type { JsonObject, NanoUsd } from '#std';
import type {
  AdjustRequest,
  AttemptIntent,
  AttemptOutcome,
  BudgetScope,
  CreditRequest,
  ExtendRequest,
  LossEntry,
  RefundRequest,
  ReserveRequest,
  Settlement,
  SuspenseRequest,
  VoidRequest,
} from './contract.ts';
import { idPattern } from './contract.ts';

const sourcePattern = /^[a-z0-9:_-]{1,64}$/;
const contextLengthMax = 4096;
const idempotencyKeyLengthMax = 255;
const scopesMax = 16;

function checkId(name: string, id: string): void {
  if (!idPattern.test(id))
    throw new RangeError(`${name} is not an id: ${JSON.stringify(id).slice(0, 80)}`);
}

function checkAmount(name: string, amount: NanoUsd, minimum: 0 | 1): void {
  if (!Number.isSafeInteger(amount) || amount < minimum)
    throw new RangeError(`${name} must be an integer of at least ${minimum}: ${amount}`);
}

/** More than the JSON text of the object has, told without writing it where its values are plain. */
function lengthBound(object: JsonObject): number {
  let length = 2;
  for (const key in object) {
    const value = object[key];
    length += key.length * 6 + 4;
    if (typeof value === 'string') length += value.length * 6 + 2;
    else length += typeof value === 'object' ? JSON.stringify(value).length : 32;
  }
  return length;
}

function checkSize(name: string, object: JsonObject | undefined): void {
  if (!object || lengthBound(object) <= contextLengthMax) return;
  if (JSON.stringify(object).length > contextLengthMax)
    throw new RangeError(`${name} is larger than ${contextLengthMax} characters`);
}

function checkScopes(scopes: readonly BudgetScope[]): void {
  if (scopes.length > scopesMax) throw new RangeError(`more than ${scopesMax} scopes`);
  for (const scope of scopes) {
    checkId('scope kind', scope.kind);
    checkId('scope id', scope.id);
    if (scope.limitNanoUsd !== null) checkAmount('scope limit', scope.limitNanoUsd, 0);
  }
  if (scopes.length === 1) return;
  const seen = new Set<string>();
  for (const scope of scopes) {
    const key = `${scope.kind} ${scope.window} ${scope.id}`;
    if (seen.has(key)) throw new RangeError(`the scope ${key} is named twice`);
    seen.add(key);
  }
}

function checkOutcomes(outcomes: readonly AttemptOutcome[], losses: readonly LossEntry[]): void {
  for (const outcome of outcomes) {
    checkId('attemptId', outcome.attemptId);
    checkAmount('costNanoUsd', outcome.costNanoUsd, 0);
  }
  for (const loss of losses) checkAmount('loss', loss.amountNanoUsd, 0);
}

export function checkIntent(requestId: string, intent: AttemptIntent): void {
  checkId('requestId', requestId);
  checkSent(intent);
}

function checkSent(intent: AttemptIntent): void {
  checkId('attemptId', intent.attemptId);
  checkId('channelId', intent.channelId);
  checkId('providerId', intent.providerId);
  checkAmount('boundNanoUsd', intent.boundNanoUsd, 0);
}

export function checkReserve(request: ReserveRequest): void {
  checkId('requestId', request.requestId);
  checkId('walletId', request.walletId);
  checkAmount('amountNanoUsd', request.amountNanoUsd, 0);
  if (request.minimumNanoUsd !== undefined)
    checkAmount('minimumNanoUsd', request.minimumNanoUsd, 0);
  checkScopes(request.scopes);
  checkSize('context', request.context);
  if (request.attempt) checkSent(request.attempt);
  const { idempotency } = request;
  if (idempotency && (idempotency.key === '' || idempotency.key.length > idempotencyKeyLengthMax)) {
    throw new RangeError(`an idempotency key has 1 to ${idempotencyKeyLengthMax} characters`);
  }
  if (!Number.isSafeInteger(request.expiresAtMs))
    throw new RangeError('expiresAtMs must be whole milliseconds');
}

export function checkExtend(request: ExtendRequest): void {
  checkId('requestId', request.requestId);
  checkAmount('amountNanoUsd', request.amountNanoUsd, 0);
  if (request.minimumNanoUsd !== undefined)
    checkAmount('minimumNanoUsd', request.minimumNanoUsd, 0);
  checkScopes(request.scopes);
}

export function checkSettlement(settlement: Settlement): void {
  checkId('requestId', settlement.requestId);
  checkAmount('chargeNanoUsd', settlement.chargeNanoUsd, 0);
  checkOutcomes(settlement.attempts, settlement.losses ?? []);
}

export function checkVoid(request: VoidRequest): void {
  checkId('requestId', request.requestId);
  checkOutcomes(request.attempts ?? [], request.losses ?? []);
}

export function checkCredit(request: CreditRequest): void {
  checkId('walletId', request.walletId);
  if (!sourcePattern.test(request.source))
    throw new RangeError('a source has lower case letters, digits, `:`, `_` and `-`');
  checkId('eventId', request.eventId);
  checkAmount('amountNanoUsd', request.amountNanoUsd, 1);
}

export function checkRefund(request: RefundRequest): void {
  checkId('walletId', request.walletId);
  checkId('eventId', request.eventId);
  if (request.amountNanoUsd !== undefined) checkAmount('amountNanoUsd', request.amountNanoUsd, 1);
  checkReason(request.actor, request.reason);
}

export function checkAdjust(request: AdjustRequest): void {
  checkId('walletId', request.walletId);
  checkId('eventId', request.eventId);
  if (!Number.isSafeInteger(request.amountNanoUsd) || request.amountNanoUsd === 0)
    throw new RangeError('an adjustment has an amount other than 0');
  checkReason(request.actor, request.reason);
}

export function checkSuspense(request: SuspenseRequest): void {
  checkId('eventId', request.eventId);
  checkId('channelId', request.channelId);
  checkId('providerId', request.providerId);
  if (!Number.isSafeInteger(request.amountNanoUsd) || request.amountNanoUsd === 0)
    throw new RangeError('a suspense entry has an amount other than 0');
  checkReason(request.actor, request.reason);
}

function checkReason(actor: string, reason: string): void {
  if (actor.trim() === '' || reason.trim() === '')
    throw new RangeError('an actor and a reason are mandatory');
}
