/**
 * A token bucket over the whole router that bounds how much load retries add when everything
 * fails: each request earns a fraction of a retry, each charged retry costs one.
 */
export class RetryBudget {
  readonly #perRequest: number;
  readonly #burst: number;
  readonly #burstOfActive: number;
  level: number;

  constructor(perRequest: number, burst: number, burstOfActive: number) {
    this.#perRequest = perRequest;
    this.#burst = burst;
    this.#burstOfActive = burstOfActive;
    this.level = burst;
  }

  /**
   * A request came in.
   *
   * @param active requests in flight: a busy gateway may fail over more of them at once
   */
  earn(active: number): void {
    const burst = Math.max(this.#burst, this.#burstOfActive * active);
    if (this.level < burst) this.level += this.#perRequest;
  }

  /** @returns false when the budget is spent and the retry must not happen */
  spend(): boolean {
    if (this.level < 1) return false;
    this.level -= 1;
    return true;
  }
}
