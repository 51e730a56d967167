import { ChunkedDecoder } from './chunked.ts';
import type { HeadReader, ResponseHead } from './head.ts';

/** Who hears of a response as it arrives. */
export type ResponseListener = {
  /** A final head; interim ones (1xx) are read and dropped. */
  responseHead(head: ResponseHead): void;
  responsePiece(piece: Buffer): void;
};

/** All heads of one response together, interim ones too. */
const headBytesMax = 65_536;
const emptyLine = Buffer.from('\r\n\r\n');
const beginning = Buffer.from('HTTP/1.');
const carriageReturn = 0x0d;
const lineFeed = 0x0a;

type State = 'head' | 'length' | 'chunked' | 'close' | 'complete' | 'broken';

/** Reads one response after the other from the bytes of a connection, each byte once. */
export class ResponseReader {
  readonly #heads: HeadReader;
  readonly #listener: ResponseListener;
  #state: State = 'complete';
  #method = '';
  #head: ResponseHead | undefined;
  #headBytes = 0;
  #bodyBytesLeft = 0;
  #chunked: ChunkedDecoder | undefined;
  /** A head that came in pieces; most come whole and are never copied. */
  #partial: Buffer | undefined;
  #partialBytes = 0;
  #lineBytes = 0;
  #fault = '';
  #excess = false;

  constructor(heads: HeadReader, listener: ResponseListener) {
    this.#heads = heads;
    this.#listener = listener;
  }

  /** Whether the response is there to its last byte. */
  get complete(): boolean {
    return this.#state === 'complete';
  }

  /** How the peer broke the protocol; empty when it did not. */
  get fault(): string {
    return this.#fault;
  }

  /** Whether the server keeps the connection, and sent nothing that nobody asked for. */
  get reusable(): boolean {
    return this.#head?.reusable === true && !this.#excess;
  }

  get keepAliveMs(): number | undefined {
    return this.#head?.keepAliveMs;
  }

  /** Expects the response to a request of this method. */
  begin(method: string): void {
    this.#state = 'head';
    this.#method = method;
    this.#head = undefined;
    this.#headBytes = 0;
    this.#fault = '';
    this.#excess = false;
  }

  /** Takes bytes of the connection. They may be changed, but are not kept: pieces of the body are copies. */
  read(bytes: Buffer): void {
    let at = 0;
    while (this.#state === 'head' && at < bytes.length) at = this.#readHead(bytes, at);
    if (at < bytes.length) at = this.#readBody(bytes, at);
    if (this.#state === 'complete' && at < bytes.length) this.#excess = true;
  }

  /** The peer sends no more. True when the response is complete with that. */
  end(): boolean {
    if (this.#state === 'close') this.#state = 'complete';
    return this.#state === 'complete';
  }

  #readHead(bytes: Buffer, at: number): number {
    if (this.#partialBytes === 0) {
      const end = bytes.indexOf(emptyLine, at);
      if (end >= 0) {
        this.#headBytes += end + emptyLine.length - at;
        this.#takeHead(bytes.toString('latin1', at, end));
        return end + emptyLine.length;
      }
    }
    return this.#gatherHead(bytes, at);
  }

  /** Keeps the beginning of a head until its end has come, and gives up as soon as it cannot be one. */
  #gatherHead(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0;
      const count = this.#partialBytes;
      if (count < beginning.length && byte !== beginning[count])
        return this.#break('the answer is not HTTP/1.1', at);
      if (++this.#headBytes > headBytesMax) return this.#break('the head is too large', at);
      const kept = this.#roomFor(count);
      kept[count] = byte;
      this.#partialBytes = count + 1;
      this.#lineBytes += 1;
      if (byte !== lineFeed) continue;
      if (kept[count - 1] !== carriageReturn) return this.#break('a line ends without CR', at);
      const isEmptyLine = this.#lineBytes === 2;
      this.#lineBytes = 0;
      if (!isEmptyLine) continue;
      const text = kept.toString('latin1', 0, this.#partialBytes - emptyLine.length);
      this.#partial = undefined;
      this.#partialBytes = 0;
      this.#takeHead(text);
      return at + 1;
    }
    return bytes.length;
  }

  #roomFor(count: number): Buffer {
    const held = this.#partial;
    if (held !== undefined && count < held.length) return held;
    const larger = Buffer.allocUnsafe(Math.max(1_024, count * 2));
    held?.copy(larger);
    this.#partial = larger;
    return larger;
  }

  #takeHead(text: string): void {
    const head = this.#heads.read(text, this.#method);
    if (typeof head === 'string') this.#break(head, 0);
    else if (this.#headBytes > headBytesMax) this.#break('the head is too large', 0);
    else if (head.status === 101) this.#break('the upstream changed the protocol', 0);
    else if (head.status >= 200) this.#takeFinalHead(head);
  }

  #takeFinalHead(head: ResponseHead): void {
    this.#head = head;
    const { framing, bodyBytes } = head;
    this.#bodyBytesLeft = bodyBytes;
    if (framing === 'chunked') this.#chunked = new ChunkedDecoder();
    const isEmpty = framing === 'none' || (framing === 'length' && bodyBytes === 0);
    this.#state = isEmpty ? 'complete' : framing;
    this.#listener.responseHead(head);
  }

  #readBody(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'length': {
        const end = Math.min(bytes.length, at + this.#bodyBytesLeft);
        this.#bodyBytesLeft -= end - at;
        if (this.#bodyBytesLeft === 0) this.#state = 'complete';
        this.#give(bytes, at, end);
        return end;
      }
      case 'chunked':
        return this.#readChunks(bytes, at);
      case 'close':
        this.#give(bytes, at, bytes.length);
        return bytes.length;
      default:
        return at;
    }
  }

  #readChunks(bytes: Buffer, at: number): number {
    const chunked = this.#chunked;
    if (chunked === undefined) return at;
    const end = chunked.decode(bytes, at);
    if (chunked.done) {
      this.#state = 'complete';
      this.#chunked = undefined;
    }
    if (chunked.payloadEnd > chunked.payloadStart)
      this.#give(bytes, chunked.payloadStart, chunked.payloadEnd);
    if (chunked.broken) this.#break('the chunks of the body cannot be read', end);
    return end;
  }

  #give(bytes: Buffer, from: number, to: number): void {
    this.#listener.responsePiece(Buffer.from(bytes.subarray(from, to)));
  }

  #break(reason: string, at: number): number {
    this.#state = 'broken';
    this.#fault = reason;
    return at;
  }
}
