/** Every default of the algorithm in one place. Times in milliseconds. */

import type { Preset, ServiceClass } from './contract.ts';

/** Exponents of the score: predicted time to first token, and price. */
export type ScoreWeights = { readonly time: number; readonly price: number };

export type RoutingSettings = {
  readonly presets: Readonly<Record<Preset, ScoreWeights>>;
  readonly preset: Preset;
  /** First guess of the time to first content of an unknown lane. */
  readonly firstContentInitialMs: number;
  /** Share of a worse sample that the average takes at once. */
  readonly peakShare: number;
  /** Time constant with which better samples and silence pull the average down. */
  readonly latencyDecayMs: number;
  /** Prefill time assumed per input token when samples of different length are compared. */
  readonly prefillMsPerToken: number;
  readonly errorStep: number;
  readonly errorDecayMs: number;
  /** A lane with a lower error level will rather answer than not: a retry there is free. */
  readonly wellErrorMaximum: number;
  readonly breakerThreshold: number;
  readonly breakerOpenMinimumMs: number;
  readonly breakerOpenMaximumMs: number;
  /** Above this share of open candidates the breakers are not believed. */
  readonly panicShare: number;
  /** A switched-off key is tried this often. */
  readonly offProbeMs: number;
  readonly offMaximumMs: number;
  readonly affinityTtlMs: number;
  readonly affinitySlack: number;
  readonly affinitySessionsMaximum: number;
  /** Lanes this close to the best share new sessions by rendezvous hashing. */
  readonly rendezvousSlack: number;
  readonly concurrencyInitial: number;
  readonly concurrencyFloor: number;
  readonly concurrencyMaximum: number;
  readonly concurrencyWindowMs: number;
  /** Lanes with fewer samples are new and get at most this share of the choices. */
  readonly newLaneSamples: number;
  readonly newLaneShare: number;
  readonly retryBudgetPerRequest: number;
  readonly retryBudgetBurst: number;
  /** The burst grows with the requests in flight: one outage hits that many of them at once. */
  readonly retryBudgetBurstOfActive: number;
  readonly attemptsOnErrorMaximum: number;
  readonly attemptsOnRateLimitMaximum: number;
  readonly connectTimeoutMs: number;
  readonly firstContentTimeoutMinimumMs: number;
  readonly firstContentTimeoutMaximumMs: number;
  /** Least patience where no other lane may serve: to leave would be to ask the same one again. */
  readonly firstContentTimeoutOnlyMs: number;
  /** Least patience with the trial of a half-open breaker: its failover costs the user this much. */
  readonly probeTimeoutMinimumMs: number;
  readonly idleTimeoutMs: number;
  readonly totalTimeoutMs: number;
  /** How long a request of a class may wait for room. */
  readonly queueBudgetMs: Readonly<Record<ServiceClass, number>>;
  /** Share of every bucket and of the concurrency that a class leaves to the classes above it. */
  readonly classReserve: Readonly<Record<ServiceClass, number>>;
  /** Further multiple of their need that users above their fair share leave free while room is short. */
  readonly fairHeadroom: number;
  /** In a lasting shortage a request leaves this multiple of its need free in the bucket. */
  readonly shortageHeadroom: number;
  readonly waitersMaximum: number;
  readonly waitersPerUserMaximum: number;
  readonly usersMaximum: number;
  /** Around a change of price the dearer side is assumed. */
  readonly priceFlipMarginMs: number;
};

export const defaultRoutingSettings: RoutingSettings = {
  presets: {
    fast: { time: 2.5, price: 0.2 },
    balanced: { time: 1.5, price: 0.8 },
    cheap: { time: 0.7, price: 2 },
  },
  preset: 'balanced',
  firstContentInitialMs: 1_000,
  peakShare: 0.3,
  latencyDecayMs: 15_000,
  prefillMsPerToken: 0.04,
  errorStep: 0.35,
  errorDecayMs: 20_000,
  wellErrorMaximum: 0.5,
  breakerThreshold: 0.75,
  breakerOpenMinimumMs: 1_000,
  breakerOpenMaximumMs: 60_000,
  panicShare: 0.5,
  offProbeMs: 1_800_000,
  offMaximumMs: 86_400_000,
  affinityTtlMs: 300_000,
  affinitySlack: 1.5 * Math.log(1.6) + 0.6,
  affinitySessionsMaximum: 100_000,
  rendezvousSlack: 0.3,
  concurrencyInitial: 32,
  concurrencyFloor: 8,
  concurrencyMaximum: 65_536,
  concurrencyWindowMs: 1_000,
  newLaneSamples: 20,
  newLaneShare: 0.05,
  retryBudgetPerRequest: 0.2,
  retryBudgetBurst: 20,
  retryBudgetBurstOfActive: 0.5,
  attemptsOnErrorMaximum: 3,
  attemptsOnRateLimitMaximum: 6,
  connectTimeoutMs: 3_000,
  firstContentTimeoutMinimumMs: 4_000,
  firstContentTimeoutMaximumMs: 20_000,
  firstContentTimeoutOnlyMs: 60_000,
  probeTimeoutMinimumMs: 1_500,
  idleTimeoutMs: 30_000,
  totalTimeoutMs: 3_600_000,
  queueBudgetMs: { interactive: 1_000, batch: 30_000, flex: 300_000 },
  classReserve: { interactive: 0, batch: 0.1, flex: 0.25 },
  fairHeadroom: 1,
  shortageHeadroom: 2,
  waitersMaximum: 4_096,
  waitersPerUserMaximum: 256,
  usersMaximum: 10_000,
  priceFlipMarginMs: 60_000,
};
