/** Step 14: what a request did, kept while it runs and written as one row when it ends. */

import type { Principal, RateHeaders } from '#access';
import {
  inputTotalTokens,
  outputTotalTokens,
  type GatewayError,
  type Loss,
  type Usage,
} from '#canonical';
import type { AttemptOutcome } from '#ledger';
import type { DistantPlan } from '#routing';
import { zeroNanoUsd, type JsonObject, type NanoUsd } from '#std';
import { boundedExplanation } from './explanation.ts';
import type { Exchange } from './http/index.ts';
import type { Charged, Services } from './services.ts';
import type { Route } from './target.ts';

export type AttemptTrail = {
  readonly attemptId: string;
  readonly channelId: string;
  readonly upstreamModel: string;
  readonly startedAtMs: number;
  status?: number;
  firstContentMs?: number;
  endedMs?: number;
  outcome: AttemptOutcome['outcome'];
  /** What the vendor bills for it although nobody got an answer. */
  costNanoUsd?: NanoUsd;
  error?: string;
};

function outcomeOf({ attemptId, outcome, costNanoUsd }: AttemptTrail): AttemptOutcome {
  return { attemptId, outcome, costNanoUsd: costNanoUsd ?? zeroNanoUsd };
}

/** What a client wrote may be as long as a body, and a record is kept for months; PostgreSQL stores no zero characters. */
function clipped(text: string): string {
  const clean = text.replaceAll('\0', '\ufffd');
  return clean.length > recordedTextMax ? `${clean.slice(0, recordedTextMax)}…` : clean;
}

const recordedTextMax = 200;

export class Trail {
  readonly requestId: string;
  readonly dialect: string;
  readonly operation: string;
  readonly #services: Services;
  readonly #startedAtMs: number;
  attempts: readonly AttemptTrail[] = [];
  principal: Principal | undefined;
  model = '';
  streamed = false;
  plan: DistantPlan | undefined;
  usage: Usage | undefined;
  receipt: Charged | undefined;
  losses: readonly Loss[] = [];
  error: GatewayError | undefined;
  status = 200;
  firstContentMs: number | undefined;
  clientGone = false;
  /** What is left of the key's own limits, for the client. */
  rateHeaders: RateHeaders = {};

  constructor(services: Services, exchange: Exchange, dialect: string, operation: string) {
    this.#services = services;
    this.requestId = exchange.requestId;
    this.dialect = dialect;
    this.operation = operation;
    this.#startedAtMs = services.clock.monotonic();
    services.metrics.begun();
  }

  /** Input and output of the answer, for the key's own limits; an attempt that failed has used none. */
  tokensUsed(): number {
    return this.usage
      ? (inputTotalTokens(this.usage) ?? 0) + (outputTotalTokens(this.usage) ?? 0)
      : 0;
  }

  elapsedMs(): number {
    return this.#services.clock.monotonic() - this.#startedAtMs;
  }

  /** How the request ended. */
  failed(error: GatewayError): void {
    this.error = error;
    this.status = error.status;
  }

  begin(route: Route, attemptId: string): AttemptTrail {
    const attempt: AttemptTrail = {
      attemptId,
      channelId: route.offer.channel.id,
      upstreamModel: route.offer.name,
      startedAtMs: this.elapsedMs(),
      outcome: 'not_sent',
    };
    this.attempts = [...this.attempts, attempt];
    return attempt;
  }

  /** All attempts but the given one, as the ledger wants them: most failed ones cost nothing. */
  failedAttempts(except: string): readonly AttemptOutcome[] {
    return this.attempts.filter((attempt) => attempt.attemptId !== except).map(outcomeOf);
  }

  /** How the latest attempt ended, for the ledger. */
  get previous(): AttemptOutcome | undefined {
    const last = this.attempts.at(-1);
    return last && outcomeOf(last);
  }

  /** Rides in the next transaction of the store; a failure is logged and never reaches the client. */
  write(): void {
    this.#measure();
    if (!this.principal) return;
    this.#append(this.principal).catch((error: unknown) =>
      this.#services.log('error', 'record.failed', {
        request_id: this.requestId,
        error: String(error),
      }),
    );
  }

  async #append(principal: Principal): Promise<void> {
    const last = this.attempts.at(-1);
    const createdAtMs = Math.round(this.#services.clock.now() - this.elapsedMs());
    const durationMs = Math.round(this.elapsedMs());
    await this.#services.store.requests.append({
      requestId: this.requestId,
      walletId: principal.walletId,
      keyId: principal.keyId,
      projectId: principal.projectId,
      createdAtMs,
      durationMs,
      firstContentMs: this.firstContentMs === undefined ? null : Math.round(this.firstContentMs),
      status: this.status,
      errorCode: this.error?.code ?? null,
      dialect: this.dialect,
      operation: this.operation,
      model: clipped(this.model),
      channelId: last?.channelId ?? null,
      chargeNanoUsd: this.receipt?.chargeNanoUsd ?? zeroNanoUsd,
      inputTokens: (this.usage && inputTotalTokens(this.usage)) ?? 0,
      outputTokens: (this.usage && outputTotalTokens(this.usage)) ?? 0,
      streamed: this.streamed,
      detail: await this.#detail(),
    });
  }

  #measure(): void {
    this.#services.metrics.ended({
      dialect: this.dialect,
      model: this.#services.snapshot().find(this.model)?.id ?? 'unknown',
      status: this.status,
      errorCode: this.error?.code,
      durationMs: this.elapsedMs(),
      firstContentMs: this.firstContentMs,
      attempts: this.attempts,
    });
  }

  async #detail(): Promise<JsonObject> {
    return {
      attempts: this.attempts.map((attempt) => ({
        attempt_id: attempt.attemptId,
        channel: attempt.channelId,
        model: attempt.upstreamModel,
        started_ms: Math.round(attempt.startedAtMs),
        status: attempt.status ?? null,
        first_content_ms:
          attempt.firstContentMs === undefined ? null : Math.round(attempt.firstContentMs),
        ended_ms: attempt.endedMs === undefined ? null : Math.round(attempt.endedMs),
        outcome: attempt.outcome,
        error: attempt.error ?? null,
      })),
      ...(this.losses.length > 0
        ? {
            losses: this.losses
              .slice(0, 20)
              .map(({ path, reason }) => ({ path: clipped(path), reason: clipped(reason) })),
          }
        : {}),
      ...(this.clientGone ? { client_gone: true } : {}),
      ...(this.plan ? { routing: boundedExplanation(await this.plan.explain()) } : {}),
    };
  }
}
