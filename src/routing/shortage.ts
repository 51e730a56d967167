/**
 * Whether room is short: now and then (a burst, worth waiting out) or lastingly (overload, where
 * a queue adds delay and serves nobody more).
 */

const memoryMs = 10_000;
const lastingShare = 0.05;
const requestsMinimum = 20;
const averageShare = 0.02;
const recentMs = 5_000;

export class Shortage {
  /** Average size of the requests that come in, in tokens. */
  tokensAverage = 0;
  #requests = 0;
  #refusals = 0;
  #updatedAtMs = 0;
  #lastAtMs = -Infinity;

  /** A request came; `isShort` says that nothing had room for it. */
  note(isShort: boolean, tokens: number, nowMs: number): void {
    this.#decay(nowMs);
    const share = this.tokensAverage === 0 ? 1 : averageShare;
    this.tokensAverage += share * (tokens - this.tokensAverage);
    this.#requests += 1;
    if (!isShort) return;
    this.#refusals += 1;
    this.#lastAtMs = nowMs;
  }

  isRecent(nowMs: number): boolean {
    return nowMs - this.#lastAtMs < recentMs;
  }

  isLasting(nowMs: number): boolean {
    if (!this.isRecent(nowMs)) return false;
    return this.#requests > requestsMinimum && this.#refusals > lastingShare * this.#requests;
  }

  #decay(nowMs: number): void {
    const elapsedMs = nowMs - this.#updatedAtMs;
    if (elapsedMs < 100) return;
    const factor = Math.exp(-elapsedMs / memoryMs);
    this.#requests *= factor;
    this.#refusals *= factor;
    this.#updatedAtMs = nowMs;
  }
}
