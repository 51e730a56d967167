/**
 * Reading on after the client left, where leaving would not stop the vendor's meter: the exact usage
 * comes at the end of the stream. Bounded in number and time; beyond that the answer is estimated.
 */
export class Drains {
  readonly #most: number;
  #running = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get running(): number {
    return this.#running;
  }

  /** Takes a place; the caller must call the returned function when done. `undefined`: no place left. */
  begin(): (() => void) | undefined {
    if (this.#running >= this.#most) return undefined;
    this.#running += 1;
    let ended = false;
    return () => {
      if (!ended) this.#running -= 1;
      ended = true;
    };
  }
}
