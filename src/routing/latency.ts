/**
 * What a lane's time to first content and time between tokens are believed to be.
 *
 * Samples are normalised by prompt length, so that long prompts do not make a lane look ill. The
 * average jumps towards worse samples and decays towards better ones (peak EWMA). Requests that
 * still wait count too: the age of the oldest is a lower bound of its sample, which is how a black
 * hole is seen within a second and not at its time-out.
 */

import type { RoutingSettings } from './settings.ts';

/** An attempt in the list of those sent and still without content. */
export type Waiting = {
  sentAtMs: number;
  inputTokens: number;
  /** When it was expected to have content, judged when it was sent. */
  overdueAtMs: number;
  waitingBefore: Waiting | undefined;
  waitingAfter: Waiting | undefined;
};

const firstSamples = 10;
/** A busy lane would never forget a peak if time alone pulled its average down. */
const decayShareMinimum = 0.05;
const overdueDeviations = 4;
const overdueTogether = 3;
/** Average plus deviation of a good day, as a multiple of the baseline. */
const usualFactor = 1.3;
const suspectFactor = 2.5;
const lookPauseMs = 1_500;

export class Latency {
  readonly #settings: RoutingSettings;
  samples = 0;
  averageMs: number;
  deviationMs: number;
  /** Slow average of good days: what the lane does when it is not loaded. */
  baselineMs: number;
  interTokenMs: number | undefined;
  waiting = 0;
  #contentAtMs = -Infinity;
  /** Average time between first contents while some are awaited. */
  #gapMs = Infinity;
  /** Looks at an ill lane, one after the other, that found it still ill. */
  #badLooks = 0;
  #isDeclaredDead = false;
  sampledAtMs = -Infinity;
  #oldest: Waiting | undefined;
  #newest: Waiting | undefined;

  constructor(settings: RoutingSettings) {
    this.#settings = settings;
    this.averageMs = settings.firstContentInitialMs;
    this.deviationMs = settings.firstContentInitialMs * 0.25;
    this.baselineMs = settings.firstContentInitialMs;
  }

  /** Time to first content of an empty prompt, from a sample with `inputTokens`. */
  normalise(elapsedMs: number, inputTokens: number): number {
    const prefillMs = inputTokens * this.#settings.prefillMsPerToken;
    return Math.max(elapsedMs - prefillMs, elapsedMs * 0.2);
  }

  sample(elapsedMs: number, inputTokens: number, nowMs: number): number {
    const value = this.normalise(elapsedMs, inputTokens);
    const error = value - this.averageMs;
    if (this.samples < firstSamples) {
      const share = 1 / (this.samples + 1);
      this.averageMs += share * error;
      this.deviationMs += share * (Math.abs(error) * 0.8 - this.deviationMs);
      this.baselineMs = this.averageMs;
    } else {
      const decay = Math.max(
        decayShareMinimum,
        1 - Math.exp(-(nowMs - this.sampledAtMs) / this.#settings.latencyDecayMs),
      );
      this.averageMs += (error > 0 ? this.#settings.peakShare : decay) * error;
      const deviationShare = Math.max(0.1, decay);
      const distance = Math.abs(value - this.averageMs);
      this.deviationMs += deviationShare * (distance - this.deviationMs);
      this.baselineMs += (value < this.baselineMs ? 0.05 : 0.005) * (value - this.baselineMs);
    }
    if (value <= suspectFactor * this.baselineMs) this.#badLooks = 0;
    else if (nowMs - this.sampledAtMs > lookPauseMs) this.#badLooks += 1;
    this.samples += 1;
    this.sampledAtMs = nowMs;
    return value;
  }

  /** First content came from this lane: it is alive. Call before `remove`. */
  content(nowMs: number): void {
    this.#isDeclaredDead = false;
    const gapMs = nowMs - this.#contentAtMs;
    this.#contentAtMs = nowMs;
    if (!Number.isFinite(gapMs)) return;
    this.#gapMs = Number.isFinite(this.#gapMs) ? this.#gapMs + 0.1 * (gapMs - this.#gapMs) : gapMs;
  }

  /**
   * True while nothing comes although it should: the quiet since the last first content is far
   * longer than usual between them, or as long as a whole slow answer. A black hole is left within
   * a second so; a false alarm costs one choice.
   */
  isStalled(nowMs: number): boolean {
    const oldest = this.#oldest;
    if (oldest === undefined || this.samples < firstSamples) return false;
    const since = oldest.sentAtMs > this.#contentAtMs ? oldest.sentAtMs : this.#contentAtMs;
    const quietMs = nowMs - since;
    const prefillMs = oldest.inputTokens * this.#settings.prefillMsPerToken;
    if (quietMs > this.averageMs + 3 * this.deviationMs + prefillMs) return true;
    if (this.waiting < 3) return false;
    return quietMs > 10 * this.#gapMs && quietMs > 0.5 * this.averageMs;
  }

  sampleInterToken(spanMs: number, outputTokens: number): void {
    if (outputTokens < 8 || spanMs <= 0) return;
    const value = spanMs / (outputTokens - 1);
    this.interTokenMs =
      this.interTokenMs === undefined
        ? value
        : this.interTokenMs + 0.1 * (value - this.interTokenMs);
  }

  /**
   * Average plus deviation now, for an empty prompt. Bad memories fade towards the baseline with
   * silence; a request that waits longer than expected raises it.
   */
  expectedMs(nowMs: number): number {
    let expected = this.averageMs + this.deviationMs;
    const usual = usualFactor * this.baselineMs;
    const silentMs = nowMs - this.sampledAtMs;
    if (expected > usual && silentMs > 1_000) {
      expected = usual + (expected - usual) * Math.exp(-silentMs / this.#settings.latencyDecayMs);
    }
    const oldest = this.#oldest;
    if (oldest === undefined) return expected;
    const ageMs = nowMs - oldest.sentAtMs - oldest.inputTokens * this.#settings.prefillMsPerToken;
    const bound = ageMs - 3 * this.deviationMs;
    return bound > expected ? bound : expected;
  }

  /** Time after which hardly any request of this size is still without content. */
  overdueMs(inputTokens: number): number {
    const prefillMs = inputTokens * this.#settings.prefillMsPerToken;
    return this.averageMs + overdueDeviations * this.deviationMs + prefillMs;
  }

  /**
   * True when several requests are overdue at once and nothing came meanwhile; and from then on
   * for every overdue one, until something comes.
   */
  isDead(nowMs: number): boolean {
    if (this.#isDeclaredDead) return true;
    if (this.samples < firstSamples || this.waiting < overdueTogether) return false;
    let attempt = this.#oldest;
    for (let count = 0; count < overdueTogether; count++) {
      if (attempt === undefined || nowMs < attempt.overdueAtMs) return false;
      attempt = attempt.waitingAfter;
    }
    const usualMs = (this.#oldest?.overdueAtMs ?? 0) - (this.#oldest?.sentAtMs ?? 0);
    this.#isDeclaredDead = nowMs - this.#contentAtMs >= usualMs;
    return this.#isDeclaredDead;
  }

  /** True while the last news were bad: then one request now and then finds out. */
  isSuspect(): boolean {
    return this.samples >= firstSamples && this.averageMs > suspectFactor * this.baselineMs;
  }

  /** Whether a suspect lane may be looked at: nobody is looking, and the pause since is over. */
  mayLook(nowMs: number): boolean {
    if (this.waiting > 0) return false;
    const pauseMs = lookPauseMs * 2 ** Math.min(this.#badLooks, 4);
    return nowMs - this.sampledAtMs > pauseMs;
  }

  push(attempt: Waiting): void {
    attempt.waitingBefore = this.#newest;
    attempt.waitingAfter = undefined;
    if (this.#newest === undefined) this.#oldest = attempt;
    else this.#newest.waitingAfter = attempt;
    this.#newest = attempt;
    this.waiting += 1;
  }

  remove(attempt: Waiting): void {
    const { waitingBefore, waitingAfter } = attempt;
    if (waitingBefore === undefined) this.#oldest = waitingAfter;
    else waitingBefore.waitingAfter = waitingAfter;
    if (waitingAfter === undefined) this.#newest = waitingBefore;
    else waitingAfter.waitingBefore = waitingBefore;
    attempt.waitingBefore = undefined;
    attempt.waitingAfter = undefined;
    this.waiting -= 1;
  }
}
