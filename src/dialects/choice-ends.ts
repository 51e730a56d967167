/** Which choices of a stream have begun, and which of them have said why they end: some vendors ignore how many were asked for. */
export class ChoiceEnds {
  readonly #begun = new Set<number>();
  readonly #ended = new Set<number>();

  note(index: number, ended: boolean): void {
    this.#begun.add(index);
    if (ended) this.#ended.add(index);
  }

  /** How many have ended. */
  get count(): number {
    return this.#ended.size;
  }

  get mayEnd(): boolean {
    return this.count > 0 && this.count === this.#begun.size;
  }
}
