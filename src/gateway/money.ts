/**
 * Steps 7 and 13: the hold before anything is sent, and its settlement before the last byte leaves.
 * One object a request; the ledger makes every step durable and safe to repeat.
 */

import type { Principal } from '#access';
import { fail, gatewayError, GatewayFailure, type Bill, type Usage } from '#canonical';
import { type AttemptOutcome, type BudgetScope, type InsufficientBalance, type Receipt, type UsageSource } from '#ledger';
import { estimateGeneratedTokens, rate } from '#metering';
import { StoreUnavailableError } from '#store';
import { formatUsd, nanoUsd, zeroNanoUsd, type JsonObject, type NanoUsd } from '#std';
import { duplicateFailure, type Idempotency } from './idempotency.ts';
import type { Services } from './services.ts';
import { affordableOutput, holdSize, type HoldSize, type Route, type Target } from './target.ts';

/** Life of a hold: longer than any request; the sweep ends what a lost process left. */
const holdLifeMs = 20 * 60_000;

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
  #closed = false;
  /** Set when the hold pays for less output than was asked for. */
  readonly outputTokensMax: number | undefined;
  /** The balance ended while the answer was streaming: it has to stop. */
  exhausted = false;

  private constructor(services: Services, requestId: string, target: Target, size: HoldSize, scopes: readonly BudgetScope[], cap: NanoUsd | undefined, held: NanoUsd) {
    this.#services = services;
    this.#requestId = requestId;
    this.#target = target;
    this.#size = size;
    this.#scopes = scopes;
    this.#cap = cap;
    this.#held = held;
    this.#heldOutputTokens = held >= size.amount ? size.outputTokens : affordableOutput(target, held);
    const short = held < size.amount;
    this.outputTokensMax = short ? Math.max(1, this.#heldOutputTokens) : undefined;
  }

  /** Holds the bound, or as much as there is. Throws GatewayFailure 402 when not even a short answer is affordable. */
  static async reserve(services: Services, principal: Principal, target: Target, request: { readonly requestId: string; readonly stream: boolean; readonly cap: NanoUsd | undefined; readonly attemptId: string; readonly route: Route; readonly context: JsonObject; readonly idempotency?: Idempotency | undefined }): Promise<Funds> {
    const size = holdSize(target, request.stream);
    const amount = request.cap === undefined ? size.amount : nanoUsd(Math.min(size.amount, request.cap));
    const scopes = budgetScopes(principal);
    const lowers = principal.limits.when_short !== 'refuse';
    const { route, attemptId, requestId } = request;
    const result = await durable(services.ledger.reserve({
      requestId,
      walletId: principal.walletId,
      amountNanoUsd: amount,
      ...(lowers ? { minimumNanoUsd: nanoUsd(Math.min(size.minimum, amount)) } : {}),
      scopes,
      attempt: intent(route, attemptId),
      expiresAtMs: services.clock.now() + holdLifeMs,
      context: request.context,
      ...(request.idempotency ? { idempotency: request.idempotency } : {}),
    }));
    if (!result.ok) throw refusal(result);
    return new Funds(services, requestId, target, size, scopes, request.cap, result.hold.amountNanoUsd);
  }

  /** Records a further upstream call before it is sent. */
  async attempt(route: Route, attemptId: string): Promise<void> {
    const result = await durable(this.#services.ledger.attempt(this.#requestId, intent(route, attemptId)));
    if (!result.ok) fail('internal_error', 'The request was closed while it was running.');
  }

  /**
   * Keeps the hold ahead of a growing answer. Never awaited by the stream: when three quarters of the
   * held output are generated the next slice is asked for; a refusal sets {@link Funds.exhausted}.
   */
  keepAhead(characters: number): void {
    if (!this.#size.sliced || this.#growing || this.exhausted || this.#closed) return;
    const generated = estimateGeneratedTokens(characters);
    if (generated * 4 < this.#heldOutputTokens * 3) return;
    if (this.#heldOutputTokens >= this.#target.outputTokensMax) {
      this.exhausted = this.outputTokensMax !== undefined && generated >= this.#heldOutputTokens;
      return;
    }
    this.#growing = true;
    void this.#grow(generated);
  }

  async #grow(generated: number): Promise<void> {
    try {
      const step = this.#sliceCost();
      const room = this.#cap === undefined ? step : nanoUsd(Math.min(step, Math.max(0, this.#cap - this.#held)));
      this.#sequence += 1;
      const result = room === 0 ? undefined : await this.#services.ledger.extend({ requestId: this.#requestId, sequence: this.#sequence, amountNanoUsd: room, minimumNanoUsd: nanoUsd(1), scopes: this.#scopes });
      if (result?.ok) {
        this.#held = result.hold.amountNanoUsd;
        this.#heldOutputTokens = affordableOutput(this.#target, this.#held);
        this.exhausted = this.#heldOutputTokens <= generated;
      } else this.exhausted = true;
    } catch (error) {
      // The stream goes on within what is held; the next slice will be asked for again.
      this.#services.log('warning', 'hold.extend_failed', { request_id: this.#requestId, error: String(error) });
    } finally {
      this.#growing = false;
    }
  }

  #sliceCost(): NanoUsd {
    return nanoUsd(Math.max(1, this.#size.amount - Math.min(this.#size.minimum, this.#size.amount - 1)));
  }

  /** Rates and settles. The bill is durable when this resolves. */
  async settle(ending: Ending): Promise<{ readonly bill: Bill; readonly receipt: Receipt }> {
    this.#closed = true;
    const { route, usage, empty } = ending;
    const rated = rate(route.price, usage);
    const cost = rate({ ...route.price, factorMillionths: 1_000_000 }, usage).amountNanoUsd;
    const result = await durable(this.#services.ledger.settle({
      requestId: this.#requestId,
      chargeNanoUsd: empty ? zeroNanoUsd : rated.amountNanoUsd,
      attempts: [...ending.failedAttempts, { attemptId: ending.attemptId, outcome: ending.outcome, costNanoUsd: cost }],
      postedAttemptId: ending.attemptId,
      usage: usageJson(usage),
      usageSource: ending.usageSource,
      priceVersion: route.price.version,
      formula: rated.formula,
      lines: rated.lines,
      ...(empty && cost > 0 ? { losses: [{ reason: 'goodwill' as const, amountNanoUsd: cost }] } : {}),
      detail: { ...ending.detail, price_factor_millionths: route.price.factorMillionths, ...(empty ? { insurance: 'empty answer' } : {}) },
    }));
    if (!result.ok) fail('internal_error', 'The request was closed before it could be settled.');
    const { receipt } = result;
    return { bill: { costNanoUsd: receipt.chargeNanoUsd, receiptId: receipt.receiptId }, receipt };
  }

  /** Nothing was delivered and nothing is charged. */
  async release(reason: string, attempts: readonly AttemptOutcome[]): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#services.ledger.void({ requestId: this.#requestId, reason, attempts });
  }
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

function budgetScopes(principal: Principal): readonly BudgetScope[] {
  return (principal.limits.budgets ?? []).map((budget) => ({
    kind: 'key',
    id: principal.keyId,
    window: budget.window,
    limitNanoUsd: nanoUsd(budget.limit_nano_usd),
  }));
}

function refusal(result: Exclude<Awaited<ReturnType<Services['ledger']['reserve']>>, { ok: true }>): GatewayFailure {
  switch (result.error) {
    case 'insufficient_balance':
    case 'budget_exceeded':
      return new GatewayFailure(shortage(result));
    case 'idempotency_duplicate':
      return duplicateFailure(result.state, result.receiptId);
    case 'idempotency_mismatch':
      return new GatewayFailure(gatewayError('idempotency_mismatch', 'This Idempotency-Key was used with other parameters.'));
    case 'conflict':
      return new GatewayFailure(gatewayError('internal_error', 'The request id was used twice.'));
  }
}

function shortage(result: InsufficientBalance) {
  const available = formatUsd(result.availableNanoUsd);
  const required = formatUsd(result.requiredNanoUsd);
  const details = { available_usd: available, required_usd: required };
  if (result.error === 'budget_exceeded') {
    const scope = result.scope ? `${result.scope.window} budget of this ${result.scope.kind}` : 'budget';
    return gatewayError('budget_exceeded', `The ${scope} is used up: ${available} USD left, ${required} USD needed.`, { details });
  }
  return gatewayError('insufficient_balance', `The balance is too low: ${available} USD available, ${required} USD needed. Top up the wallet, or lower max_tokens.`, { details });
}

/** A full disk or a lost database is a clean 503: nothing was sent, nothing is charged. */
async function durable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    throw new GatewayFailure(gatewayError('storage_unavailable', 'The ledger cannot be written; nothing was charged.', { retryAfterMs: 5_000 }), error);
  }
}

function usageJson(usage: Usage): JsonObject {
  const { raw: _raw, ...buckets } = usage;
  return Object.fromEntries(Object.entries(buckets).filter(([, value]) => value !== undefined)) as JsonObject;
}

/** What a stream without usage is charged by: the estimate, marked as such on the receipt. */
export function estimatedUsage(target: Target, characters: number, known: Usage | undefined): Usage {
  if (known?.outputTokens !== undefined) return { ...known, outputTokens: Math.max(known.outputTokens, estimateGeneratedTokens(characters)) };
  return { inputTokens: target.inputTokens, ...known, outputTokens: estimateGeneratedTokens(characters) };
}
