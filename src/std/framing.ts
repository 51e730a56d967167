/** The largest frame, unless told: as large as a whole answer may be, since a generated picture comes in one. */
export const frameBytesMax = 64 * 2 ** 20;

/** Why a streamed body could not be cut into frames. */
export type FramingFault = 'line-too-long' | 'event-too-large' | 'malformed' | 'checksum';

/**
 * Thrown by the stream splitters (SSE, NDJSON, JSON array, AWS event stream) when the peer
 * exceeds a bound or breaks the framing. The parser that threw it is spent.
 */
export class FramingError extends Error {
  readonly fault: FramingFault;

  constructor(fault: FramingFault, message: string) {
    super(message);
    this.name = 'FramingError';
    this.fault = fault;
  }
}

/**
 * One unit of a streamed body: a server-sent event, one element of a JSON array, one line of
 * NDJSON or one message of an AWS event stream. `raw` holds the exact bytes of the unit with
 * everything since the previous one, so that the concatenation of all `raw` is the body.
 */
export type StreamFrame = {
  readonly event?: string;
  readonly data: string;
  readonly id?: string;
  readonly raw: Uint8Array;
};

/** Cuts a byte stream into frames; `end` hands back what is left when the stream is over. */
export type FrameParser<Frame extends StreamFrame = StreamFrame> = {
  /** Takes ownership of `bytes`: returned frames may be views on them. Throws FramingError. */
  push(bytes: Uint8Array): readonly Frame[];
  /** The incomplete tail, or undefined when the stream ended on a frame boundary. */
  end(): Frame | undefined;
  /** The bytes after the last frame, so that a verbatim copy of the stream can be completed. */
  rest(): Uint8Array;
};

/** What `push` returns when no frame is complete; shared so that idle pushes allocate nothing. */
export const noFrames: readonly never[] = Object.freeze([]);

/** A view of the same memory as a Buffer, for its fast search and decode functions. */
export function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const emptyBuffer = Buffer.alloc(0);

/**
 * The bytes of an unfinished frame. Appending doubles the capacity, so a frame that arrives in
 * n pieces costs O(n). Memory handed out in frames is never written again.
 */
export class CarryBuffer {
  /** Of these the first `length` are carried. */
  bytes: Buffer = emptyBuffer;
  length = 0;
  #owned = false;

  append(chunk: Buffer): void {
    const added = chunk.length;
    if (this.length === 0) {
      this.bytes = chunk;
      this.length = added;
      this.#owned = false;
      return;
    }
    const needed = this.length + added;
    if (!this.#owned || needed > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed * 2, 256));
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
      this.#owned = true;
    }
    if (added === 1) this.bytes[this.length] = chunk[0] ?? 0;
    else chunk.copy(this.bytes, this.length);
    this.length = needed;
  }

  /** Forgets the first `count` bytes, which the caller has handed out as views. */
  release(count: number): void {
    if (count === 0) return;
    // The rest moves to fresh memory with the next append; views on the old memory stay valid.
    const isAll = count >= this.length;
    this.bytes = isAll ? emptyBuffer : this.bytes.subarray(count, this.length);
    this.length -= count;
    this.#owned = false;
  }
}

/** Index of `value` in bytes[from, length), or `length` when it does not occur. */
export function indexOfByte(bytes: Buffer, value: number, from: number, length: number): number {
  if (length - from < 64) {
    for (let index = from; index < length; index++) if (bytes[index] === value) return index;
    return length;
  }
  const found = (length === bytes.length ? bytes : bytes.subarray(0, length)).indexOf(value, from);
  return found === -1 ? length : found;
}
