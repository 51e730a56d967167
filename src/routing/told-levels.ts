/**
 * What a vendor's headers say over time about how wrong our mirror of its bucket is.
 *
 * A header is a snapshot of the moment the vendor admitted the request: after it was sent, and not in
 * the order in which requests were sent. The mirror counts the refill since the sending, so a snapshot
 * looks richer by what the bucket gained on the way; and a request that overtook this one has already
 * been debited or not. Single snapshots therefore scatter around the truth, and whoever follows the
 * latest is refused at every second request once the bucket is all but empty. The poorest of the last
 * few seconds is right for the quickest way to the vendor and for any order. Being a little too poor
 * costs nothing: a bucket that is always in demand passes on what flows into it, at any level.
 */

/** The poorest reading of so many seconds rules; a vendor that gives tokens back is followed this late. */
const memorySeconds = 5;
const undercountMaximum = 0.5;
/** Part of the old estimate that stays when a better one comes. */
const undercountMemory = 0.97;
/** Readings between two estimates of how much less we count than the vendor. */
const readingsPerEstimate = 16;

export class ToldLevels {
  /** Sum of all corrections so far: what the mirror has been moved by. */
  corrections = 0;
  /** How much more the vendor debits than we do, as a share of what we do; never below 0. */
  undercount = 0;
  /** The poorest reading of each second, and which second that was. */
  readonly #values = new Float64Array(memorySeconds);
  readonly #seconds = new Float64Array(memorySeconds).fill(-Infinity);
  #sinceEstimate = 0;
  #takenThen = NaN;
  #correctionsThen = 0;

  /** The mirror starts anew: nothing said before can be compared with it. */
  reset(): void {
    this.corrections = 0;
    this.#seconds.fill(-Infinity);
    this.#takenThen = NaN;
    this.#sinceEstimate = 0;
  }

  /**
   * One snapshot.
   *
   * @param value the snapshot less our own level when the request was sent, before all corrections
   * @param taken all that was ever taken from the mirror
   * @returns what the mirror has to be moved by
   */
  add(value: number, taken: number, nowMs: number): number {
    const second = Math.floor(nowMs / 1_000);
    const slot = second % memorySeconds;
    if (this.#seconds[slot] !== second || value < (this.#values[slot] ?? 0)) {
      this.#seconds[slot] = second;
      this.#values[slot] = value;
    }
    let poorest = value;
    for (let index = 0; index < memorySeconds; index++) {
      const other = this.#values[index] ?? 0;
      if (other < poorest && second - (this.#seconds[index] ?? 0) < memorySeconds) poorest = other;
    }
    const difference = poorest - this.corrections;
    this.corrections = poorest;
    this.#estimate(taken);
    return difference;
  }

  /** What flows out of the vendor's bucket beside what we count: until its headers tell, it is missing. */
  #estimate(taken: number): void {
    this.#sinceEstimate += 1;
    if (!Number.isNaN(this.#takenThen) && this.#sinceEstimate < readingsPerEstimate) return;
    const used = taken - this.#takenThen;
    if (used > 0) {
      const missing = Math.min(
        (this.#correctionsThen - this.corrections) / used,
        undercountMaximum,
      );
      const faded = undercountMemory * this.undercount;
      this.undercount = Math.max(0, missing, faded + (1 - undercountMemory) * missing);
    }
    this.#sinceEstimate = 0;
    this.#takenThen = taken;
    this.#correctionsThen = this.corrections;
  }
}
