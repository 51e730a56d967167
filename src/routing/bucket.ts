/**
 * Our mirror of one token bucket of an upstream: level, capacity and continuous refill.
 *
 * The mirror is debited when a request is chosen, corrected by what headers say, and pulled down
 * by a 429. What is not known is learned: the pair of two refusals that carry `retry-after` gives
 * the refill rate; without it the rate follows what was admitted, once so much is refused that there
 * must be a limit.
 */

import type { LimitName, LimitReading } from './contract.ts';
import { ToldLevels } from './told-levels.ts';
import { Traffic } from './traffic.ts';

export type BucketSource = 'unknown' | 'configured' | 'learned' | 'header';

/** What is kept of a bucket when a request is sent, to read its headers by; see `correct`. */
export type BucketMark = {
  /** Our level, before corrections; `undefined` when there was none yet. */
  readonly level: number | undefined;
  readonly taken: number;
};

const hourMs = 3_600_000;
const hoursPerWeek = 168;
/** Learned rates grow by this share per second once this long without a refusal. */
const growthPerMs = 0.01 / 1_000;
const growthAfterMs = 5_000;
/** The same while so few calls are refused, and without a time, that it is not this limit which does it. */
const quickGrowthPerMs = 0.2 / 1_000;
/** A rate that was learned without being told a time falls to what was admitted, and a little more. */
const admittedMargin = 1.05;
const decreaseEveryMs = 1_000;
/** Nor does it grow beyond this multiple of what is sent. */
const offeredMargin = 2;
/** What a refusal that names no time leaves in a bucket: so long of its rate, or so many requests. */
const remainderMs = 1_000;
const remainderRequests = 3;
/** A vendor's `retry-after` is rounded to seconds; shorter spans say too little about a rate. */
const pairSpanMinimumMs = 4_000;

export class Bucket {
  readonly name: LimitName;
  readonly windowMs: number;
  /** Place in the list of limits of its group. */
  readonly place: number;
  source: BucketSource = 'unknown';
  capacity = Infinity;
  ratePerMs = Infinity;
  level = Infinity;
  readonly #told = new ToldLevels();
  /** Taken by requests of which no header has told yet. */
  #untold = 0;
  #updatedAtMs: number;
  #taken = 0;
  readonly #traffic: Traffic;
  #refusedAtMs = -Infinity;
  /** The last refusal did not say when to come back. */
  #isSilent = false;
  #decreasedAtMs = -Infinity;
  #anchorAtMs = -Infinity;
  #anchorDelayMs = 0;
  #anchorNeed = 0;
  #anchorTaken = 0;
  #configuredRate = Infinity;
  #configuredLimit: number | undefined;
  #rateByHour: Float64Array | undefined;
  #hour = -1;

  constructor(name: LimitName, limit: number | undefined, nowMs: number, place = 0) {
    this.name = name;
    this.place = place;
    this.windowMs = name === 'requests-per-day' ? 86_400_000 : 60_000;
    this.#updatedAtMs = nowMs;
    this.#traffic = new Traffic(nowMs);
    this.configure(limit);
  }

  /**
   * Takes a limit per window as given by the operator; the same again keeps what was learned, and
   * `undefined` forgets what was given.
   */
  configure(limit: number | undefined): void {
    if (limit === this.#configuredLimit) return;
    this.#configuredLimit = limit;
    if (limit === undefined && this.source !== 'configured') return;
    this.source = limit === undefined ? 'unknown' : 'configured';
    this.capacity = limit ?? Infinity;
    this.ratePerMs = this.capacity / this.windowMs;
    this.#configuredRate = this.ratePerMs;
    this.level = limit === undefined ? Infinity : Math.min(this.level, limit);
  }

  get known(): boolean {
    return this.source !== 'unknown';
  }

  refill(nowMs: number): void {
    const elapsedMs = nowMs - this.#updatedAtMs;
    if (elapsedMs <= 0) return;
    this.#updatedAtMs = nowMs;
    if (this.source === 'unknown') return;
    if (this.source === 'learned') this.#drift(nowMs, elapsedMs);
    const filled = this.level + elapsedMs * this.ratePerMs;
    this.level = filled > this.capacity ? this.capacity : filled;
  }

  take(amount: number, nowMs: number): void {
    this.#taken += amount;
    this.#untold += amount;
    this.#traffic.took(amount, nowMs);
    if (this.source !== 'unknown') this.level -= amount;
  }

  giveBack(amount: number): void {
    this.#taken -= amount;
    if (this.source === 'unknown') return;
    this.level = Math.min(this.capacity, this.level + amount);
  }

  /** A header has told of a request that took `amount`, or none will. */
  tell(amount: number): void {
    this.#untold -= amount;
  }

  /**
   * Time until `need` fits while `reserve` stays for others; 0 when it fits now. A request larger
   * than the whole bucket fits when the bucket is full. Call `refill` first.
   */
  waitMs(need: number, reserve: number): number {
    if (this.source === 'unknown') return 0;
    const uncounted = this.#told.undercount * (need + Math.max(0, this.#untold));
    const wanted = need + reserve + uncounted;
    const required = wanted > this.capacity ? this.capacity : wanted;
    if (this.level >= required - 1e-6) return 0;
    return this.ratePerMs > 0 ? (required - this.level) / this.ratePerMs : Infinity;
  }

  /** To be kept with an attempt when it is sent, for `correct`. */
  mark(nowMs: number): BucketMark {
    this.refill(nowMs);
    const level = this.source === 'unknown' ? undefined : this.level - this.#told.corrections;
    return { level, taken: this.#taken };
  }

  /**
   * Takes over what a header says. A header is a snapshot of the moment the request was admitted,
   * so our value is moved by the difference to our own value when it was sent, less the corrections
   * made since; overwriting would forget everything sent in between. See `ToldLevels` for how far.
   *
   * @param mark what `mark` gave when the request was sent, `undefined` when it was not kept
   */
  correct(reading: LimitReading, mark: BucketMark | undefined, nowMs: number): void {
    this.refill(nowMs);
    if (reading.limit !== undefined && reading.limit > 0) this.#adoptLimit(reading.limit);
    if (reading.remaining === undefined || this.source === 'unknown') return;
    const level = mark?.level ?? this.#levelBefore(mark?.taken ?? this.#taken);
    this.#move(reading.remaining - level, nowMs);
  }

  /** The request of the last header was refused: the header says nothing of what was taken for it. */
  correctRefused(
    reading: LimitReading,
    mark: BucketMark | undefined,
    amount: number,
    nowMs: number,
  ): void {
    if (reading.remaining === undefined || this.source === 'unknown') return;
    const level = mark?.level ?? this.#levelBefore(mark?.taken ?? this.#taken);
    this.#move(reading.remaining - level - amount, nowMs);
  }

  /** Our level, before corrections, when so much had been taken; the refill since is left out. */
  #levelBefore(taken: number): number {
    return this.level - this.#told.corrections + this.#taken - taken;
  }

  #move(value: number, nowMs: number): void {
    const difference = this.#told.add(value, this.#taken, nowMs);
    this.level = Math.min(this.capacity, this.level + difference);
  }

  #adoptLimit(limit: number): void {
    if (this.source === 'header' && limit === this.capacity) return;
    const before = this.capacity;
    this.source = 'header';
    this.capacity = limit;
    this.ratePerMs = limit / this.windowMs;
    this.#configuredRate = this.ratePerMs;
    this.#told.reset();
    if (!Number.isFinite(before)) this.level = limit;
    else this.level = Math.min(limit, this.level);
  }

  /**
   * The upstream refused `need` although our mirror let it pass: an observation of its ceiling.
   *
   * @param need what the refused request wanted of this bucket
   * @param retryAfterMs what the upstream asked for
   */
  refuse(need: number, retryAfterMs: number | undefined, nowMs: number): void {
    this.refill(nowMs);
    this.#traffic.refused(need, nowMs);
    if (retryAfterMs === undefined) this.#refuseSilently(need, nowMs);
    else {
      if (this.source === 'unknown') this.#learnFirst(need, nowMs);
      else this.#learnRate(need, retryAfterMs, nowMs);
      const implied = need - this.ratePerMs * retryAfterMs;
      this.level = Math.min(this.level, this.capacity, Math.max(implied, -this.capacity));
    }
    this.#isSilent = retryAfterMs === undefined;
    this.#refusedAtMs = nowMs;
    this.#anchor(need, retryAfterMs, nowMs);
    this.#rememberHour(nowMs);
  }

  /**
   * Nobody knows why: a limit, or a vendor that refuses a few at random. Taking each for a sign of a limit
   * would strangle a channel that admits nearly everything, so the share of the refused decides.
   */
  #refuseSilently(need: number, nowMs: number): void {
    if (this.#traffic.isLimited(nowMs)) {
      if (this.source === 'unknown') this.#learnFirst(need, nowMs);
      else if (nowMs - this.#decreasedAtMs >= decreaseEveryMs) {
        const admitted = admittedMargin * this.#traffic.admittedPerMs(nowMs);
        this.#adoptRate(Math.min(this.ratePerMs, Math.max(this.ratePerMs * 0.7, admitted)));
        this.#decreasedAtMs = nowMs;
      }
    }
    if (this.source === 'unknown') return;
    // The refused request pays as if it had passed, so that refusals in a row end; but a crowd that was
    // refused together must not close the bucket for longer than it has been full.
    const remainder = Math.max(this.ratePerMs * remainderMs, remainderRequests * need);
    this.level = Math.max(Math.min(this.level, this.capacity, remainder) - need, -remainder);
  }

  /** About what was used lately was too much. The guess is rather high: a low guess tells nothing. */
  #learnFirst(need: number, nowMs: number): void {
    this.source = 'learned';
    this.ratePerMs = Math.max(this.#traffic.offeredPerMs(nowMs), need / this.windowMs);
    this.capacity = this.ratePerMs * this.windowMs;
    this.level = 0;
  }

  /** The first refusal of a pair; it stays until a second one far enough from it measures the rate. */
  #anchor(need: number, retryAfterMs: number | undefined, nowMs: number): void {
    const sinceMs = nowMs - this.#anchorAtMs;
    if (sinceMs < pairSpanMinimumMs) return;
    this.#anchorAtMs = nowMs;
    this.#anchorDelayMs = retryAfterMs ?? 0;
    this.#anchorNeed = need;
    this.#anchorTaken = this.#taken;
  }

  #learnRate(need: number, retryAfterMs: number, nowMs: number): void {
    if (!Number.isFinite(this.#anchorAtMs)) return;
    const sinceMs = nowMs - this.#anchorAtMs;
    const spanMs = sinceMs + retryAfterMs - this.#anchorDelayMs;
    const used = this.#taken - this.#anchorTaken + need - this.#anchorNeed;
    if (sinceMs > this.windowMs || sinceMs < pairSpanMinimumMs || spanMs < pairSpanMinimumMs) {
      return;
    }
    const measured = used / spanMs;
    const bounded = Math.min(Math.max(measured, this.ratePerMs / 2), this.ratePerMs * 2);
    this.#adoptRate(this.ratePerMs + 0.5 * (bounded - this.ratePerMs));
  }

  #adoptRate(ratePerMs: number): void {
    if (this.source !== 'learned' && ratePerMs >= this.#configuredRate) return;
    this.source = 'learned';
    this.ratePerMs = ratePerMs;
    this.capacity = ratePerMs * this.windowMs;
  }

  /** A learned rate probes upward while it is what holds traffic back; each hour of the week has its own. */
  #drift(nowMs: number, elapsedMs: number): void {
    const hour = Math.floor(nowMs / hourMs) % hoursPerWeek;
    if (hour !== this.#hour) {
      this.#hour = hour;
      const remembered = this.#rateByHour?.[hour] ?? 0;
      if (remembered > 0) this.#adoptRate(remembered);
    }
    if (this.level > 0.1 * this.capacity) return;
    const isQuiet = nowMs - this.#refusedAtMs >= growthAfterMs;
    const isOther = this.#isSilent && !this.#traffic.isLimited(nowMs);
    if (!isQuiet && !isOther) return;
    // Beyond this it holds nothing back, and nothing is learned from growing on.
    const offered = this.#traffic.offeredPerMs(nowMs);
    if (isOther && this.ratePerMs > offeredMargin * offered) return;
    const growth = isOther ? quickGrowthPerMs : growthPerMs;
    this.ratePerMs *= 1 + growth * Math.min(elapsedMs, 10_000);
    this.capacity = this.ratePerMs * this.windowMs;
  }

  #rememberHour(nowMs: number): void {
    if (this.source !== 'learned') return;
    this.#rateByHour ??= new Float64Array(hoursPerWeek);
    this.#hour = Math.floor(nowMs / hourMs) % hoursPerWeek;
    this.#rateByHour[this.#hour] = this.ratePerMs;
  }
}
