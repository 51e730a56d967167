/** Reads HTTP answers off a socket as they come, and only as much of HTTP as the legs speak. */

export type AnswerSink = {
  /** A piece of the body with its framing taken off. */
  body(piece: Buffer): void;
  /** The answer is complete. */
  end(): void;
};

const lineEnd = 0x0a;
/** Longer than any line with the size of a chunk. */
const sizeLineMax = 64;

/** One answer after another on one connection. */
export class AnswerReader {
  readonly #sink: AnswerSink;
  #head = '';
  #inHead = true;
  #chunked = false;
  /** Bytes of the body or of the present chunk that have yet to come. */
  #left = 0;
  #sizeLine = '';
  #inData = false;
  #isLast = false;
  status = 0;
  /** Whether the server closes after this answer. */
  closes = false;

  constructor(sink: AnswerSink) {
    this.#sink = sink;
  }

  next(): void {
    this.#head = '';
    this.#inHead = true;
    this.#sizeLine = '';
    this.#inData = false;
    this.#isLast = false;
  }

  take(bytes: Buffer): void {
    const body = this.#inHead ? this.#takeHead(bytes) : bytes;
    if (body === undefined) return;
    if (this.#chunked) this.#takeChunks(body);
    else this.#takeCounted(body);
  }

  #takeHead(bytes: Buffer): Buffer | undefined {
    const before = this.#head.length;
    this.#head += bytes.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const head = this.#head.slice(0, end);
    this.#inHead = false;
    this.status = Number(head.slice(9, 12));
    this.#chunked = /\r\ntransfer-encoding: *chunked/i.test(head);
    this.closes = /\r\nconnection: *close/i.test(head);
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    return bytes.subarray(end + 4 - before);
  }

  #takeCounted(bytes: Buffer): void {
    if (bytes.length > 0) this.#sink.body(bytes);
    this.#left -= bytes.length;
    if (this.#left <= 0) this.#sink.end();
  }

  #takeChunks(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#inData) {
        const piece = bytes.subarray(at, at + this.#left);
        at += piece.length;
        this.#left -= piece.length;
        if (piece.length > 0) this.#sink.body(piece);
        if (this.#left === 0) this.#inData = false;
        continue;
      }
      const end = bytes.indexOf(lineEnd, at);
      const line = bytes.toString('latin1', at, end < 0 ? bytes.length : end);
      this.#sizeLine = (this.#sizeLine + line).slice(-sizeLineMax);
      if (end < 0) return;
      at = end + 1;
      this.#takeLine();
    }
  }

  /** A line between chunks: the end of the last one's data, a size, or a trailer. */
  #takeLine(): void {
    const line = this.#sizeLine.trimEnd();
    this.#sizeLine = '';
    if (this.#isLast) {
      if (line === '') this.#sink.end();
    } else if (line !== '') {
      this.#left = parseInt(line, 16);
      this.#inData = this.#left > 0;
      this.#isLast = this.#left === 0;
    }
  }
}

/** Finds marks in a body that comes in pieces, also where one stands across two pieces. */
export class MarkCounter {
  readonly #mark: Buffer;
  #tail: Buffer = Buffer.alloc(0);

  constructor(mark: string) {
    this.#mark = Buffer.from(mark);
  }

  reset(): void {
    this.#tail = Buffer.alloc(0);
  }

  /** How many marks end in this piece. */
  count(piece: Buffer): number {
    const mark = this.#mark;
    const seam = mark.length - 1;
    let found = 0;
    if (this.#tail.length > 0) {
      const across = Buffer.concat([this.#tail, piece.subarray(0, seam)]);
      for (let at = across.indexOf(mark); at >= 0; at = across.indexOf(mark, at + 1)) found += 1;
    }
    for (let at = piece.indexOf(mark); at >= 0; at = piece.indexOf(mark, at + mark.length))
      found += 1;
    this.#tail =
      piece.length >= seam
        ? piece.subarray(piece.length - seam)
        : Buffer.concat([this.#tail, piece]).subarray(-seam);
    return found;
  }
}
