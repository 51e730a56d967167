/** Who used how much lately: decides who yields first while room is short. */

type Share = { usage: number; updatedAtMs: number; virtualFinish: number };

const decayMs = 60_000;
const idleMs = 120_000;
const sweepEveryMs = 10_000;
const overShareFactor = 1.25;

export class FairShare {
  readonly #maximum: number;
  readonly #users = new Map<string, Share>();
  #total = 0;
  #totalUpdatedAtMs = 0;
  #sweptAtMs = 0;
  #virtualTime = 0;

  constructor(usersMaximum: number) {
    this.#maximum = usersMaximum;
  }

  get size(): number {
    return this.#users.size;
  }

  charge(userId: string, tokens: number, nowMs: number): void {
    const share = this.#share(userId, nowMs);
    share.usage += tokens;
    this.#decayTotal(nowMs);
    this.#total += tokens;
    if (nowMs - this.#sweptAtMs > sweepEveryMs) this.#sweep(nowMs);
  }

  /** True when the user took clearly more than an equal part of what was taken lately. */
  isOverShare(userId: string, nowMs: number): boolean {
    const share = this.#users.get(userId);
    if (share === undefined || this.#users.size < 2) return false;
    this.#decayTotal(nowMs);
    const usage = share.usage * Math.exp(-(nowMs - share.updatedAtMs) / decayMs);
    return usage > overShareFactor * (this.#total / this.#users.size);
  }

  /**
   * Place in line by start-time fair queueing: each user's requests are spaced by their size, so
   * that users are served equal tokens and not equal requests.
   */
  virtualStart(userId: string, tokens: number, nowMs: number): number {
    const share = this.#share(userId, nowMs);
    const start = Math.max(this.#virtualTime, share.virtualFinish);
    share.virtualFinish = start + tokens;
    return start;
  }

  /** A waiter with this place was served. */
  advance(virtualStart: number): void {
    if (virtualStart > this.#virtualTime) this.#virtualTime = virtualStart;
  }

  #share(userId: string, nowMs: number): Share {
    const known = this.#users.get(userId);
    if (known !== undefined) {
      const elapsedMs = nowMs - known.updatedAtMs;
      if (elapsedMs > 250) {
        known.usage *= Math.exp(-elapsedMs / decayMs);
        known.updatedAtMs = nowMs;
      }
      return known;
    }
    if (this.#users.size >= this.#maximum) this.#dropOldest();
    const share: Share = { usage: 0, updatedAtMs: nowMs, virtualFinish: 0 };
    this.#users.set(userId, share);
    return share;
  }

  #dropOldest(): void {
    for (const key of this.#users.keys()) {
      this.#users.delete(key);
      return;
    }
  }

  #decayTotal(nowMs: number): void {
    const elapsedMs = nowMs - this.#totalUpdatedAtMs;
    if (elapsedMs < 250) return;
    this.#total *= Math.exp(-elapsedMs / decayMs);
    this.#totalUpdatedAtMs = nowMs;
  }

  #sweep(nowMs: number): void {
    this.#sweptAtMs = nowMs;
    for (const [userId, share] of this.#users) {
      if (nowMs - share.updatedAtMs > idleMs) this.#users.delete(userId);
    }
  }
}
