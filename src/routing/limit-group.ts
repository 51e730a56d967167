/** The buckets that one credential has for one model class, and what a request takes from them. */

import { Bucket, type BucketMark } from './bucket.ts';
import type { Failure, LimitName, Limits, RateLimitSnapshot, TokenAccounting } from './contract.ts';

/** What a request needs, in the units upstreams count. */
export type Need = { inputTokens: number; outputTokens: number };

export const limitNames: readonly LimitName[] = [
  'requests-per-minute',
  'requests-per-day',
  'tokens-per-minute',
  'input-tokens-per-minute',
  'output-tokens-per-minute',
];

/** A bucket per minute never asks for more than this. */
const longPauseMs = 90_000;
/** After this a blocked group is tried again, whatever was asked. */
const blockMaximumMs = 1_800_000;

const defaultAccounting: TokenAccounting = {
  outputAtAdmission: 'maximum',
  settlesToActual: false,
  cachedInputCounts: true,
};

/** `undefined` where none is known, and where there is none. */
function limitOf(limits: Limits, name: LimitName): number | undefined {
  const limit = limits[settingOf[name]];
  return limit === Infinity ? undefined : limit;
}

const settingOf = {
  'requests-per-minute': 'requestsPerMinute',
  'requests-per-day': 'requestsPerDay',
  'tokens-per-minute': 'tokensPerMinute',
  'input-tokens-per-minute': 'inputTokensPerMinute',
  'output-tokens-per-minute': 'outputTokensPerMinute',
} as const satisfies { readonly [name in LimitName]: keyof Limits };

/** Places in `limitNames`: the hot path compares numbers and not names. */
const tokensPlace = 2;
const inputPlace = 3;
const outputPlace = 4;

/** What a request takes from the bucket at a place of `limitNames`. */
function needOf(place: number, need: Need): number {
  if (place < tokensPlace) return 1;
  if (place === tokensPlace) return need.inputTokens + need.outputTokens;
  if (place === inputPlace) return need.inputTokens;
  return place === outputPlace ? need.outputTokens : 0;
}

export class LimitGroup {
  readonly accounting: TokenAccounting;
  readonly buckets: readonly Bucket[];
  /** The buckets that can hold a request back, so that the hot path visits no others. */
  #known: Bucket[] = [];
  /** A refusal asked for a longer pause than any bucket of a minute explains. */
  blockedUntilMs = -Infinity;

  constructor(limits: Limits, accounting: Partial<TokenAccounting> | undefined, nowMs: number) {
    this.accounting = { ...defaultAccounting, ...accounting };
    this.buckets = limitNames.map(
      (name, place) => new Bucket(name, limitOf(limits, name), nowMs, place),
    );
    this.#refresh();
  }

  /** Applies changed settings; levels and what was learned stay. */
  configure(limits: Limits): void {
    for (const bucket of this.buckets) bucket.configure(limitOf(limits, bucket.name));
    this.#refresh();
  }

  #refresh(): void {
    this.#known = this.buckets.filter((bucket) => bucket.known);
  }

  get hasKnown(): boolean {
    return this.#known.length > 0;
  }

  /**
   * Time until the request fits; 0 when it fits now.
   *
   * @param reserveShare share of each bucket that must stay for others
   * @param headroom multiple of the need that must stay free beside it
   */
  waitMs(need: Need, reserveShare: number, headroom: number, nowMs: number): number {
    let waitMs = this.blockedUntilMs > nowMs ? this.blockedUntilMs - nowMs : 0;
    for (const bucket of this.#known) {
      bucket.refill(nowMs);
      const amount = needOf(bucket.place, need);
      const reserve = reserveShare * bucket.capacity + headroom * amount;
      const bucketWaitMs = bucket.waitMs(amount, reserve);
      if (bucketWaitMs > waitMs) waitMs = bucketWaitMs;
    }
    return waitMs;
  }

  /** The same after `other` would have been taken too. */
  waitBehindMs(need: Need, other: Need, nowMs: number): number {
    let waitMs = 0;
    for (const bucket of this.#known) {
      bucket.refill(nowMs);
      const both = needOf(bucket.place, need) + needOf(bucket.place, other);
      const bucketWaitMs = bucket.waitMs(both, 0);
      if (bucketWaitMs > waitMs) waitMs = bucketWaitMs;
    }
    return waitMs;
  }

  /** Tokens that may be taken before any bucket falls below a share of its capacity; cautious. */
  spareTokens(share: number): number {
    let spare = Infinity;
    for (const bucket of this.#known) {
      const left = bucket.level - share * bucket.capacity;
      if (bucket.place >= tokensPlace) {
        if (left < spare) spare = left;
      } else if (left < 1) spare = 0;
    }
    return spare;
  }

  /**
   * Share that would be left of the emptiest bucket with this request in it, at most `enough`:
   * fuller buckets are not looked at closely.
   */
  shareLeft(need: Need, enough: number): number {
    let least = enough;
    for (const bucket of this.#known) {
      const left = bucket.level - needOf(bucket.place, need);
      if (left < least * bucket.capacity) least = left / bucket.capacity;
    }
    return least < 0 ? 0 : least;
  }

  take(need: Need, nowMs: number): void {
    for (const bucket of this.buckets) bucket.take(needOf(bucket.place, need), nowMs);
  }

  giveBack(need: Need): void {
    for (const bucket of this.buckets) bucket.giveBack(needOf(bucket.place, need));
  }

  /** The headers of a request that took `need` have come, or none will. */
  tell(need: Need): void {
    for (const bucket of this.buckets) bucket.tell(needOf(bucket.place, need));
  }

  /** After a refusal: nothing was debited, and what the headers told has no debit of it in it. */
  giveBackRefused(
    need: Need,
    snapshot: RateLimitSnapshot | undefined,
    marks: readonly BucketMark[] | undefined,
    nowMs: number,
  ): void {
    this.giveBack(need);
    for (const reading of snapshot?.readings ?? []) {
      const index = limitNames.indexOf(reading.name);
      this.buckets[index]?.correctRefused(reading, marks?.[index], needOf(index, need), nowMs);
    }
  }

  /** Moves the debit from what was assumed at admission to what was used. */
  settle(assumed: Need, actual: Need): void {
    const difference: Need = {
      inputTokens: assumed.inputTokens - actual.inputTokens,
      outputTokens: assumed.outputTokens - actual.outputTokens,
    };
    for (const bucket of this.buckets) {
      if (bucket.place < tokensPlace) continue;
      bucket.giveBack(needOf(bucket.place, difference));
    }
  }

  /** Our values at the moment of sending, one per bucket. */
  marks(nowMs: number): readonly BucketMark[] {
    return this.buckets.map((bucket) => bucket.mark(nowMs));
  }

  correct(
    snapshot: RateLimitSnapshot,
    marks: readonly BucketMark[] | undefined,
    nowMs: number,
  ): void {
    for (const reading of snapshot.readings) {
      const index = limitNames.indexOf(reading.name);
      this.buckets[index]?.correct(reading, marks?.[index], nowMs);
    }
    if (snapshot.readings.length > this.#known.length) this.#refresh();
  }

  /**
   * A 429. When the headers told the levels the buckets are right already; otherwise the refusal
   * is charged to the bucket it names, else to the one nearest to empty, else to tokens.
   */
  refuse(
    need: Need,
    failure: Failure,
    snapshot: RateLimitSnapshot | undefined,
    nowMs: number,
  ): void {
    const askedMs = failure.retryAfterMs ?? snapshot?.retryAfterMs ?? 0;
    if (askedMs > longPauseMs) {
      this.blockedUntilMs = nowMs + Math.min(askedMs, blockMaximumMs);
      return;
    }
    const bucket = this.#blamed(need, failure.limit, snapshot);
    const told = snapshot?.readings.find((reading) => reading.name === bucket.name);
    if (told?.remaining !== undefined && told.remaining < needOf(bucket.place, need)) return;
    bucket.refuse(
      needOf(bucket.place, need),
      failure.retryAfterMs ?? snapshot?.retryAfterMs,
      nowMs,
    );
    this.#refresh();
  }

  #blamed(
    need: Need,
    named: LimitName | undefined,
    snapshot: RateLimitSnapshot | undefined,
  ): Bucket {
    const tokens = this.#bucket('tokens-per-minute');
    if (named !== undefined) return this.#bucket(named);
    for (const reading of snapshot?.readings ?? []) {
      const bucket = this.#bucket(reading.name);
      if (reading.remaining !== undefined && reading.remaining < needOf(bucket.place, need)) {
        return bucket;
      }
    }
    let blamed = tokens;
    let least = Infinity;
    for (const bucket of this.#known) {
      const left = (bucket.level - needOf(bucket.place, need)) / bucket.capacity;
      if (left < least) {
        least = left;
        blamed = bucket;
      }
    }
    return blamed;
  }

  #bucket(name: LimitName): Bucket {
    const bucket = this.buckets[limitNames.indexOf(name)];
    if (bucket === undefined) throw new RangeError(`no bucket ${name}`);
    return bucket;
  }
}
