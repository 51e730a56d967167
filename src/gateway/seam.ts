/**
 * Where a continuation meets the text that the client already has. Models that are asked to go on from
 * a text sometimes say its last words again, and sometimes begin the whole answer anew. The client must
 * read nothing twice: a repeated end is cut off, and an answer that begins anew is no continuation.
 */

/** So much of a continuation is looked at before any of it goes out. */
const lookCharacters = 64;
/** Shorter repetitions are taken for the language's own: "the" after "the" may be meant. */
const repetitionCharactersMin = 12;
/** A repetition is looked for in so much of the end. */
const tailCharacters = 4_096;

export class Seam {
  readonly #delivered: string;
  #waiting = '';
  #decided = false;
  /** The continuation begins the answer anew: nothing of it may be delivered. */
  restarted = false;
  /** What was said again and cut off. */
  repeatedText = '';

  constructor(delivered: string) {
    this.#delivered = delivered;
  }

  /** Text that may go to the client now. */
  push(text: string): string {
    if (this.restarted) return '';
    if (this.#decided) return text;
    this.#waiting += text;
    return this.#decide(false);
  }

  /** The continuation has ended: what is still waiting is all there is. */
  end(): string {
    return this.#decided || this.restarted ? '' : this.#decide(true);
  }

  #decide(ended: boolean): string {
    const waiting = this.#waiting;
    if (!ended && waiting.length < lookCharacters) return '';
    if (waiting === '') return '';
    if (this.#beginsAnew(waiting)) {
      this.restarted = true;
      return '';
    }
    const repeated = this.#repeated(waiting);
    if (repeated > waiting.length && !ended) return '';
    this.#decided = true;
    this.#waiting = '';
    this.repeatedText = waiting.slice(0, repeated);
    return waiting.slice(repeated);
  }

  #beginsAnew(text: string): boolean {
    const length = Math.min(text.length, this.#delivered.length, lookCharacters);
    const isLongEnough = length >= repetitionCharactersMin || length === this.#delivered.length;
    return isLongEnough && text.startsWith(this.#delivered.slice(0, length));
  }

  /** How much of the delivered end the text begins with; more than the text has when it is not said to the end yet. */
  #repeated(text: string): number {
    const tail = this.#delivered.slice(-tailCharacters);
    for (let at = 0; at <= tail.length - repetitionCharactersMin; at += 1) {
      const length = tail.length - at;
      const seen = Math.min(length, text.length);
      if (seen >= repetitionCharactersMin && text.startsWith(tail.slice(at, at + seen)))
        return length;
    }
    return this.#repeatedSpace(text);
  }

  /** Vendors take no text that ends in white space, so it is cut off there and said again here. */
  #repeatedSpace(text: string): number {
    const space = /\s*$/.exec(this.#delivered)?.[0] ?? '';
    return space !== '' && text.startsWith(space) ? space.length : 0;
  }
}
