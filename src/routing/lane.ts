/** State of channels and of their lanes. A lane is a channel × an upstream model. */

import { hashText } from './affinity.ts';
import { ConcurrencyLimit } from './concurrency.ts';
import type { Candidate, ChannelConfig, Limits } from './contract.ts';
import { Health, type BreakerCount } from './health.ts';
import { Latency } from './latency.ts';
import { LimitGroup } from './limit-group.ts';
import type { RoutingSettings } from './settings.ts';
import type { Ticket } from './waiting-line.ts';

/** Silence alone changes a lane slowly: its numbers hold this long unless something happens. */
const freshMs = 25;
/** A bucket with a smaller share left is kept for what fits nowhere else. */
export const scarceBelow = 0.2;

const noLimits: Limits = {};
/** Lanes of a channel are made for models that callers name; this bounds a caller gone wrong. */
const lanesPerChannelMaximum = 2_000;

export class Channel {
  config: ChannelConfig;
  readonly settings: RoutingSettings;
  readonly breakers: BreakerCount;
  /** Errors of the endpoint as a whole: it could not be reached. */
  readonly health: Health;
  readonly lanes = new Map<string, Lane>();
  readonly groups = new Map<string, LimitGroup>();
  active = 0;
  offReason: 'auth' | 'quota' | undefined;
  /** While off: when the next single trial may pass. */
  offUntilMs = 0;
  offProbing = false;
  concurrencyMaximum: number;

  constructor(config: ChannelConfig, settings: RoutingSettings, breakers: BreakerCount) {
    this.config = config;
    this.settings = settings;
    this.breakers = breakers;
    this.health = new Health(settings, breakers);
    this.concurrencyMaximum = config.limits?.concurrency ?? Infinity;
  }

  configure(config: ChannelConfig): void {
    if (config === this.config) return;
    if (config.revision !== this.config.revision) this.turnOn();
    this.config = config;
    this.concurrencyMaximum = config.limits?.concurrency ?? Infinity;
    for (const [name, group] of this.groups) group.configure(this.#limitsOf(name));
    for (const lane of this.lanes.values()) lane.configure();
  }

  get isEnabled(): boolean {
    return this.config.enabled !== false;
  }

  turnOff(reason: 'auth' | 'quota', untilMs: number): void {
    this.offReason = reason;
    this.offUntilMs = untilMs;
    this.offProbing = false;
  }

  turnOn(): void {
    this.offReason = undefined;
    this.offProbing = false;
  }

  /** True when switched off and no trial is due. */
  isOff(nowMs: number): boolean {
    return this.offReason !== undefined && (nowMs < this.offUntilMs || this.offProbing);
  }

  lane(candidate: Candidate, nowMs: number): Lane {
    const known = this.lanes.get(candidate.model);
    if (known !== undefined) return known;
    if (this.lanes.size >= lanesPerChannelMaximum) this.#dropIdleLanes();
    const groupName = candidate.limitGroup ?? candidate.model;
    let group = this.groups.get(groupName);
    if (group === undefined) {
      group = new LimitGroup(this.#limitsOf(groupName), this.config.accounting, nowMs);
      this.groups.set(groupName, group);
    }
    const lane = new Lane(this, candidate.model, group, nowMs);
    this.lanes.set(candidate.model, lane);
    return lane;
  }

  #limitsOf(groupName: string): Limits {
    return this.config.limitsByGroup?.[groupName] ?? this.config.limits ?? noLimits;
  }

  #dropIdleLanes(): void {
    for (const [model, lane] of this.lanes) {
      if (lane.active === 0) this.lanes.delete(model);
    }
  }
}

export class Lane {
  readonly channel: Channel;
  readonly model: string;
  readonly group: LimitGroup;
  readonly health: Health;
  readonly latency: Latency;
  readonly limit: ConcurrencyLimit;
  readonly hash: number;
  readonly createdAtMs: number;
  reservation: Ticket | undefined;
  active = 0;
  /** Average time a request stays, for the guess when the next one ends. */
  durationMs = 5_000;
  /** What the score needs of this lane, computed at most once in a while; see `refresh`. */
  expectedMs = 0;
  burden = 1;
  spareTokens = 0;
  freshUntilMs = -Infinity;
  /** Counts what happened here, so that a copy of these numbers knows when it is old. */
  changes = 0;
  /** Added to the score for the operator's weight. */
  weightPenalty = 0;

  constructor(channel: Channel, model: string, group: LimitGroup, nowMs: number) {
    this.channel = channel;
    this.model = model;
    this.group = group;
    this.health = new Health(channel.settings, channel.breakers);
    this.latency = new Latency(channel.settings);
    this.limit = new ConcurrencyLimit(channel.settings);
    this.hash = hashText(`${channel.config.id}\n${model}`);
    this.createdAtMs = nowMs;
    this.configure();
  }

  configure(): void {
    const weight = this.channel.config.weight ?? 1;
    const exponent = this.channel.settings.presets.balanced.price;
    this.weightPenalty = weight > 0 ? -exponent * Math.log(weight) : 50;
  }

  /** Something happened here: the next choice must look again. */
  touch(): void {
    this.freshUntilMs = -Infinity;
    this.changes = (this.changes + 1) & 0x3fffffff;
  }

  /** Brings `expectedMs`, `burden` and `spareTokens` up to date, unless they are. */
  refresh(nowMs: number): void {
    if (nowMs < this.freshUntilMs) return;
    this.freshUntilMs = nowMs + freshMs;
    const used = this.active / this.capacity;
    const errors = Math.max(this.health.level(nowMs), this.channel.health.level(nowMs));
    this.expectedMs = this.latency.expectedMs(nowMs);
    this.burden = (1 + 2 * used * used) * (1 + 4 * errors);
    this.spareTokens = this.group.spareTokens(scarceBelow);
  }

  /** It is not silent, and will rather answer than fail. */
  isWell(nowMs: number): boolean {
    const { settings, health } = this.channel;
    const errors = Math.max(this.health.level(nowMs), health.level(nowMs));
    return errors < settings.wellErrorMaximum && !this.latency.isStalled(nowMs);
  }

  /** Requests in flight that this lane may have. */
  get capacity(): number {
    return Math.min(this.limit.limit, this.channel.concurrencyMaximum);
  }
}
