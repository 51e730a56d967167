/**
 * What others do. The LiteLLM rows are models of behaviour described in public sources, made by
 * us: weighted shuffle, least busy, lowest latency and usage-v2, with its cooldowns and retries.
 */

import type {
  Course,
  Decision,
  MakeStrategy,
  SimulatedFailure,
  Strategy,
  StrategyInput,
} from './strategy.ts';
import type { SimulatedRequest, VendorSpec } from './vendor.ts';

const timeoutMs = 30_000;
const giveUp: Decision = { kind: 'give-up' };

/** A rule that picks among vendors and may learn from what happens. */
type Rule = {
  pick(allowed: readonly number[], request: SimulatedRequest): number;
  sent?(vendor: number): void;
  firstContent?(vendor: number, elapsedMs: number, request: SimulatedRequest): void;
  ended?(vendor: number, request: SimulatedRequest, isSuccess: boolean): void;
  failed?(vendor: number, failure: SimulatedFailure, elapsedMs: number): void;
};

const errorsMaximum = 3;
const rateLimitsMaximum = 6;

/** Tries another vendor after each failure, at once, as often as ours does. */
class PlainCourse implements Course {
  readonly #rule: Rule;
  readonly #input: StrategyInput;
  readonly #request: SimulatedRequest;
  readonly #allowed: number[];
  #vendor = -1;
  #sentAtMs = 0;
  #errors = 0;
  #rateLimits = 0;

  constructor(rule: Rule, input: StrategyInput, request: SimulatedRequest) {
    this.#rule = rule;
    this.#input = input;
    this.#request = request;
    this.#allowed = input.vendors.map((_, index) => index);
  }

  next(failure: SimulatedFailure | undefined): Decision {
    if (failure !== undefined) {
      this.#rule.failed?.(this.#vendor, failure, this.#input.nowMs() - this.#sentAtMs);
      this.#rule.ended?.(this.#vendor, this.#request, false);
      this.#allowed.splice(this.#allowed.indexOf(this.#vendor), 1);
      if (failure.kind === 'rate-limited') this.#rateLimits += 1;
      else this.#errors += 1;
    }
    if (this.#errors >= errorsMaximum || this.#rateLimits >= rateLimitsMaximum) return giveUp;
    if (this.#allowed.length === 0) return giveUp;
    this.#vendor = this.#rule.pick(this.#allowed, this.#request);
    return { kind: 'attempt', vendor: this.#vendor, timeoutMs };
  }

  sent(): void {
    this.#sentAtMs = this.#input.nowMs();
    this.#rule.sent?.(this.#vendor);
  }

  headers(): void {
    // None of the baselines reads them.
  }

  firstContent(): void {
    const elapsedMs = this.#input.nowMs() - this.#sentAtMs;
    this.#rule.firstContent?.(this.#vendor, elapsedMs, this.#request);
  }

  finished(): void {
    this.#rule.ended?.(this.#vendor, this.#request, true);
  }

  close(): void {
    this.#rule.ended?.(this.#vendor, this.#request, false);
  }
}

function plain(makeRule: (input: StrategyInput) => Rule): MakeStrategy {
  return (input): Strategy => {
    const rule = makeRule(input);
    return { begin: (request) => new PlainCourse(rule, input, request) };
  };
}

const cooldownMs = 5_000;
const retriesMaximum = 2;

type Cooldowns = {
  isCooled(vendor: number): boolean;
  record(vendor: number, failure: SimulatedFailure | undefined): void;
  soonestMs(): number;
};

/** 5 s out after a 429, or after more than half of a minute's requests failed. */
function cooldowns(input: StrategyInput): Cooldowns {
  const until = new Float64Array(input.vendors.length);
  const minute = new Float64Array(input.vendors.length);
  const good = new Float64Array(input.vendors.length);
  const bad = new Float64Array(input.vendors.length);
  return {
    isCooled: (vendor) => (until[vendor] ?? 0) > input.nowMs(),
    record(vendor, failure) {
      const nowMs = input.nowMs();
      const thisMinute = Math.floor(nowMs / 60_000);
      if (minute[vendor] !== thisMinute) {
        minute[vendor] = thisMinute;
        good[vendor] = 0;
        bad[vendor] = 0;
      }
      if (failure === undefined) {
        good[vendor] = (good[vendor] ?? 0) + 1;
        return;
      }
      const failures = (bad[vendor] ?? 0) + 1;
      bad[vendor] = failures;
      const isMost = failures > 0.5 * (failures + (good[vendor] ?? 0));
      if (failure.kind === 'rate-limited' || isMost) until[vendor] = nowMs + cooldownMs;
    },
    soonestMs: () => Math.max(1, Math.min(...until) - input.nowMs()),
  };
}

/** Cooldown and retry as LiteLLM's router: two retries; when all cool, it waits for the first. */
class CooldownCourse implements Course {
  readonly #rule: Rule;
  readonly #cooldowns: Cooldowns;
  readonly #input: StrategyInput;
  readonly #request: SimulatedRequest;
  #vendor = -1;
  #sentAtMs = 0;
  #failures = 0;

  constructor(rule: Rule, cooling: Cooldowns, input: StrategyInput, request: SimulatedRequest) {
    this.#rule = rule;
    this.#cooldowns = cooling;
    this.#input = input;
    this.#request = request;
  }

  next(failure: SimulatedFailure | undefined): Decision {
    if (failure !== undefined) {
      this.#failures += 1;
      this.#cooldowns.record(this.#vendor, failure);
      this.#rule.failed?.(this.#vendor, failure, this.#input.nowMs() - this.#sentAtMs);
      this.#rule.ended?.(this.#vendor, this.#request, false);
      this.#vendor = -1;
    }
    if (this.#failures > retriesMaximum) return giveUp;
    const allowed: number[] = [];
    for (let vendor = 0; vendor < this.#input.vendors.length; vendor++) {
      if (!this.#cooldowns.isCooled(vendor)) allowed.push(vendor);
    }
    if (allowed.length === 0) {
      this.#failures += 0.5;
      return { kind: 'wait', delayMs: this.#cooldowns.soonestMs() };
    }
    this.#vendor = this.#rule.pick(allowed, this.#request);
    return { kind: 'attempt', vendor: this.#vendor, timeoutMs };
  }

  sent(): void {
    this.#sentAtMs = this.#input.nowMs();
    this.#rule.sent?.(this.#vendor);
  }

  headers(): void {
    // Not read.
  }

  firstContent(): void {
    const elapsedMs = this.#input.nowMs() - this.#sentAtMs;
    this.#rule.firstContent?.(this.#vendor, elapsedMs, this.#request);
  }

  finished(): void {
    this.#cooldowns.record(this.#vendor, undefined);
    this.#rule.ended?.(this.#vendor, this.#request, true);
  }

  close(): void {
    this.#rule.ended?.(this.#vendor, this.#request, false);
  }
}

function cooling(makeRule: (input: StrategyInput) => Rule): MakeStrategy {
  return (input): Strategy => {
    const rule = makeRule(input);
    const shared = cooldowns(input);
    return { begin: (request) => new CooldownCourse(rule, shared, input, request) };
  };
}

function pickRandom(input: StrategyInput): Rule {
  return {
    pick: (allowed) => allowed[Math.floor(input.random() * allowed.length)] ?? 0,
  };
}

function pickInTurn(): Rule {
  let turn = 0;
  return { pick: (allowed) => allowed[turn++ % allowed.length] ?? 0 };
}

/** By configured limit; without one, equal. */
function pickWeighted(input: StrategyInput): Rule {
  const weights = input.vendors.map(knownLimit).map((limit) => limit ?? 1);
  return {
    pick(allowed) {
      let total = 0;
      for (const vendor of allowed) total += weights[vendor] ?? 0;
      let left = input.random() * total;
      for (const vendor of allowed) {
        left -= weights[vendor] ?? 0;
        if (left < 0) return vendor;
      }
      return allowed[0] ?? 0;
    },
  };
}

function knownLimit(vendor: VendorSpec): number | undefined {
  const factor = vendor.configuredFactor;
  return factor === undefined ? undefined : vendor.tokensPerMinute * factor;
}

function pickLeastBusy(input: StrategyInput): Rule {
  const active = new Int32Array(input.vendors.length);
  return {
    pick(allowed) {
      let best = allowed[0] ?? 0;
      for (const vendor of allowed) {
        if ((active[vendor] ?? 0) < (active[best] ?? 0)) best = vendor;
      }
      return best;
    },
    sent(vendor) {
      active[vendor] = (active[vendor] ?? 0) + 1;
    },
    ended(vendor) {
      if (vendor >= 0) active[vendor] = Math.max(0, (active[vendor] ?? 0) - 1);
    },
  };
}

/** Time to first token divided by completion tokens; after ten samples only the tenth is replaced. */
function pickLowestLatency(input: StrategyInput): Rule {
  const samples: number[][] = input.vendors.map(() => []);
  const add = (vendor: number, value: number): void => {
    const list = samples[vendor];
    if (list === undefined) return;
    if (list.length < 10) list.push(value);
    else list[9] = value;
  };
  return {
    pick(allowed) {
      let best = allowed[0] ?? 0;
      let least = Infinity;
      const offset = Math.floor(input.random() * allowed.length);
      for (let step = 0; step < allowed.length; step++) {
        const vendor = allowed[(step + offset) % allowed.length] ?? 0;
        const list = samples[vendor] ?? [];
        const mean = list.reduce((sum, value) => sum + value, 0) / Math.max(list.length, 1);
        if (mean < least) {
          least = mean;
          best = vendor;
        }
      }
      return best;
    },
    firstContent: (vendor, elapsedMs, request) =>
      add(vendor, elapsedMs / Math.max(request.outputTokens, 1)),
    failed(vendor, failure) {
      if (failure.kind === 'timeout-content') add(vendor, 1_000_000);
    },
  };
}

/** Lowest tokens of this minute, counted only after success. */
function pickLowestUsage(input: StrategyInput): Rule {
  const used = new Float64Array(input.vendors.length);
  let minute = -1;
  const limits = input.vendors.map(knownLimit);
  const roll = (): void => {
    const thisMinute = Math.floor(input.nowMs() / 60_000);
    if (thisMinute !== minute) used.fill(0);
    minute = thisMinute;
  };
  return {
    pick(allowed, request) {
      roll();
      let best = -1;
      const offset = Math.floor(input.random() * allowed.length);
      for (let step = 0; step < allowed.length; step++) {
        const vendor = allowed[(step + offset) % allowed.length] ?? 0;
        const limit = limits[vendor];
        const wouldUse = (used[vendor] ?? 0) + request.inputTokens;
        if (limit !== undefined && wouldUse > limit) continue;
        if (best < 0 || (used[vendor] ?? 0) < (used[best] ?? 0)) best = vendor;
      }
      return best < 0 ? (allowed[offset] ?? 0) : best;
    },
    ended(vendor, request, isSuccess) {
      roll();
      if (!isSuccess || vendor < 0) return;
      used[vendor] = (used[vendor] ?? 0) + request.inputTokens + request.outputTokens;
    },
  };
}

/** Power of two choices on peak-EWMA latency × (requests in flight + 1). */
function pickPeakEwma(input: StrategyInput): Rule {
  const average = new Float64Array(input.vendors.length).fill(1_000);
  const sampledAt = new Float64Array(input.vendors.length);
  const active = new Int32Array(input.vendors.length);
  const cost = (vendor: number): number => (average[vendor] ?? 0) * ((active[vendor] ?? 0) + 1);
  const add = (vendor: number, value: number): void => {
    const before = average[vendor] ?? 0;
    const nowMs = input.nowMs();
    const decay = Math.exp(-(nowMs - (sampledAt[vendor] ?? 0)) / 10_000);
    average[vendor] = value > before ? value : before * decay + value * (1 - decay);
    sampledAt[vendor] = nowMs;
  };
  return {
    pick(allowed) {
      const first = allowed[Math.floor(input.random() * allowed.length)] ?? 0;
      const second = allowed[Math.floor(input.random() * allowed.length)] ?? 0;
      return cost(second) < cost(first) ? second : first;
    },
    sent(vendor) {
      active[vendor] = (active[vendor] ?? 0) + 1;
    },
    firstContent: (vendor, elapsedMs) => add(vendor, elapsedMs),
    failed(vendor, failure, elapsedMs) {
      if (failure.kind === 'timeout-content') add(vendor, elapsedMs);
    },
    ended(vendor) {
      if (vendor >= 0) active[vendor] = Math.max(0, (active[vendor] ?? 0) - 1);
    },
  };
}

export const baselines: Readonly<Record<string, MakeStrategy>> = {
  random: plain(pickRandom),
  'round robin': plain(pickInTurn),
  weighted: plain(pickWeighted),
  'LiteLLM shuffle': cooling(pickWeighted),
  'LiteLLM least busy': cooling(pickLeastBusy),
  'LiteLLM latency': cooling(pickLowestLatency),
  'LiteLLM usage v2': cooling(pickLowestUsage),
  'P2C peak EWMA': plain(pickPeakEwma),
};
