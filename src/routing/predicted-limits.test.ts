/**
 * How well the mirror predicts a vendor's token bucket: simulated vendors that debit when a request
 * arrives, which is later than it was sent and not always in the same order, that count otherwise
 * than we do, and of which some give back what was not used.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom, type Random } from '#std';
import type { RateLimitSnapshot, Step } from './contract.ts';
import { Rig } from './router-rig.ts';

type World = {
  readonly name: string;
  readonly seed: number;
  readonly tokensPerMinute: number;
  /** Requests offered, as a multiple of what the limit lets pass. */
  readonly load: number;
  readonly inputTokens: (random: Random) => number;
  readonly outputTokens: number;
  /** What the vendor counts for a token of ours. */
  readonly countedAs: (random: Random) => number;
  /** One way to the vendor. */
  readonly arrivalMs: (random: Random) => number;
  /** From admission to the headers. */
  readonly headersMs: (random: Random) => number;
  /** Share of the output that the vendor gives back at the end; 0 keeps it all. */
  readonly givesBack: number;
};

const steady: World = {
  name: 'steady',
  seed: 1,
  tokensPerMinute: 200_000,
  load: 1.5,
  inputTokens: () => 1_000,
  outputTokens: 500,
  countedAs: () => 1,
  arrivalMs: (random) => 20 + 160 * random() ** 4,
  headersMs: (random) => 200 + 800 * random() ** 2,
  givesBack: 0,
};

const worlds: readonly World[] = [
  steady,
  {
    ...steady,
    name: 'requests of very different sizes that overtake each other',
    seed: 2,
    tokensPerMinute: 2_000_000,
    inputTokens: (random) => (random() < 0.1 ? 12_000 : 300 + Math.floor(2_000 * random())),
  },
  {
    ...steady,
    name: 'a vendor that counts a tenth more',
    seed: 3,
    tokensPerMinute: 1_000_000,
    countedAs: () => 1.1,
  },
  {
    ...steady,
    name: 'a vendor that counts now more and now less',
    seed: 4,
    tokensPerMinute: 1_000_000,
    countedAs: (random) => 0.9 + 0.25 * random(),
  },
  {
    ...steady,
    name: 'headers that come late',
    seed: 5,
    tokensPerMinute: 1_000_000,
    headersMs: (random) => 500 + 8_000 * random() ** 3,
  },
  {
    ...steady,
    name: 'a vendor that gives back what was not used',
    seed: 6,
    tokensPerMinute: 1_000_000,
    outputTokens: 1_000,
    givesBack: 0.8,
  },
  { ...steady, name: 'a load that goes up and down', seed: 7, tokensPerMinute: 600_000, load: 1.1 },
];

type Outcome = {
  readonly requests: number;
  readonly admitted: number;
  readonly refused: number;
  readonly gaveUp: number;
  /** Tokens admitted by the vendor over what its bucket had to give. */
  readonly used: number;
};

class VendorBucket {
  readonly limit: number;
  level: number;
  givenBack = 0;
  #atMs: number;

  constructor(limit: number, nowMs: number) {
    this.limit = limit;
    this.level = limit;
    this.#atMs = nowMs;
  }

  refill(nowMs: number): void {
    const filled = this.level + ((nowMs - this.#atMs) * this.limit) / 60_000;
    this.level = Math.min(this.limit, filled);
    this.#atMs = nowMs;
  }

  get headers(): RateLimitSnapshot {
    const remaining = Math.max(0, Math.floor(this.level));
    const reading = { limit: this.limit, remaining, resetMs: undefined };
    return { readings: [{ name: 'tokens-per-minute', ...reading }], retryAfterMs: undefined };
  }
}

type Event = { readonly atMs: number; readonly run: () => void };

/** One vendor, offered more than it takes for as long as it needs to admit `admittedMinimum`. */
class Run {
  readonly #world: World;
  readonly #random: Random;
  readonly #rig: Rig;
  readonly #vendor: VendorBucket;
  readonly #events: Event[] = [];
  readonly #startMs: number;
  #requests = 0;
  #admitted = 0;
  #refused = 0;
  #gaveUp = 0;
  #tokens = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = seededRandom(world.seed);
    this.#rig = new Rig(['a'], {}, world.seed);
    this.#startMs = this.#rig.nowMs;
    this.#vendor = new VendorBucket(world.tokensPerMinute, this.#startMs);
  }

  to(admittedMinimum: number): Outcome {
    this.#arrive();
    while (this.#admitted < admittedMinimum) {
      const event = this.#events.shift();
      assert.ok(event, 'the world ran out of events');
      this.#rig.nowMs = Math.max(this.#rig.nowMs, event.atMs);
      event.run();
    }
    const elapsedMs = this.#rig.nowMs - this.#startMs;
    const { limit, givenBack } = this.#vendor;
    const offered = limit + (elapsedMs * limit) / 60_000 + givenBack;
    return {
      requests: this.#requests,
      admitted: this.#admitted,
      refused: this.#refused,
      gaveUp: this.#gaveUp,
      used: this.#tokens / offered,
    };
  }

  #after(delayMs: number, run: () => void): void {
    const atMs = this.#rig.nowMs + delayMs;
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle]?.atMs ?? 0) <= atMs) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, { atMs, run });
  }

  #arrive(): void {
    const { tokensPerMinute, load, inputTokens, outputTokens, givesBack } = this.#world;
    const input = inputTokens(this.#random);
    const kept = input + outputTokens * (1 - givesBack);
    const gapMs = (kept / load / tokensPerMinute) * 60_000;
    this.#after(-Math.log(1 - this.#random()) * gapMs, () => this.#arrive());
    this.#requests += 1;
    const plan = this.#rig.plan({
      inputTokens: input,
      outputTokensMaximum: outputTokens,
      deadlineMs: this.#rig.nowMs + 30_000,
    });
    const take = (step: Step): void => {
      if (step.kind === 'wait') return this.#after(step.delayMs, () => take(plan.next()));
      if (step.kind === 'give-up') {
        this.#gaveUp += 1;
        return plan.close();
      }
      step.sent();
      this.#after(this.#world.arrivalMs(this.#random), () => {
        const counted = (input + outputTokens) * this.#world.countedAs(this.#random);
        const isAdmitted = this.#admit(counted);
        const { headers } = this.#vendor;
        this.#after(this.#world.headersMs(this.#random), () => {
          step.headers(headers);
          if (!isAdmitted) return take(plan.next({ kind: 'rate-limited', retryAfterMs: 1_000 }));
          step.firstContent();
          this.#after(1_000 + 3_000 * this.#random(), () => {
            this.#giveBack(outputTokens * givesBack);
            step.finished({ inputTokens: input, outputTokens: outputTokens * (1 - givesBack) });
            plan.close();
          });
        });
      });
    };
    take(plan.next());
  }

  #admit(tokens: number): boolean {
    this.#vendor.refill(this.#rig.nowMs);
    if (this.#vendor.level < tokens) {
      this.#refused += 1;
      return false;
    }
    this.#vendor.level -= tokens;
    this.#admitted += 1;
    this.#tokens += tokens;
    return true;
  }

  #giveBack(tokens: number): void {
    this.#vendor.refill(this.#rig.nowMs);
    this.#vendor.level = Math.min(this.#vendor.limit, this.#vendor.level + tokens);
    this.#vendor.givenBack += tokens;
  }
}

for (const world of worlds) {
  test(`right headers: at most one 429 in a thousand requests and 95 % of the quota used, ${world.name}`, (t) => {
    const outcome = new Run(world).to(5_000);
    t.diagnostic(`seed ${world.seed}: ${JSON.stringify(outcome)}`);
    assert.ok(outcome.refused * 1_000 <= outcome.admitted, JSON.stringify(outcome));
    assert.ok(outcome.used >= 0.95, JSON.stringify(outcome));
  });
}
