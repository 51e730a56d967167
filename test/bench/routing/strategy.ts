/** What the simulated gateway asks of a balancing strategy. */

import type { Random } from '#std';
import type { FailureKind } from '#routing';
import type { SimulatedRequest, VendorSpec } from './vendor.ts';

export type Decision =
  | {
      readonly kind: 'attempt';
      readonly vendor: number;
      readonly timeoutMs: number;
      readonly recheckMs?: number;
    }
  | { readonly kind: 'wait'; readonly delayMs: number }
  | { readonly kind: 'give-up' };

export type SimulatedFailure = {
  readonly kind: Extract<
    FailureKind,
    'connect' | 'server-error' | 'rate-limited' | 'timeout-content'
  >;
  readonly retryAfterMs?: number;
};

/** Levels of the vendor at the moment the request was admitted, as its headers tell them. */
export type HeaderLevels = {
  readonly tokensLimit: number;
  readonly tokensRemaining: number;
  readonly requestsLimit: number;
  readonly requestsRemaining: number;
};

/** The balancing of one request. */
export type Course = {
  next(failure: SimulatedFailure | undefined): Decision;
  sent(): void;
  headers(levels: HeaderLevels): void;
  /** Asked from `recheckMs` on: leave before the time-out? */
  isLost?(): boolean;
  firstContent(): void;
  finished(outputTokens: number): void;
  /** The client left. */
  close(): void;
};

export type Strategy = { begin(request: SimulatedRequest): Course };

export type StrategyInput = {
  readonly vendors: readonly VendorSpec[];
  readonly nowMs: () => number;
  readonly random: Random;
  readonly deadlineMs: number;
};

export type MakeStrategy = (input: StrategyInput) => Strategy;
