/**
 * The simulator's own meter: what it would bill for each request, kept apart from what it tells its
 * clients, so that a gateway's books can be held against it. A stream is billed for what was written
 * before the connection closed; a whole answer is billed in full, as vendors do, and so is a stream
 * when the simulator was told to work on after a client has left.
 */

import { inputTotalTokens, type Usage } from '#canonical';

/** One billed request. */
export type BillEntry = {
  /** The client's `x-client-request-id`: a gateway sends the id of its attempt. */
  readonly attemptId: string | undefined;
  readonly path: string;
  readonly model: string;
  readonly atMs: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  /** Characters of the answer that were written, reasoning included. */
  readonly characters: number;
  /** Whether the answer was generated to its end. */
  readonly complete: boolean;
};

/** What an answer is made of: `marks[i]` is what has been generated when piece `i` is written. */
export type Measured = {
  readonly usage: Usage;
  readonly marks: readonly Mark[];
};

export type Mark = {
  /** Bytes of the body up to and with this piece. */
  readonly bytes: number;
  readonly visibleCharacters: number;
  readonly reasoningCharacters: number;
};

const entriesMax = 100_000;

/** Token counts of the simulator: one for four characters, and one for the end of the answer. */
export const charactersPerToken = 4;

/** The bill so far; the oldest entries are let go beyond a hundred thousand. */
export class Bill {
  readonly entries: BillEntry[] = [];

  add(entry: BillEntry): void {
    this.entries.push(entry);
    if (this.entries.length > entriesMax) this.entries.shift();
  }

  clear(): void {
    this.entries.length = 0;
  }
}

type Place = Pick<BillEntry, 'attemptId' | 'path' | 'model' | 'atMs'>;

/** The entry for an answer that was generated to its end, or of which only `bytes` were written. */
export function entryOf(
  place: Place,
  measured: Measured,
  bytes: number,
  complete: boolean,
): BillEntry {
  const { usage, marks } = measured;
  const reached = complete ? marks.at(-1) : marks.findLast((mark) => mark.bytes <= bytes);
  const { visibleCharacters = 0, reasoningCharacters = 0 } = reached ?? {};
  return {
    ...place,
    inputTokens: inputTotalTokens(usage) ?? 0,
    outputTokens: complete
      ? (usage.outputTokens ?? 0)
      : Math.ceil(visibleCharacters / charactersPerToken),
    reasoningTokens: complete
      ? (usage.reasoningTokens ?? 0)
      : Math.ceil(reasoningCharacters / charactersPerToken),
    characters: visibleCharacters + reasoningCharacters,
    complete,
  };
}
