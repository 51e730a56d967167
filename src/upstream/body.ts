import { UpstreamFailure } from './failure.ts';

/** Takes a body in pieces, which stay as they are after the call. Must not throw. */
export type BodySink = {
  data(piece: Uint8Array): void;
  /** The body is complete. Nothing follows. */
  end(): void;
  /** The body breaks off here. Nothing follows. */
  failed(failure: UpstreamFailure): void;
};

/** A body on its way, for one reader. */
export type BodySource = {
  /** `hearsCancel`: `cancel` reaches the sink as a failure; otherwise it hears nothing more. */
  attach(sink: BodySink, hearsCancel: boolean): void;
  /** Nothing is given to the sink until `resume`; soon the sender is held back. */
  pause(): void;
  resume(): void;
  cancel(): void;
};

const over: IteratorResult<Uint8Array, undefined> = Object.freeze({ done: true, value: undefined });

/** A body for `for await`: one piece for each question, and none without. */
export class PulledBody implements BodySink, AsyncIterableIterator<Uint8Array, undefined> {
  readonly #source: BodySource;
  #asked: PromiseWithResolvers<IteratorResult<Uint8Array, undefined>> | undefined;
  #isOver = false;
  #failure: UpstreamFailure | undefined;
  #attached = false;

  constructor(source: BodySource) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isOver) return Promise.resolve(over);
    if (this.#asked !== undefined)
      return Promise.reject(new RangeError('the body is read twice at once'));
    const asked = Promise.withResolvers<IteratorResult<Uint8Array, undefined>>();
    this.#asked = asked;
    if (this.#attached) this.#source.resume();
    else {
      this.#attached = true;
      this.#source.attach(this, true);
    }
    return asked.promise;
  }

  data(piece: Uint8Array): void {
    this.#source.pause();
    this.#asked?.resolve({ done: false, value: piece });
    this.#asked = undefined;
  }

  end(): void {
    this.#isOver = true;
    this.#asked?.resolve(over);
    this.#asked = undefined;
  }

  failed(failure: UpstreamFailure): void {
    this.#failure = failure;
    this.#asked?.reject(failure);
    this.#asked = undefined;
  }

  /** A reader that stops early cuts the connection. */
  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#source.cancel();
    return Promise.resolve(over);
  }
}

/** Reads a body to its end; rejects with kind 'too-large' and cuts the connection beyond `bytesMax`. */
export function collectBody(source: BodySource, bytesMax: number): Promise<Buffer> {
  const whole = new WholeBody(source, bytesMax);
  source.attach(whole, true);
  return whole.done.promise;
}

class WholeBody implements BodySink {
  readonly done: PromiseWithResolvers<Buffer> = Promise.withResolvers();
  readonly #source: BodySource;
  readonly #bytesMax: number;
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(source: BodySource, bytesMax: number) {
    this.#source = source;
    this.#bytesMax = bytesMax;
  }

  data(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (this.#bytes <= this.#bytesMax) {
      this.#pieces.push(piece);
      return;
    }
    const message = `the answer exceeds ${this.#bytesMax} bytes`;
    this.done.reject(new UpstreamFailure('too-large', message, true));
    this.#source.cancel();
  }

  end(): void {
    const [first] = this.#pieces;
    const isOnly = this.#pieces.length === 1 && first instanceof Buffer;
    this.done.resolve(isOnly ? first : Buffer.concat(this.#pieces, this.#bytes));
  }

  failed(failure: UpstreamFailure): void {
    this.done.reject(failure);
  }
}

/** Pushes a body that is pulled, such as one that is decompressed on the way. */
export class PumpedBody implements BodySource {
  readonly #pieces: AsyncIterable<Uint8Array>;
  readonly #cut: () => void;
  #cancelled = false;
  #hearsCancel = false;
  #held: PromiseWithResolvers<void> | undefined;

  constructor(pieces: AsyncIterable<Uint8Array>, cut: () => void) {
    this.#pieces = pieces;
    this.#cut = cut;
  }

  attach(sink: BodySink, hearsCancel: boolean): void {
    this.#hearsCancel = hearsCancel;
    void this.#pump(sink);
  }

  async #pump(sink: BodySink): Promise<void> {
    try {
      for await (const piece of this.#pieces) {
        while (this.#held !== undefined) await this.#held.promise;
        if (this.#cancelled) break;
        sink.data(piece);
      }
      while (this.#held !== undefined) await this.#held.promise;
      if (!this.#cancelled) sink.end();
      else if (this.#hearsCancel)
        sink.failed(new UpstreamFailure('aborted', 'the call was cancelled', true));
    } catch (error) {
      if (!(error instanceof UpstreamFailure)) throw error;
      if (!this.#cancelled || this.#hearsCancel) sink.failed(error);
    }
  }

  pause(): void {
    this.#held ??= Promise.withResolvers();
  }

  resume(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  cancel(): void {
    this.#cancelled = true;
    this.resume();
    this.#cut();
  }
}
