/**
 * Error level and circuit breaker of a lane or of a whole channel.
 *
 * The level rises with each failure, falls with each success and with time, and lies in 0…1. The
 * fall with success matters: by time alone a busy channel with 1 % errors would look dead.
 */

import type { RoutingSettings } from './settings.ts';

export type BreakerState = 'closed' | 'open' | 'half-open';

/** How many breakers of a router are open, so that the usual case of none costs nothing. */
export type BreakerCount = { open: number };

const successFactor = 0.7;
/** A breaker that stayed closed this long starts again with the shortest opening. */
const calmMs = 60_000;

export class Health {
  readonly #settings: RoutingSettings;
  readonly #breakers: BreakerCount;
  #level = 0;
  #updatedAtMs = 0;
  #openUntilMs = -Infinity;
  #openings = 0;
  #closedAtMs = -Infinity;
  /** Open or half-open. */
  isOpen = false;
  #probing = false;

  constructor(settings: RoutingSettings, breakers: BreakerCount) {
    this.#settings = settings;
    this.#breakers = breakers;
  }

  /** Error level now. */
  level(nowMs: number): number {
    if (this.#level === 0) return 0;
    const elapsedMs = nowMs - this.#updatedAtMs;
    if (elapsedMs <= 0) return this.#level;
    const level = this.#level * Math.exp(-elapsedMs / this.#settings.errorDecayMs);
    return level < 1e-3 ? 0 : level;
  }

  state(nowMs: number): BreakerState {
    if (!this.isOpen) return 'closed';
    return nowMs < this.#openUntilMs ? 'open' : 'half-open';
  }

  /** True when no request may pass now: open, or half-open with the probe under way. */
  blocks(nowMs: number): boolean {
    return this.isOpen && (nowMs < this.#openUntilMs || this.#probing);
  }

  get openUntilMs(): number {
    return this.#openUntilMs;
  }

  /** Marks the next request as the single probe when half-open; tells whether it is one. */
  beginProbe(nowMs: number): boolean {
    if (this.state(nowMs) !== 'half-open' || this.#probing) return false;
    this.#probing = true;
    return true;
  }

  /** The probe ended without a verdict (aborted by the client, rate-limited). */
  endProbe(): void {
    this.#probing = false;
  }

  /** @returns true when the breaker closed by this success */
  succeed(nowMs: number): boolean {
    this.#level = this.level(nowMs) * successFactor;
    this.#updatedAtMs = nowMs;
    if (!this.isOpen) return false;
    this.#breakers.open -= 1;
    this.isOpen = false;
    this.#probing = false;
    this.#closedAtMs = nowMs;
    return true;
  }

  /**
   * @param isProbe whether the half-open probe failed: opens again at once
   * @param jitter uniform draw from [0, 1)
   */
  fail(isProbe: boolean, jitter: number, nowMs: number): void {
    this.#level = Math.min(1, this.level(nowMs) + this.#settings.errorStep);
    this.#updatedAtMs = nowMs;
    if (isProbe) this.#probing = false;
    const reopens = this.isOpen && isProbe;
    const opens = !this.isOpen && this.#level > this.#settings.breakerThreshold;
    if (reopens || opens) this.#open(jitter, nowMs);
  }

  #open(jitter: number, nowMs: number): void {
    if (!this.isOpen && nowMs - this.#closedAtMs > calmMs) this.#openings = 0;
    const { breakerOpenMinimumMs, breakerOpenMaximumMs } = this.#settings;
    const spanMs = Math.min(breakerOpenMinimumMs * 2 ** this.#openings, breakerOpenMaximumMs);
    this.#openings = Math.min(this.#openings + 1, 16);
    if (!this.isOpen) this.#breakers.open += 1;
    this.isOpen = true;
    this.#probing = false;
    this.#openUntilMs = nowMs + spanMs * (0.75 + 0.5 * jitter);
  }
}
