/** Bytes of one size line with its extension, which nobody uses. */
const lineBytesMax = 1_024;
const trailerBytesMax = 16_384;
const chunkBytesMax = 2 ** 40;

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const semicolon = 0x3b;

type State =
  | 'size'
  | 'extension'
  | 'size-end'
  | 'payload'
  | 'payload-return'
  | 'payload-end'
  | 'trailer-start'
  | 'trailer'
  | 'trailer-end'
  | 'last-end'
  | 'done'
  | 'broken';

/**
 * The chunked transfer coding (RFC 9112 section 7.1), piece by piece: each byte is looked at once,
 * however the stream is cut. Strict: lines end in CR LF, sizes are hexadecimal digits and nothing
 * else. Trailers are read and dropped.
 */
export class ChunkedDecoder {
  #state: State = 'size';
  #size = 0;
  #digits = 0;
  #lineBytes = 0;
  #trailerBytes = 0;
  /** The payload of the last call to `decode`, as a range of the bytes that it was given. */
  payloadStart = 0;
  payloadEnd = 0;

  get done(): boolean {
    return this.#state === 'done';
  }

  get broken(): boolean {
    return this.#state === 'broken';
  }

  /** Decodes in place: payloads are moved together inside `bytes`. Returns where it stopped. */
  decode(bytes: Uint8Array, from: number): number {
    let at = from;
    this.payloadStart = from;
    this.payloadEnd = from;
    while (at < bytes.length && this.#state !== 'done' && this.#state !== 'broken') {
      if (this.#state === 'payload') at = this.#takePayload(bytes, at);
      else this.#state = this.#step(bytes[at++] ?? 0);
    }
    return at;
  }

  #takePayload(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + this.#size);
    const isFirst = this.payloadEnd === this.payloadStart;
    if (isFirst) {
      this.payloadStart = at;
      this.payloadEnd = end;
    } else {
      bytes.copyWithin(this.payloadEnd, at, end);
      this.payloadEnd += end - at;
    }
    this.#size -= end - at;
    if (this.#size === 0) this.#state = 'payload-return';
    return end;
  }

  #step(byte: number): State {
    switch (this.#state) {
      case 'size':
        return this.#sizeByte(byte);
      case 'extension':
        if (byte === carriageReturn) return 'size-end';
        return isText(byte) && ++this.#lineBytes <= lineBytesMax ? 'extension' : 'broken';
      case 'size-end':
        return byte === lineFeed ? this.#sizeKnown() : 'broken';
      case 'payload-return':
        return byte === carriageReturn ? 'payload-end' : 'broken';
      case 'payload-end':
        return byte === lineFeed ? 'size' : 'broken';
      case 'trailer-start':
        return byte === carriageReturn ? 'last-end' : this.#trailerByte(byte);
      case 'trailer':
        return byte === carriageReturn ? 'trailer-end' : this.#trailerByte(byte);
      case 'trailer-end':
        return byte === lineFeed ? 'trailer-start' : 'broken';
      case 'last-end':
        return byte === lineFeed ? 'done' : 'broken';
      default:
        return 'broken';
    }
  }

  #sizeByte(byte: number): State {
    if (++this.#lineBytes > lineBytesMax) return 'broken';
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#size = this.#size * 16 + digit;
      this.#digits += 1;
      return this.#size > chunkBytesMax ? 'broken' : 'size';
    }
    if (this.#digits === 0) return 'broken';
    if (byte === carriageReturn) return 'size-end';
    return byte === semicolon ? 'extension' : 'broken';
  }

  #sizeKnown(): State {
    this.#digits = 0;
    this.#lineBytes = 0;
    return this.#size === 0 ? 'trailer-start' : 'payload';
  }

  #trailerByte(byte: number): State {
    this.#trailerBytes += 1;
    return isText(byte) && this.#trailerBytes <= trailerBytesMax ? 'trailer' : 'broken';
  }
}

function isText(byte: number): boolean {
  return (byte >= 0x20 && byte !== 0x7f) || byte === 0x09;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
