/**
 * Steps 7 and 13: the hold before anything is sent, and its settlement before the last byte leaves.
 * One object a request; the ledger makes every step durable and safe to repeat.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { budgetScopes, type Principal } from '#access';
import {
  fail,
  gatewayError,
  GatewayFailure,
  inputTotalTokens,
  outputTotalTokens,
  type Bill,
  type GatewayError,
  type Usage,
} from '#canonical';
import {
  type AttemptOutcome,
  type BudgetScope,
  type InsufficientBalance,
  type LossEntry,
  type UsageSource,
} from '#ledger';
import { estimateGeneratedTokens, rate } from '#metering';
import { StoreUnavailableError } from '#store';
import { storageFailure } from './failure.ts';
import {
  formatUsd,
  nanoUsd,
  parseUsd,
  zeroNanoUsd,
  type JsonObject,
  type JsonValue,
  type NanoUsd,
} from '#std';
import { duplicateFailure, type Idempotency } from './idempotency.ts';
import type { Charged, Services } from './services.ts';
import { affordableOutput, boundAt, holdSize, type HoldSize } from './hold-size.ts';
import type { Route, Target } from './target.ts';

/** How much longer than a request its hold lives; the sweep ends what a lost process left. */
const holdMarginMs = 5 * 60_000;

export type Ending = {
  /** The route whose answer the user got, wholly or in part. */
  readonly route: Route;
  readonly attemptId: string;
  readonly usage: Usage;
  readonly usageSource: UsageSource;
  readonly outcome: AttemptOutcome['outcome'];
  /** Nothing was delivered: the user pays nothing, we bear the cost. */
  readonly empty: boolean;
  readonly failedAttempts: readonly AttemptOutcome[];
  /** What the posted attempt used, where the answer is of several attempts and `usage` that of the whole. */
  readonly ownUsage?: Usage | undefined;
  readonly detail: JsonObject;
};

export class Funds {
  readonly #services: Services;
  readonly #requestId: string;
  readonly #target: Target;
  readonly #size: HoldSize;
  readonly #scopes: readonly BudgetScope[];
  readonly #cap: NanoUsd | undefined;
  #held: NanoUsd;
  #heldOutputTokens: number;
  #sequence = 0;
  #growing = false;
  /** Generated tokens at which to ask for more again, after a refusal. */
  #askAgainAt = 0;
  #closed = false;
  /** Less was held than a first slice costs: there is nothing to grow by. */
  readonly #short: boolean;
  /** Set when wallet, budget or the client's cap pay for less output than was asked for. */
  readonly outputTokensMax: number | undefined;
  /** The balance ended while the answer was streaming: it has to stop. */
  exhausted = false;

  private constructor(
    services: Services,
    requestId: string,
    target: Target,
    size: HoldSize,
    scopes: readonly BudgetScope[],
    cap: NanoUsd | undefined,
    held: NanoUsd,
  ) {
    this.#services = services;
    this.#requestId = requestId;
    this.#target = target;
    this.#size = size;
    this.#scopes = scopes;
    this.#cap = cap;
    this.#held = held;
    this.#heldOutputTokens =
      held >= size.amount ? size.outputTokens : affordableOutput(target, held);
    this.#short = held < size.amount;
    const payable = this.#short
      ? this.#heldOutputTokens
      : cap === undefined
        ? target.outputTokensMax
        : affordableOutput(target, cap);
    this.outputTokensMax =
      payable < target.outputTokensMax
        ? Math.max(1, Math.floor(payable / target.choiceCount))
        : undefined;
  }

  /** Holds the bound, or as much as there is. Throws GatewayFailure 402 when not even a short answer is affordable. */
  static async reserve(
    services: Services,
    principal: Principal,
    target: Target,
    request: {
      readonly requestId: string;
      readonly stream: boolean;
      readonly cap: NanoUsd | undefined;
      readonly attemptId: string;
      readonly route: Route;
      readonly context: JsonObject;
      readonly idempotency?: Idempotency | undefined;
    },
  ): Promise<Funds> {
    const lowers = principal.limits.when_short !== 'refuse';
    const size = holdSize(target, request.stream, !lowers);
    const amount =
      request.cap === undefined ? size.amount : nanoUsd(Math.min(size.amount, request.cap));
    const scopes = budgetScopes(principal.keyId, principal.limits);
    const { route, attemptId, requestId } = request;
    const result = await durable(
      services.ledger.reserve({
        requestId,
        fresh: true,
        walletId: principal.walletId,
        amountNanoUsd: amount,
        ...(lowers ? { minimumNanoUsd: nanoUsd(Math.min(size.minimum, amount)) } : {}),
        scopes,
        attempt: intent(route, attemptId),
        expiresAtMs: services.clock.now() + services.settings.requestMs + holdMarginMs,
        context: request.context,
        ...(request.idempotency ? { idempotency: request.idempotency } : {}),
      }),
    );
    if (!result.ok) throw refusal(result);
    return new Funds(
      services,
      requestId,
      target,
      size,
      scopes,
      request.cap,
      result.hold.amountNanoUsd,
    );
  }

  /** Records a further upstream call before it is sent, and how the one before it ended. */
  async attempt(route: Route, attemptId: string, previous?: AttemptOutcome): Promise<void> {
    const result = await durable(
      this.#services.ledger.attempt(this.#requestId, intent(route, attemptId), previous),
    );
    if (!result.ok) ended();
  }

  /**
   * Keeps the hold ahead of a growing answer. Never awaited by the stream: when three quarters of the
   * held output are generated the next slice is asked for. {@link Funds.exhausted} is set when nothing
   * more is granted and what is held is used up, not before.
   */
  keepAhead(generatedSize: number): void {
    if (!this.#size.sliced || this.exhausted || this.#closed) return;
    const generated = estimateGeneratedTokens(generatedSize);
    const held = this.#heldOutputTokens;
    if (this.#short) {
      // The upstream knows its limit and counts better than we do; this stops one that does not obey.
      this.exhausted = generated > held * 2;
      return;
    }
    const limit =
      this.outputTokensMax === undefined
        ? this.#target.outputTokensMax
        : this.outputTokensMax * this.#target.choiceCount;
    if (generated * 4 < held * 3 || held >= limit || this.#growing) return;
    if (generated < this.#askAgainAt && generated < held) return;
    this.#growing = true;
    void this.#grow(generated);
  }

  async #grow(generated: number): Promise<void> {
    try {
      if (!(await this.#extend(this.#sliceCost()))) {
        this.#askAgainAt = generated + Math.max(16, Math.floor(this.#heldOutputTokens / 20));
      }
      this.exhausted = this.#heldOutputTokens <= generated;
    } catch (error) {
      // The stream goes on within what is held; the next slice will be asked for again.
      this.#services.log('warning', 'hold.extend_failed', {
        request_id: this.#requestId,
        error: String(error),
      });
    } finally {
      this.#growing = false;
    }
  }

  /** Holds up to `amount` more, as far as wallet, budgets and the client's cap allow. */
  async #extend(amount: NanoUsd): Promise<boolean> {
    const room =
      this.#cap === undefined
        ? amount
        : nanoUsd(Math.min(amount, Math.max(0, this.#cap - this.#held)));
    if (room <= 0) return false;
    this.#sequence += 1;
    const result = await this.#services.ledger.extend({
      requestId: this.#requestId,
      sequence: this.#sequence,
      amountNanoUsd: room,
      minimumNanoUsd: nanoUsd(1),
      scopes: this.#scopes,
    });
    if (!result.ok) return false;
    this.#held = result.hold.amountNanoUsd;
    this.#heldOutputTokens = affordableOutput(this.#target, this.#held);
    return true;
  }

  #sliceCost(): NanoUsd {
    return nanoUsd(
      Math.max(1, this.#size.amount - Math.min(this.#size.minimum, this.#size.amount - 1)),
    );
  }

  /** A slice may be smaller than what was generated unseen: the rest is held now, within the request's own bound. */
  async #cover(rated: NanoUsd): Promise<void> {
    if (rated <= this.#held || !this.#size.sliced || this.#short) return;
    const most = Math.min(rated, boundAt(this.#target, this.#target.outputTokensMax));
    if (most > this.#held) await this.#extend(nanoUsd(most - this.#held));
  }

  /** What the vendor of the last attempt takes; the list price is what most users pay too. */
  #ownCost({ route, usage, ownUsage }: Ending, rated: NanoUsd): NanoUsd {
    const isRated = !ownUsage && route.price.factorMillionths === listPriceFactor;
    return isRated ? rated : costOf(route, ownUsage ?? usage);
  }

  /** Rates and settles. The bill is durable when this resolves. */
  async settle(ending: Ending): Promise<{ readonly bill: Bill; readonly receipt: Charged }> {
    this.#closed = true;
    try {
      return await this.#settle(ending);
    } catch (error) {
      // By a fault of ours nothing was booked: who gives the request up can still free the hold.
      if (!(error instanceof GatewayFailure)) this.#closed = false;
      throw error;
    }
  }

  async #settle(ending: Ending): Promise<{ readonly bill: Bill; readonly receipt: Charged }> {
    const { route, usage, empty } = ending;
    const rated = rate(route.price, usage);
    const cost = this.#ownCost(ending, rated.amountNanoUsd);
    const paid = ending.ownUsage ? nanoUsd(costOf(route, usage) - cost) : zeroNanoUsd;
    if (!empty && rated.amountNanoUsd > this.#held)
      await persistently(() => this.#cover(rated.amountNanoUsd));
    const result = await persistently(() =>
      this.#services.ledger.settle({
        requestId: this.#requestId,
        chargeNanoUsd: empty ? zeroNanoUsd : rated.amountNanoUsd,
        attempts: [
          ...ending.failedAttempts,
          { attemptId: ending.attemptId, outcome: ending.outcome, costNanoUsd: cost },
        ],
        postedAttemptId: ending.attemptId,
        usage: usageJson(usage),
        usageSource: ending.usageSource,
        priceVersion: route.price.version,
        formula: rated.formula,
        lines: rated.lines,
        losses: goodwill(ending.failedAttempts, empty ? cost : nanoUsd(-paid)),
        detail: {
          ...ending.detail,
          price_factor_millionths: route.price.factorMillionths,
          ...(empty ? { insurance: 'empty answer' } : {}),
        },
      }),
    );
    if (!result.ok) ended();
    const { receipt } = result;
    if (receipt.ratedNanoUsd > receipt.holdNanoUsd && !empty && !this.exhausted) {
      this.#services.log('error', 'charge.over_hold', {
        request_id: this.#requestId,
        channel: route.offer.channel.id,
        rated_nano_usd: receipt.ratedNanoUsd,
        hold_nano_usd: receipt.holdNanoUsd,
      });
    }
    return { bill: { costNanoUsd: receipt.chargeNanoUsd, receiptId: receipt.receiptId }, receipt };
  }

  /** Nothing was delivered and nothing is charged. */
  async release(reason: string, attempts: readonly AttemptOutcome[]): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await persistently(() =>
      this.#services.ledger.void({
        requestId: this.#requestId,
        reason,
        attempts,
        losses: goodwill(attempts, zeroNanoUsd),
      }),
    );
  }
}

/** Of the list price, in millionths. */
const listPriceFactor = 1_000_000;

/** What an answer costs us: the list price, whatever the user's group pays. */
export function costOf(route: Route, usage: Usage): NanoUsd {
  return rate({ ...route.price, factorMillionths: listPriceFactor }, usage).amountNanoUsd;
}

/** Costs that no user pays: calls that gave nothing, and an empty answer. */
function goodwill(attempts: readonly AttemptOutcome[], more: NanoUsd): readonly LossEntry[] {
  const total = attempts.reduce((sum, attempt) => sum + attempt.costNanoUsd, more as number);
  return total <= 0 ? [] : [{ reason: 'goodwill', amountNanoUsd: nanoUsd(total) }];
}

function intent(route: Route, attemptId: string): Parameters<Services['ledger']['attempt']>[1] {
  const { channel } = route.offer;
  return {
    attemptId,
    channelId: channel.id,
    providerId: channel.provider.id,
    priceVersion: route.price.version,
    boundNanoUsd: route.bound,
    canLookUp: false,
  };
}

function refusal(
  result: Exclude<Awaited<ReturnType<Services['ledger']['reserve']>>, { ok: true }>,
): GatewayFailure {
  switch (result.error) {
    case 'insufficient_balance':
    case 'budget_exceeded':
      return new GatewayFailure(shortage(result));
    case 'idempotency_duplicate':
      return duplicateFailure(result.state, result.receiptId);
    case 'idempotency_mismatch':
      return new GatewayFailure(
        gatewayError(
          'idempotency_mismatch',
          'This Idempotency-Key was used with other parameters.',
        ),
      );
    case 'conflict':
      return new GatewayFailure(gatewayError('internal_error', 'The request id was used twice.'));
  }
}

function shortage(result: InsufficientBalance) {
  const available = formatUsd(result.availableNanoUsd);
  const required = formatUsd(result.requiredNanoUsd);
  const details = { available_usd: available, required_usd: required };
  if (result.error === 'budget_exceeded') {
    const scope = result.scope
      ? `${result.scope.window} budget of this ${result.scope.kind}`
      : 'budget';
    return gatewayError(
      'budget_exceeded',
      `The ${scope} is used up: ${available} USD left, ${required} USD needed.`,
      { details },
    );
  }
  return gatewayError(
    'insufficient_balance',
    `The balance is too low: ${available} USD available, ${required} USD needed. Top up the wallet, or lower max_tokens.`,
    { details },
  );
}

/** What a refusal for want of money says was there. */
export function availableOf(error: GatewayError): NanoUsd | undefined {
  if (error.code !== 'insufficient_balance' && error.code !== 'budget_exceeded') return undefined;
  const text = error.details?.['available_usd'];
  return typeof text === 'string' ? parseUsd(text) : undefined;
}

/** Pauses while a database restarts or moves: half a minute in sum. */
const againAfterMs = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000];

/** The end of a hold: the vendor has been paid by then, so it is tried for some seconds. To repeat it is safe. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (let count = 0; ; count += 1) {
    try {
      return await work();
    } catch (error) {
      const isPassing = error instanceof StoreUnavailableError && error.code !== 'store_fenced';
      const waitMs = isPassing ? againAfterMs[count] : undefined;
      if (waitMs === undefined) throw storageFailure(error);
      await pause(waitMs);
    }
  }
}

/** Its hold is gone: this process stood still or had no database for so long that others took it for dead. */
function ended(): never {
  const words =
    'This server was out of reach of its database for too long. The request was ended, and nothing is charged.';
  fail('storage_unavailable', words, { retryAfterMs: 5_000 });
}

/** A full disk or a lost database is a clean 503: nothing was sent, nothing is charged. */
async function durable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw storageFailure(error);
  }
}

function usageJson(usage: Usage): JsonObject {
  const buckets: Record<string, JsonValue> = {};
  for (const key in usage) {
    const value = usage[key as keyof Usage];
    if (value !== undefined && key !== 'raw') buckets[key] = value;
  }
  return buckets;
}

export type BilledUsage = { readonly usage: Usage; readonly source: UsageSource };

/**
 * What an answer is charged by. Zero is a value, missing is not zero: a count that the vendor left out
 * is estimated from what was generated, and the receipt says so. Before the answer was complete
 * (`final` false) the vendor's counts are only a lower bound.
 */
export function billedUsage(
  target: Pick<Target, 'inputTokens'>,
  generatedSize: () => number,
  known: Usage | undefined,
  final: boolean,
): BilledUsage {
  const outputSaid = known && outputTotalTokens(known);
  const inputComplete = known?.inputTokens !== undefined;
  const outputComplete =
    final && (known?.outputTokens !== undefined || (outputSaid ?? 0) > 0 || generatedSize() === 0);
  if (known && inputComplete && outputComplete) return { usage: known, source: 'provider' };
  const inputTokens =
    known?.inputTokens ??
    Math.max(0, target.inputTokens - ((known && inputTotalTokens(known)) ?? 0));
  const elsewhere = (outputSaid ?? 0) - (known?.outputTokens ?? 0);
  const estimated = Math.max(0, estimateGeneratedTokens(generatedSize()) - elsewhere);
  const outputTokens = outputComplete
    ? known?.outputTokens
    : Math.max(known?.outputTokens ?? 0, estimated);
  return {
    usage: { ...known, inputTokens, ...(outputTokens === undefined ? {} : { outputTokens }) },
    source: 'estimated',
  };
}
