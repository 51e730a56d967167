/**
 * How many requests a lane takes at once, learned: slow start by doubling each window that was
 * used, one step back per window when most first contents come much later than usual, then gentle
 * growth. Judging per window and not per sample keeps one burst of slow answers from collapsing it.
 */

import type { RoutingSettings } from './settings.ts';

const slowFactor = 3;
/** Less than this is no sign of distress, however fast the lane usually is: our own machine may have been busy. */
const slowExtraMs = 500;
const samplesMinimum = 5;

export class ConcurrencyLimit {
  readonly #settings: RoutingSettings;
  limit: number;
  /** Still doubling: the limit is a guess of ours and no sign of distress was seen. */
  isSlowStart = true;
  #windowEndsAtMs = -Infinity;
  #samples = 0;
  #slow = 0;
  #activePeak = 0;

  constructor(settings: RoutingSettings) {
    this.#settings = settings;
    this.limit = settings.concurrencyInitial;
  }

  /** Starts again a little above what is in flight, after a breaker closed. */
  restart(active: number): void {
    this.limit = Math.min(this.limit, active + this.#settings.concurrencyFloor);
    this.isSlowStart = true;
  }

  begin(active: number, nowMs: number): void {
    this.#roll(nowMs);
    if (active > this.#activePeak) this.#activePeak = active;
  }

  sample(normalisedMs: number, baselineMs: number, nowMs: number): void {
    this.#samples += 1;
    if (normalisedMs > Math.max(slowFactor * baselineMs, baselineMs + slowExtraMs)) this.#slow += 1;
    this.#roll(nowMs);
  }

  #roll(nowMs: number): void {
    if (nowMs < this.#windowEndsAtMs) return;
    const { concurrencyFloor, concurrencyMaximum, concurrencyWindowMs } = this.#settings;
    if (this.#samples >= samplesMinimum && this.#slow > 0.5 * this.#samples) {
      this.limit = Math.max(concurrencyFloor, this.limit * 0.85);
      this.isSlowStart = false;
    } else if (this.#activePeak > 0.5 * this.limit) {
      this.limit = Math.min(concurrencyMaximum, this.limit * (this.isSlowStart ? 2 : 1.1));
    }
    this.#samples = 0;
    this.#slow = 0;
    this.#activePeak = 0;
    this.#windowEndsAtMs = nowMs + concurrencyWindowMs;
  }
}
