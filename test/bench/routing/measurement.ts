/** What is counted in a run, and how runs of several seeds add up. */

import type { Scenario } from './scenarios.ts';
import type { Answer, SimulatedRequest } from './vendor.ts';

export type Totals = {
  requests: number;
  successes: number;
  rateLimited: number;
  attempts: number;
  costNanoUsd: number;
  tokensOffered: number;
  tokensServed: number;
  longRequests: number;
  longSuccesses: number;
  cacheable: number;
  cacheHits: number;
  /** Attempts in the windows that begin 10 s into a slow-down, and those of them at the slow vendor. */
  slowWindowAttempts: number;
  slowVendorAttempts: number;
  /** Longest time from the end of a fault to the first content of that vendor. */
  recoveryMaximumMs: number;
};

const noTotals: Totals = {
  requests: 0,
  successes: 0,
  rateLimited: 0,
  attempts: 0,
  costNanoUsd: 0,
  tokensOffered: 0,
  tokensServed: 0,
  longRequests: 0,
  longSuccesses: 0,
  cacheable: 0,
  cacheHits: 0,
  slowWindowAttempts: 0,
  slowVendorAttempts: 0,
  recoveryMaximumMs: 0,
};

const slowGraceMs = 10_000;

type Window = { readonly vendor: number; readonly fromMs: number; readonly toMs: number };

export class Measurement {
  readonly totals: Totals = { ...noTotals };
  readonly firstContentMs: number[] = [];
  readonly #warmUpMs: number;
  readonly #slow: readonly Window[];
  readonly #healed: (Window & { seen: boolean })[];

  constructor(scenario: Scenario) {
    this.#warmUpMs = scenario.warmUpMs;
    const windows = scenario.vendors.flatMap((spec, vendor) =>
      spec.faults.map(({ kind, fromMs, toMs }) => ({ kind, vendor, fromMs, toMs })),
    );
    this.#slow = windows
      .filter(({ kind, fromMs, toMs }) => kind === 'slow' && toMs > fromMs + slowGraceMs)
      .map((window) => ({ ...window, fromMs: window.fromMs + slowGraceMs }));
    this.#healed = windows
      .filter(({ toMs }) => toMs + 60_000 <= scenario.durationMs)
      .map((window) => ({ ...window, seen: false }));
  }

  #isMeasured(arrivedAtMs: number): boolean {
    return arrivedAtMs >= this.#warmUpMs;
  }

  arrive(request: SimulatedRequest, nowMs: number): void {
    if (!this.#isMeasured(nowMs)) return;
    this.totals.requests += 1;
    this.totals.tokensOffered += request.inputTokens + request.outputTokensMaximum;
    if (request.isLong) this.totals.longRequests += 1;
  }

  attempt(vendor: number, arrivedAtMs: number, nowMs: number): void {
    if (this.#isMeasured(arrivedAtMs)) this.totals.attempts += 1;
    for (const window of this.#slow) {
      if (nowMs < window.fromMs || nowMs >= window.toMs) continue;
      this.totals.slowWindowAttempts += 1;
      if (window.vendor === vendor) this.totals.slowVendorAttempts += 1;
    }
  }

  rateLimited(arrivedAtMs: number): void {
    if (this.#isMeasured(arrivedAtMs)) this.totals.rateLimited += 1;
  }

  content(vendor: number, arrivedAtMs: number, nowMs: number): void {
    if (this.#isMeasured(arrivedAtMs)) this.firstContentMs.push(nowMs - arrivedAtMs);
    for (const window of this.#healed) {
      if (window.seen || window.vendor !== vendor || nowMs < window.toMs) continue;
      window.seen = true;
      const tookMs = nowMs - window.toMs;
      if (tookMs > this.totals.recoveryMaximumMs) this.totals.recoveryMaximumMs = tookMs;
    }
  }

  success(
    request: SimulatedRequest,
    answer: Extract<Answer, { kind: 'content' }>,
    arrivedAtMs: number,
  ): void {
    if (!this.#isMeasured(arrivedAtMs)) return;
    const { totals } = this;
    totals.successes += 1;
    totals.costNanoUsd += answer.costNanoUsd;
    totals.tokensServed += request.inputTokens + request.outputTokensMaximum;
    if (request.isLong) totals.longSuccesses += 1;
    if (request.prefixTokens > 0) totals.cacheable += 1;
    if (answer.isCacheHit) totals.cacheHits += 1;
  }

  /** Faults whose vendor never came back count as the whole rest of the run. */
  close(durationMs: number): void {
    for (const window of this.#healed) {
      if (window.seen) continue;
      const tookMs = durationMs - window.toMs;
      if (tookMs > this.totals.recoveryMaximumMs) this.totals.recoveryMaximumMs = tookMs;
    }
  }
}

/** One cell of the table: all seeds of a scenario under a strategy. */
export type Cell = Totals & {
  readonly successPercent: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly rateLimitedPerHundred: number;
  /** Micro-dollars per successful request. */
  readonly costMicroUsd: number;
};

export function summarise(
  all: readonly { totals: Totals; firstContentMs: readonly number[] }[],
): Cell {
  const totals: Totals = { ...noTotals };
  for (const one of all) {
    for (const key of Object.keys(noTotals) as (keyof Totals)[]) {
      totals[key] =
        key === 'recoveryMaximumMs'
          ? Math.max(totals[key], one.totals[key])
          : totals[key] + one.totals[key];
    }
  }
  const sorted = Float64Array.from(all.flatMap((one) => one.firstContentMs)).toSorted();
  return {
    ...totals,
    successPercent: (100 * totals.successes) / totals.requests,
    p50Ms: percentile(sorted, 0.5),
    p95Ms: percentile(sorted, 0.95),
    p99Ms: percentile(sorted, 0.99),
    rateLimitedPerHundred: (100 * totals.rateLimited) / totals.requests,
    costMicroUsd: totals.costNanoUsd / totals.successes / 1_000,
  };
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}
