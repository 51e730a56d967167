/**
 * How long the next batch waits for company. Who is busy writes fewer and larger frames by it; who
 * is not never waits. After a batch of several operations the next one waits until nearly as many
 * are there, and no longer than half the time since the last one was taken: so it adds little to
 * what operations wait under load anyway, and a single crowd is forgotten within a few batches.
 */
export class Gathering {
  readonly #nowMs: () => number;
  #last = 0;
  #takenAtMs = 0;
  #wanted = 0;
  #wake: (() => void) | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether `count` operations should wait for more, and for how many milliseconds at most. */
  patienceMs(count: number): number {
    this.#wanted = Math.floor(this.#last * wantedShare);
    if (this.#wanted < crowdMin || count >= this.#wanted) return 0;
    const cycleMs = this.#nowMs() - this.#takenAtMs;
    const patienceMs = Math.min(patienceMaxMs, cycleMs * patienceShare);
    // Timers count whole milliseconds.
    return patienceMs < 1 ? 0 : patienceMs;
  }

  /** Resolves when enough operations are there, or the time is over. */
  wait(patienceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), patienceMs);
      this.#wake = () => {
        this.#wake = undefined;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One more operation was queued, and `count` are there now. */
  grown(count: number): void {
    if (this.#wake && count >= this.#wanted) this.#wake();
  }

  /** Something that must not wait. */
  hurry(): void {
    this.#wake?.();
  }

  taken(count: number): void {
    this.#last = count;
    this.#takenAtMs = this.#nowMs();
  }
}

/** Below one, so that a batch of always the same size becomes smaller until nobody waits. */
const wantedShare = 0.9;
const crowdMin = 3;
const patienceShare = 0.5;
const patienceMaxMs = 4;
