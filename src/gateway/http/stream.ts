/** The body of a streamed response. */
export type ResponseStream = {
  /**
   * Queues bytes, which leave with all others of the same tick. False asks the writer to wait for
   * `drained`, or means that the client is gone. Takes ownership of `bytes`.
   */
  write(bytes: Uint8Array): boolean;
  /** Resolves when there is room again, and also when the client is gone. */
  drained(): Promise<void>;
  /** Ends the response cleanly. */
  end(): void;
  /** Cuts the connection, so that the client sees an incomplete response. */
  destroy(): void;
};

/** Where the bytes of a stream go: a response of `node:http`, or one of our own. */
export type StreamSink = {
  readonly destroyed: boolean;
  readonly writableLength: number;
  write(text: string, encoding: 'latin1'): unknown;
  write(bytes: Uint8Array): unknown;
  end(): unknown;
  destroy(): unknown;
  flushHeaders(): void;
};

const lineBreak = '\r\n';
const lastChunk = '0\r\n\r\n';
/** Below this many bytes copying pieces into one buffer is cheaper than a vectored write. */
export const copyBytesMax = 32_768;

/**
 * Writes a response body with one HTTP chunk and one write per tick. Node frames every `write`
 * as four pieces of its own, so the chunks are framed here and handed over ready.
 */
export class HttpResponseStream implements ResponseStream {
  readonly #sink: StreamSink;
  readonly #bufferBytesMax: number;
  readonly #chunked: boolean;
  #pieces: Uint8Array[] = [];
  #queuedBytes = 0;
  #scheduled = false;
  #ended = false;
  #waiting: PromiseWithResolvers<void> | undefined;

  /** The sink has its head already. Its owner calls `release` when it has drained or is gone. */
  constructor(sink: StreamSink, chunked: boolean, bufferBytesMax: number) {
    this.#sink = sink;
    this.#chunked = chunked;
    this.#bufferBytesMax = bufferBytesMax;
    this.#schedule();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#ended || this.#sink.destroyed) return false;
    if (bytes.length > 0) {
      this.#pieces.push(bytes);
      this.#queuedBytes += bytes.length;
      this.#schedule();
    }
    return this.#hasRoom();
  }

  drained(): Promise<void> {
    if (this.#scheduled) this.#flush(false);
    if (this.#sink.destroyed || this.#hasRoom()) return Promise.resolve();
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#flush(true);
    this.#sink.end();
  }

  destroy(): void {
    this.#ended = true;
    this.#pieces = [];
    this.#queuedBytes = 0;
    this.#sink.destroy();
  }

  #hasRoom(): boolean {
    return this.#queuedBytes + this.#sink.writableLength < this.#bufferBytesMax;
  }

  /** Lets the writer go on. */
  release(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(flushScheduled, this);
  }

  /** Called once per tick; the head leaves even when no byte of the body is there yet. */
  flushTick(): void {
    if (!this.#scheduled || this.#ended) return;
    if (this.#queuedBytes > 0) this.#flush(false);
    else {
      this.#scheduled = false;
      this.#sink.flushHeaders();
    }
  }

  #flush(last: boolean): void {
    this.#scheduled = false;
    const pieces = this.#pieces;
    const bytes = this.#queuedBytes;
    if (bytes === 0) {
      if (last && this.#chunked) this.#sink.write(lastChunk, 'latin1');
      return;
    }
    this.#pieces = [];
    this.#queuedBytes = 0;
    const head = this.#chunked ? bytes.toString(16) + lineBreak : '';
    const tail = this.#chunked ? lineBreak + (last ? lastChunk : '') : '';
    if (bytes <= copyBytesMax) {
      this.#sink.write(joined(head, pieces, bytes, tail));
      return;
    }
    if (head !== '') this.#sink.write(head, 'latin1');
    for (const piece of pieces) this.#sink.write(piece);
    if (tail !== '') this.#sink.write(tail, 'latin1');
  }
}

function flushScheduled(stream: HttpResponseStream): void {
  stream.flushTick();
}

function joined(head: string, pieces: readonly Uint8Array[], bytes: number, tail: string): Buffer {
  const buffer = Buffer.allocUnsafe(head.length + bytes + tail.length);
  let position = buffer.write(head, 0, 'latin1');
  for (const piece of pieces) {
    buffer.set(piece, position);
    position += piece.length;
  }
  buffer.write(tail, position, 'latin1');
  return buffer;
}
