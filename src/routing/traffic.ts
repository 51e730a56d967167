/** What went to a bucket lately and what of it was refused: how much an upstream admits, whatever it says. */

/** All sums fade with this time constant. */
const memoryMs = 5_000;
/** A smaller share of refused calls is no sign of a limit: some vendors refuse a few at random. */
const refusedShareMinimum = 0.05;
/** Nor is a single refusal; sums that fade say less than two. */
const refusalsMinimum = 1.5;
/** Sums fade in steps of this, so that few requests compute an exponential. */
const stepMs = 100;

export class Traffic {
  readonly #startedAtMs: number;
  #updatedAtMs: number;
  #offered = 0;
  #refused = 0;
  #calls = 0;
  #refusals = 0;

  constructor(nowMs: number) {
    this.#startedAtMs = nowMs;
    this.#updatedAtMs = nowMs;
  }

  took(amount: number, nowMs: number): void {
    if (nowMs - this.#updatedAtMs >= stepMs) this.#fade(nowMs);
    this.#offered += amount;
    this.#calls += 1;
  }

  /** A request that was counted as taken was refused. */
  refused(amount: number, nowMs: number): void {
    this.#fade(nowMs);
    this.#refused += amount;
    this.#refusals += 1;
  }

  /** What was sent lately, refused or not, per millisecond. */
  offeredPerMs(nowMs: number): number {
    return this.#perMs(this.#offered, nowMs);
  }

  /** What was admitted lately, per millisecond. */
  admittedPerMs(nowMs: number): number {
    return this.#perMs(this.#offered - this.#refused, nowMs);
  }

  /** So much was refused of the last seconds' calls that a limit must be behind it. */
  isLimited(nowMs: number): boolean {
    this.#fade(nowMs);
    return this.#refusals >= refusalsMinimum && this.#refusals >= refusedShareMinimum * this.#calls;
  }

  #perMs(sum: number, nowMs: number): number {
    const left = sum * Math.exp((this.#updatedAtMs - nowMs) / memoryMs);
    const elapsedMs = Math.max(nowMs - this.#startedAtMs, 1_000);
    return Math.max(0, left) / (memoryMs * (1 - Math.exp(-elapsedMs / memoryMs)));
  }

  #fade(nowMs: number): void {
    const left = Math.exp((this.#updatedAtMs - nowMs) / memoryMs);
    this.#updatedAtMs = nowMs;
    this.#offered *= left;
    this.#refused *= left;
    this.#calls *= left;
    this.#refusals *= left;
  }
}
