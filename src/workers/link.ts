/**
 * Messages between two processes of one program over a pipe: questions with answers, and news without.
 * What one turn of the event loop has to say is one frame: the length of its text in four bytes, then
 * JSON, which costs half of what `node:v8` asks for. What nobody waits for goes with the next frame
 * that somebody waits for, or a little later on its own: a frame costs two system calls on each side.
 *
 * A question has no time-out of its own: an answer of the ledger that is given up would be a charge
 * that nobody knows of. When the other process ends, all that is open is rejected.
 */

import type { Duplex } from 'node:stream';
import { parseScannedJson } from '#std';
import { StoreUnavailableError } from '#store';

/** What one side can be asked or told, by name. */
export type Calls = { readonly [name: string]: (...words: never[]) => unknown };

type Told = { readonly name: string; readonly message: string; readonly code?: unknown };

type Message =
  | readonly ['tell', string, readonly unknown[]]
  | readonly ['ask' | 'ask-later', string, readonly unknown[], number]
  | readonly ['answer', number, unknown]
  | readonly ['refuse', number, Told];

type Open = { resolve(value: unknown): void; reject(reason: Error): void };

/** A frame is full with so many; one message may be longer. */
const frameCharactersMax = 2 ** 20;
const frameBytesMax = 2 ** 30;
const lengthBytes = 4;
/** How long what nobody waits for may wait for company. */
const laterMs = 5;
const quietTurns = 3;
/** Some seconds: who stops does not wait for ever. */
const turnsMax = 5_000;

export class Link<Distant extends Calls> {
  readonly #pipe: Duplex;
  readonly #own: Calls;
  readonly #frames = new FrameReader();
  readonly #open = new Map<number, Open>();
  /** Questions of the other side that are being worked on. */
  readonly #working = new Set<Promise<void>>();
  #outgoing: Message[] = [];
  #isFlushing = false;
  #later: NodeJS.Timeout | undefined;
  #lastId = 0;
  #isClosed = false;
  /** Resolves when the other side is gone, after everything it said was heard and worked on. */
  readonly closed: Promise<void>;

  constructor(pipe: Duplex, own: Calls) {
    this.#pipe = pipe;
    this.#own = own;
    pipe.on('data', (piece: Buffer) => {
      try {
        this.#hear(piece);
      } catch (error) {
        // A fault of ours in what one of them said: it costs this connection, not this process.
        pipe.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    pipe.on('error', () => pipe.destroy());
    // Who says no more wants to hear no more.
    pipe.on('end', () => pipe.destroy());
    this.closed = new Promise((resolve) =>
      pipe.once('close', () => void this.#end().then(resolve)),
    );
  }

  ask<Name extends keyof Distant & string>(
    name: Name,
    ...words: Parameters<Distant[Name]>
  ): Promise<Awaited<ReturnType<Distant[Name]>>> {
    return this.#ask('ask', name, words);
  }

  /** A question whose answer nobody is in a hurry for. */
  askLater<Name extends keyof Distant & string>(
    name: Name,
    ...words: Parameters<Distant[Name]>
  ): Promise<Awaited<ReturnType<Distant[Name]>>> {
    return this.#ask('ask-later', name, words);
  }

  tell<Name extends keyof Distant & string>(name: Name, ...words: Parameters<Distant[Name]>): void {
    this.#send(['tell', name, words], false);
  }

  /** News that the other side should not hear later than what follows from it. */
  tellNow<Name extends keyof Distant & string>(
    name: Name,
    ...words: Parameters<Distant[Name]>
  ): void {
    this.#send(['tell', name, words], true);
  }

  #ask<Name extends keyof Distant & string>(
    kind: 'ask' | 'ask-later',
    name: Name,
    words: Parameters<Distant[Name]>,
  ): Promise<Awaited<ReturnType<Distant[Name]>>> {
    if (this.#isClosed) return Promise.reject(gone());
    this.#lastId += 1;
    const id = this.#lastId;
    this.#send([kind, name, words, id], kind === 'ask');
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
    });
  }

  /** Resolves when no question of ours is open. */
  async settled(): Promise<void> {
    // A look after each turn: an answer may be the reason for the next question.
    for (let quiet = 0, turns = 0; quiet < quietTurns && turns < turnsMax; quiet += 1, turns += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (this.#open.size > 0) quiet = 0;
    }
  }

  close(): void {
    this.#flush();
    this.#pipe.end();
  }

  #send(message: Message, isUrgent: boolean): void {
    if (this.#isClosed) return;
    this.#outgoing.push(message);
    if (this.#isFlushing) return;
    if (isUrgent) {
      this.#isFlushing = true;
      setImmediate(() => this.#flush());
    } else this.#later ??= setTimeout(() => this.#flush(), laterMs).unref();
  }

  #flush(): void {
    this.#isFlushing = false;
    clearTimeout(this.#later);
    this.#later = undefined;
    const messages = this.#outgoing;
    if (messages.length === 0 || this.#isClosed) return;
    this.#outgoing = [];
    let text = '';
    for (const message of messages) {
      const piece = this.#textOf(message);
      if (piece === undefined) continue;
      text += text === '' ? `[${piece}` : `,${piece}`;
      if (text.length < frameCharactersMax) continue;
      this.#write(`${text}]`);
      text = '';
    }
    if (text !== '') this.#write(`${text}]`);
  }

  #write(text: string): void {
    const length = Buffer.byteLength(text);
    const frame = Buffer.allocUnsafe(lengthBytes + length);
    frame.writeUInt32LE(length);
    frame.write(text, lengthBytes);
    this.#pipe.write(frame);
  }

  /** What cannot be written (a text longer than the engine's longest) fails alone. */
  #textOf(message: Message): string | undefined {
    try {
      return JSON.stringify(message);
    } catch (error) {
      const fault = error instanceof Error ? error : new Error(String(error));
      if (message[0] === 'answer') return JSON.stringify(['refuse', message[1], told(fault)]);
      if (message[0] !== 'tell' && message[0] !== 'refuse') this.#settle(message[3])?.reject(fault);
      return undefined;
    }
  }

  #hear(piece: Buffer): void {
    for (const frame of this.#frames.push(piece)) {
      const parsed = parseScannedJson(frame.toString('utf8'));
      if (!parsed.ok) throw new Error(`a frame between processes is damaged: ${parsed.message}`);
      for (const message of parsed.value as unknown as readonly Message[]) this.#take(message);
    }
  }

  #take(message: Message): void {
    switch (message[0]) {
      case 'tell':
        this.#call(message[1], message[2]);
        break;
      case 'ask':
      case 'ask-later': {
        const [kind, name, words, id] = message;
        const work = this.#answer(name, words, id, kind === 'ask');
        this.#working.add(work);
        void work.finally(() => this.#working.delete(work));
        break;
      }
      case 'answer':
        this.#settle(message[1])?.resolve(message[2]);
        break;
      case 'refuse':
        this.#settle(message[1])?.reject(asError(message[2]));
        break;
    }
  }

  #settle(id: number): Open | undefined {
    const open = this.#open.get(id);
    this.#open.delete(id);
    return open;
  }

  #call(name: string, words: readonly unknown[]): unknown {
    const call = this.#own[name];
    if (call === undefined) throw new Error(`nobody answers to ${name}`);
    return call(...(words as never[]));
  }

  async #answer(
    name: string,
    words: readonly unknown[],
    id: number,
    isUrgent: boolean,
  ): Promise<void> {
    try {
      this.#send(['answer', id, await this.#call(name, words)], isUrgent);
    } catch (error) {
      this.#send(['refuse', id, told(error)], true);
    }
  }

  async #end(): Promise<void> {
    this.#isClosed = true;
    for (const open of this.#open.values()) open.reject(gone());
    this.#open.clear();
    await Promise.all(this.#working);
  }
}

/** Frames out of pieces as they come; a frame that came in one piece is not copied. */
class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  #pieces: Buffer[] = [];
  #bytes = 0;
  #needed = lengthBytes;

  *push(piece: Buffer): Generator<Buffer> {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes < this.#needed) return;
    this.#rest = this.#pieces.length === 1 ? piece : Buffer.concat(this.#pieces);
    for (;;) {
      this.#needed = lengthBytes;
      if (this.#rest.length < lengthBytes) break;
      const length = this.#rest.readUInt32LE();
      if (length > frameBytesMax) throw new RangeError('a frame between processes is too large');
      this.#needed = lengthBytes + length;
      if (this.#rest.length < this.#needed) break;
      const frame = this.#rest.subarray(lengthBytes, this.#needed);
      this.#rest = this.#rest.subarray(this.#needed);
      yield frame;
    }
    this.#pieces = this.#rest.length === 0 ? [] : [this.#rest];
    this.#bytes = this.#rest.length;
  }
}

function told(error: unknown): Told {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), code: undefined };
  return {
    name: error.name,
    message: error.message,
    code: 'code' in error ? error.code : undefined,
  };
}

/** The one failure that callers tell apart keeps its class. */
function asError({ name, message, code }: Told): Error {
  if (name !== 'StoreUnavailableError') return new Error(`${name}: ${message}`);
  return new StoreUnavailableError(
    code === 'store_fenced' ? 'store_fenced' : 'store_unavailable',
    message,
  );
}

function gone(): Error {
  return new StoreUnavailableError('store_unavailable', 'the process at the other end is gone');
}
