/** Everything one router remembers, in one place. */

import type { Clock, Random } from '#std';
import { Affinity } from './affinity.ts';
import type { Candidate, ChannelConfig, RouterOptions, RoutingAlarm } from './contract.ts';
import type { BreakerCount } from './health.ts';
import { FairShare } from './fairness.ts';
import { Channel, type Lane } from './lane.ts';
import { RetryBudget } from './retry-budget.ts';
import { Shortage } from './shortage.ts';
import { ScoreTable } from './score.ts';
import { defaultRoutingSettings, type RoutingSettings } from './settings.ts';
import { WaitingLine } from './waiting-line.ts';

/** A candidate array with its lanes looked up. Parallel to the array; `undefined`: no such channel. */
export type CandidateSet = {
  readonly candidates: readonly Candidate[];
  readonly lanes: readonly (Lane | undefined)[];
  /** When the oldest lane was made: later ones may be new among experienced ones. */
  readonly oldestMs: number;
  readonly hasPriceChanges: boolean;
  readonly table: ScoreTable;
  /** Every lane exists and is enabled, and no candidate has a context limit. */
  readonly isPlain: boolean;
};

export class RoutingState {
  readonly settings: RoutingSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly onAlarm: ((alarm: RoutingAlarm) => void) | undefined;
  readonly channels = new Map<string, Channel>();
  readonly affinity: Affinity<Lane>;
  readonly fairShare: FairShare;
  readonly line: WaitingLine;
  readonly budget: RetryBudget;
  readonly shortage = new Shortage();
  readonly breakers: BreakerCount = { open: 0 };
  /** Attempts in flight. */
  active = 0;
  /** Scores of the decision under way, reused to allocate nothing per choice. */
  scores = new Float64Array(64);
  #sets = new WeakMap<readonly Candidate[], CandidateSet>();
  readonly #monotonicOffsetMs: number;

  constructor(options: RouterOptions) {
    this.settings = { ...defaultRoutingSettings, ...options.settings };
    this.clock = options.clock;
    this.random = options.random;
    this.onAlarm = options.onAlarm;
    const { settings } = this;
    this.affinity = new Affinity(settings.affinityTtlMs, settings.affinitySessionsMaximum);
    this.fairShare = new FairShare(settings.usersMaximum);
    this.line = new WaitingLine(
      this.fairShare,
      settings.waitersMaximum,
      settings.waitersPerUserMaximum,
    );
    this.budget = new RetryBudget(
      settings.retryBudgetPerRequest,
      settings.retryBudgetBurst,
      settings.retryBudgetBurstOfActive,
    );
    this.#monotonicOffsetMs = this.clock.now() - this.clock.monotonic();
  }

  /** Milliseconds since the epoch that never step back: buckets must survive a corrected wall clock. */
  nowMs(): number {
    return this.clock.monotonic() + this.#monotonicOffsetMs;
  }

  update(configs: readonly ChannelConfig[]): void {
    const ids = new Set(configs.map((config) => config.id));
    if (ids.size !== configs.length) throw new RangeError('channel ids must be unique');
    for (const config of configs) validate(config);
    for (const id of this.channels.keys()) {
      if (!ids.has(id)) this.channels.delete(id);
    }
    for (const config of configs) {
      const channel = this.channels.get(config.id);
      if (channel === undefined)
        this.channels.set(config.id, new Channel(config, this.settings, this.breakers));
      else channel.configure(config);
    }
    this.#sets = new WeakMap();
  }

  candidateSet(candidates: readonly Candidate[], nowMs: number): CandidateSet {
    const known = this.#sets.get(candidates);
    if (known !== undefined) return known;
    let oldestMs = Infinity;
    const lanes = candidates.map((candidate) => {
      const lane = this.channels.get(candidate.channelId)?.lane(candidate, nowMs);
      if (lane !== undefined && lane.createdAtMs < oldestMs) oldestMs = lane.createdAtMs;
      return lane;
    });
    const hasPriceChanges = candidates.some((candidate) => candidate.priceChanges !== undefined);
    const isPlain = candidates.every(
      (candidate, index) =>
        candidate.contextTokens === undefined && lanes[index]?.channel.isEnabled === true,
    );
    const set: CandidateSet = {
      candidates,
      lanes,
      oldestMs,
      hasPriceChanges,
      table: new ScoreTable(candidates, lanes),
      isPlain,
    };
    this.#sets.set(candidates, set);
    if (this.scores.length < candidates.length)
      this.scores = new Float64Array(candidates.length * 2);
    return set;
  }
}

/** Wrong configuration is refused when it is given and not when the first request comes. */
function validate(config: ChannelConfig): void {
  const everyLimits = [config.limits ?? {}, ...Object.values(config.limitsByGroup ?? {})];
  for (const limits of everyLimits) {
    for (const [name, value] of Object.entries(limits)) {
      if (value !== undefined && !(value > 0)) {
        throw new RangeError(`channel ${config.id}: limit ${name} must be above 0, not ${value}`);
      }
    }
  }
  if (config.weight !== undefined && !(config.weight >= 0 && config.weight < Infinity)) {
    throw new RangeError(`channel ${config.id}: weight must be 0 or more, not ${config.weight}`);
  }
}
