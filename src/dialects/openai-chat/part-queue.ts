import type { ChatEvent, Citation, OpaqueState, Part } from '#canonical';
import type { JsonObject } from '#std';

/** A part of a streamed answer on its way out. */
export type PendingPart = {
  /** What deltas of the same part are recognised by. */
  readonly key: string;
  head: Part;
  /** Text that is not out yet. */
  readonly waiting: string[];
  index: number | undefined;
  /** Whether the part is whole already, so that the next one may begin. */
  whole: () => boolean;
  /** Whether enough is known to begin: a tool call needs its name. */
  ready: () => boolean;
  empty: boolean;
  state?: OpaqueState | undefined;
  transcript?: string | undefined;
  extensions?: JsonObject | undefined;
};

const always = (): boolean => true;

/**
 * Puts the parts of one choice in line. Chat may begin a tool call while the one before still
 * receives arguments, our streams may not: the first in line is passed on as it comes, the others
 * wait until it is whole. Text is whole as soon as something else begins.
 */
export class PartQueue {
  readonly #choice: number;
  readonly #nextIndex: () => number;
  readonly #line: PendingPart[] = [];
  #citations: Citation[] = [];
  #added = 0;

  /** `nextIndex` counts over the whole stream. */
  constructor(choice: number, nextIndex: () => number) {
    this.#choice = choice;
    this.#nextIndex = nextIndex;
  }

  /** A part that never grows into the one before. */
  add(head: Part): PendingPart {
    this.#added += 1;
    return this.open(`added:${this.#added}`, head);
  }

  /** The last in line, when it has this key; else a new part there. */
  open(key: string, head: Part): PendingPart {
    const last = this.#line.at(-1);
    if (last?.key === key) return last;
    const part: PendingPart = {
      key,
      head,
      waiting: [],
      index: undefined,
      whole: always,
      ready: always,
      empty: true,
    };
    this.#line.push(part);
    return part;
  }

  /** Citations go to the text that is in line, at its end. */
  cite(citations: readonly Citation[]): void {
    this.#citations.push(...citations);
  }

  /** Passes on what may go. */
  pump(events: ChatEvent[]): void {
    for (;;) {
      const first = this.#line[0];
      if (!first) return;
      const follows = this.#line.length > 1;
      if (first.ready() || (follows && first.whole())) this.#flush(first, events);
      if (!follows || !first.whole()) return;
      this.#close(first, events);
    }
  }

  /** Ends all parts in their order. `beside`: citations of the whole answer, for want of better ones. */
  closeAll(events: ChatEvent[], beside: readonly Citation[]): void {
    if (this.#citations.length === 0) this.#citations.push(...beside);
    if (this.#citations.length > 0 && !this.#line.some((part) => part.head.kind === 'text')) {
      this.open('text', { kind: 'text', text: '' });
    }
    for (let first = this.#line[0]; first; first = this.#line[0]) {
      this.#flush(first, events);
      this.#close(first, events);
    }
  }

  #flush(part: PendingPart, events: ChatEvent[]): void {
    if (part.index === undefined) {
      part.index = this.#nextIndex();
      events.push({ kind: 'part-start', index: part.index, choice: this.#choice, part: part.head });
    }
    for (const delta of part.waiting) {
      if (delta === '') continue;
      part.empty = false;
      events.push({ kind: 'part-delta', index: part.index, delta });
    }
    part.waiting.length = 0;
  }

  #close(part: PendingPart, events: ChatEvent[]): void {
    this.#line.shift();
    const index = part.index ?? this.#nextIndex();
    if (part.head.kind === 'tool-call' && part.empty && part.head.custom !== true) {
      events.push({ kind: 'part-delta', index, delta: '{}' });
    }
    const citations =
      part.head.kind === 'text' && this.#citations.length > 0 ? this.#citations : undefined;
    if (citations) this.#citations = [];
    const { state, transcript, extensions } = part;
    const final = {
      ...(state ? { state } : {}),
      ...(citations ? { citations } : {}),
      ...(transcript === undefined ? {} : { transcript }),
      ...(extensions ? { extensions } : {}),
    };
    events.push(
      Object.keys(final).length > 0
        ? { kind: 'part-end', index, final }
        : { kind: 'part-end', index },
    );
  }
}

/** Tells when the pieces of a JSON value make it whole. Looks at each character once. */
export class JsonProgress {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #begun = false;

  get begun(): boolean {
    return this.#begun;
  }

  get whole(): boolean {
    return this.#begun && this.#depth === 0 && !this.#inString;
  }

  push(piece: string): void {
    for (let index = 0; index < piece.length; index += 1) this.#take(piece.charCodeAt(index));
  }

  #take(code: number): void {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (code === 0x5c) this.#escaped = true;
      else if (code === 0x22) this.#inString = false;
      return;
    }
    if (code === 0x22) this.#inString = true;
    else if (code === 0x7b || code === 0x5b) {
      this.#depth += 1;
      this.#begun = true;
    } else if (code === 0x7d || code === 0x5d) this.#depth -= 1;
  }
}
