/**
 * A simulated upstream: log-normal time to first content, slowdown past its slots, token-bucket
 * 429s with `retry-after` in whole seconds, a prompt cache, and scripted faults.
 */

import type { Random } from '#std';

export type FaultKind =
  /** Connections refused at once. */
  | 'down'
  /** Accepts and never answers. */
  | 'hang'
  /** Answers 5xx with probability `amount`. */
  | 'error'
  /** Everything takes `amount` times as long. */
  | 'slow';

export type Fault = {
  readonly kind: FaultKind;
  readonly fromMs: number;
  readonly toMs: number;
  readonly amount?: number;
};

export type VendorSpec = {
  readonly id: string;
  readonly firstContentMs: number;
  readonly sigma: number;
  readonly slots: number;
  readonly interTokenMs: number;
  readonly prefillMsPerToken: number;
  readonly tokensPerMinute: number;
  readonly requestsPerMinute: number;
  readonly inputNanoUsdPerMillion: number;
  readonly outputNanoUsdPerMillion: number;
  readonly sendsHeaders: boolean;
  /** What the operator wrote down, as a multiple of the truth; `undefined`: nothing. */
  readonly configuredFactor: number | undefined;
  readonly faults: readonly Fault[];
};

/** One request of the workload. */
export type SimulatedRequest = {
  readonly id: number;
  readonly userId: string;
  readonly sessionKey: string | undefined;
  /** Tokens of the prompt that an earlier turn of the session had too. */
  readonly prefixTokens: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly outputTokensMaximum: number;
  readonly isLong: boolean;
};

export type Answer =
  | { readonly kind: 'connect'; readonly afterMs: number }
  | { readonly kind: 'never' }
  | { readonly kind: 'server-error'; readonly afterMs: number }
  | { readonly kind: 'rate-limited'; readonly afterMs: number; readonly retryAfterMs: number }
  | {
      readonly kind: 'content';
      readonly firstContentMs: number;
      readonly durationMs: number;
      readonly isCacheHit: boolean;
      readonly costNanoUsd: number;
    };

const cacheTtlMs = 300_000;
const cachedPriceShare = 0.1;

export class Vendor {
  readonly spec: VendorSpec;
  active = 0;
  tokenLevel: number;
  requestLevel: number;
  readonly #random: Random;
  #refilledAtMs = 0;
  readonly #cache = new Map<string, { tokens: number; expiresAtMs: number }>();

  /** @param initialLevel share of the buckets that is full at the start */
  constructor(spec: VendorSpec, random: Random, initialLevel: number) {
    this.spec = spec;
    this.#random = random;
    this.tokenLevel = spec.tokensPerMinute * initialLevel;
    this.requestLevel = spec.requestsPerMinute * initialLevel;
  }

  #refill(nowMs: number): void {
    const minutes = (nowMs - this.#refilledAtMs) / 60_000;
    this.#refilledAtMs = nowMs;
    const { tokensPerMinute, requestsPerMinute } = this.spec;
    this.tokenLevel = Math.min(tokensPerMinute, this.tokenLevel + minutes * tokensPerMinute);
    this.requestLevel = Math.min(
      requestsPerMinute,
      this.requestLevel + minutes * requestsPerMinute,
    );
  }

  fault(kind: FaultKind, nowMs: number): Fault | undefined {
    for (const fault of this.spec.faults) {
      if (fault.kind === kind && nowMs >= fault.fromMs && nowMs < fault.toMs) return fault;
    }
    return undefined;
  }

  receive(request: SimulatedRequest, nowMs: number): Answer {
    if (this.fault('down', nowMs) !== undefined) return { kind: 'connect', afterMs: 10 };
    if (this.fault('hang', nowMs) !== undefined) return { kind: 'never' };
    const refused = this.#admit(request, nowMs);
    if (refused !== undefined) return refused;
    const error = this.fault('error', nowMs);
    if (error !== undefined && this.#random() < (error.amount ?? 1)) {
      return { kind: 'server-error', afterMs: 40 + 80 * this.#random() };
    }
    return this.#serve(request, nowMs);
  }

  #admit(request: SimulatedRequest, nowMs: number): Answer | undefined {
    this.#refill(nowMs);
    const { tokensPerMinute, requestsPerMinute } = this.spec;
    const need = request.inputTokens + request.outputTokensMaximum;
    const tokensMs = ((need - this.tokenLevel) / tokensPerMinute) * 60_000;
    const requestsMs = ((1 - this.requestLevel) / requestsPerMinute) * 60_000;
    const waitMs = Math.max(tokensMs, requestsMs);
    if (waitMs > 1e-6) {
      const retryAfterMs = Math.max(1, Math.ceil(waitMs / 1_000)) * 1_000;
      return { kind: 'rate-limited', afterMs: 40, retryAfterMs };
    }
    this.tokenLevel -= need;
    this.requestLevel -= 1;
    return undefined;
  }

  #serve(request: SimulatedRequest, nowMs: number): Answer {
    const { spec } = this;
    const cached = this.#cached(request, nowMs);
    const load = this.active / spec.slots;
    const slow = this.fault('slow', nowMs)?.amount ?? 1;
    const factor = slow * (load > 0.8 ? 1 + 2 * (load - 0.8) : 1);
    const base = spec.firstContentMs * Math.exp(spec.sigma * this.#gaussian());
    const prefillMs = (request.inputTokens - cached) * spec.prefillMsPerToken;
    const input = request.inputTokens - cached + cached * cachedPriceShare;
    return {
      kind: 'content',
      firstContentMs: (base + prefillMs) * factor,
      durationMs: request.outputTokens * spec.interTokenMs * factor,
      isCacheHit: cached > 0,
      costNanoUsd:
        (input * spec.inputNanoUsdPerMillion +
          request.outputTokens * spec.outputNanoUsdPerMillion) /
        1_000_000,
    };
  }

  #cached(request: SimulatedRequest, nowMs: number): number {
    const key = request.sessionKey;
    if (key === undefined) return 0;
    const entry = this.#cache.get(key);
    const isAlive = entry !== undefined && entry.expiresAtMs > nowMs;
    const tokens = isAlive ? Math.min(entry.tokens, request.prefixTokens) : 0;
    this.#cache.set(key, { tokens: request.inputTokens, expiresAtMs: nowMs + cacheTtlMs });
    return tokens;
  }

  #gaussian(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.#random()));
    return radius * Math.cos(2 * Math.PI * this.#random());
  }
}
