import {
  asBuffer,
  CarryBuffer,
  frameBytesMax,
  FramingError,
  indexOfByte,
  noFrames,
  type FrameParser,
  type StreamFrame,
} from './framing.ts';

/** One server-sent event. Comments and events without data that precede it are in its `raw`. */
export type SseFrame = StreamFrame;
/** Parser of a `text/event-stream` body. */
export type SseParser = FrameParser<SseFrame>;

/** Bounds of a parser, in bytes of the wire. */
export type SseLimits = {
  /** Longest line without its terminator; 64 MiB unless told. */
  readonly maxLineBytes?: number;
  /** Longest event with the comments before it; 64 MiB unless told. */
  readonly maxEventBytes?: number;
};

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const colon = 0x3a;
const space = 0x20;

/** Fields of the event that is being read. */
type PendingEvent = {
  data: string | undefined;
  event: string | undefined;
  id: string | undefined;
};

/**
 * Splits a `text/event-stream` body by the WHATWG rules (HTML standard, 9.2.6): lines end in LF,
 * CR or CRLF, also across chunks; one leading byte order mark is skipped; `data` lines join by
 * LF; comments and unknown fields are ignored. Works on bytes, so a character may be split
 * anywhere, and visits each byte a constant number of times.
 *
 * When a chunk ends between the CR and the LF of a blank line, the event is handed out at once
 * and the LF opens the `raw` of the next frame. `push` throws FramingError beyond a limit.
 */
export function createSseParser(limits: SseLimits = {}): SseParser {
  return new WhatwgSseParser(limits);
}

class WhatwgSseParser implements SseParser {
  readonly #maxLineBytes: number;
  readonly #maxEventBytes: number;
  readonly #carry = new CarryBuffer();
  readonly #pending: PendingEvent = { data: undefined, event: undefined, id: undefined };
  #lineStart = 0;
  #scanned = 0;
  #firstLine = true;
  #skipLineFeed = false;

  constructor(limits: SseLimits) {
    this.#maxLineBytes = limits.maxLineBytes ?? frameBytesMax;
    this.#maxEventBytes = limits.maxEventBytes ?? frameBytesMax;
  }

  push(chunk: Uint8Array): readonly SseFrame[] {
    if (chunk.length === 0) return noFrames;
    this.#carry.append(asBuffer(chunk));
    return this.#scan();
  }

  end(): SseFrame | undefined {
    const { bytes, length } = this.#carry;
    if (this.#lineStart < length) this.#takeLine(bytes, this.#lineStart, length);
    this.#lineStart = length;
    return takeFrame(this.#pending, bytes, 0, length);
  }

  rest(): Uint8Array {
    return this.#carry.bytes.subarray(0, this.#carry.length);
  }

  #scan(): readonly SseFrame[] {
    const { bytes, length } = this.#carry;
    this.#skipSplitLineFeed(bytes);
    let frames: SseFrame[] | undefined;
    let frameStart = 0;
    let carriageReturnAt = indexOfByte(bytes, carriageReturn, this.#scanned, length);
    let lineFeedAt = indexOfByte(bytes, lineFeed, this.#scanned, length);
    for (;;) {
      const end = Math.min(carriageReturnAt, lineFeedAt);
      this.#checkLimits(end, frameStart);
      if (end >= length) break;
      let next = end + 1;
      if (end === carriageReturnAt) {
        if (next === length) this.#skipLineFeed = true;
        else if (bytes[next] === lineFeed) next += 1;
        carriageReturnAt = indexOfByte(bytes, carriageReturn, next, length);
      }
      if (lineFeedAt < next) lineFeedAt = indexOfByte(bytes, lineFeed, next, length);
      const blank = this.#takeLine(bytes, this.#lineStart, end);
      this.#lineStart = next;
      const frame = blank ? takeFrame(this.#pending, bytes, frameStart, next) : undefined;
      if (frame === undefined) continue;
      frameStart = next;
      if (frames === undefined) frames = [frame];
      else frames.push(frame);
    }
    this.#carry.release(frameStart);
    this.#lineStart -= frameStart;
    this.#scanned = this.#carry.length;
    return frames ?? noFrames;
  }

  /** Steps over the LF of a CRLF whose CR was the last byte of the chunk before. */
  #skipSplitLineFeed(bytes: Buffer): void {
    if (!this.#skipLineFeed) return;
    this.#skipLineFeed = false;
    if (bytes[this.#scanned] !== lineFeed) return;
    this.#scanned += 1;
    this.#lineStart = this.#scanned;
  }

  #checkLimits(end: number, frameStart: number): void {
    if (end - this.#lineStart > this.#maxLineBytes) {
      throw new FramingError('line-too-long', `a stream line exceeds ${this.#maxLineBytes} bytes`);
    }
    if (end - frameStart > this.#maxEventBytes) {
      throw new FramingError('event-too-large', `an event exceeds ${this.#maxEventBytes} bytes`);
    }
  }

  /** Reads one line without its terminator; true when it is blank and so ends an event. */
  #takeLine(bytes: Buffer, start: number, end: number): boolean {
    const marked = this.#firstLine && hasByteOrderMark(bytes, start, end);
    this.#firstLine = false;
    const from = marked ? start + 3 : start;
    if (from === end) return true;
    readField(this.#pending, bytes, from, end);
    return false;
  }
}

function hasByteOrderMark(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < 3) return false;
  return bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf;
}

/** Takes the collected fields; an event without any `data` line is none (HTML standard, 9.2.6). */
function takeFrame(
  pending: PendingEvent,
  bytes: Buffer,
  start: number,
  end: number,
): SseFrame | undefined {
  const { data, event, id } = pending;
  pending.data = undefined;
  pending.event = undefined;
  pending.id = undefined;
  if (data === undefined) return undefined;
  const raw = bytes.subarray(start, end);
  if (event === undefined && id === undefined) return { data, raw };
  if (id === undefined) return { event: event ?? '', data, raw };
  if (event === undefined) return { data, id, raw };
  return { event, data, id, raw };
}

function readField(pending: PendingEvent, bytes: Buffer, start: number, end: number): void {
  if (isField(bytes, start, end, 'data')) {
    const value = fieldValue(bytes, start + 4, end);
    pending.data = pending.data === undefined ? value : `${pending.data}\n${value}`;
  } else if (isField(bytes, start, end, 'event')) {
    const value = fieldValue(bytes, start + 5, end);
    pending.event = value === '' ? undefined : value;
  } else if (isField(bytes, start, end, 'id')) {
    const value = fieldValue(bytes, start + 2, end);
    if (!value.includes('\0')) pending.id = value;
  }
}

function isField(bytes: Buffer, start: number, end: number, name: string): boolean {
  const nameEnd = start + name.length;
  if (nameEnd > end || (nameEnd < end && bytes[nameEnd] !== colon)) return false;
  for (let index = 0; index < name.length; index++) {
    if (bytes[start + index] !== name.charCodeAt(index)) return false;
  }
  return true;
}

/** The text after the colon and one optional space; '' when the line is the bare name. */
function fieldValue(bytes: Buffer, nameEnd: number, end: number): string {
  if (nameEnd === end) return '';
  const from = bytes[nameEnd + 1] === space && nameEnd + 1 < end ? nameEnd + 2 : nameEnd + 1;
  return bytes.toString('utf8', from, end);
}

/**
 * Writes one server-sent event, terminated by a blank line. Line breaks in `data` become several
 * `data` lines. Throws RangeError when `event` or `id` holds a line break.
 */
export function formatSse(frame: {
  readonly event?: string | undefined;
  readonly data: string;
  readonly id?: string | undefined;
}): string {
  const { event, data, id } = frame;
  let head = '';
  if (event !== undefined) head += `event: ${singleLine(event)}\n`;
  if (id !== undefined) head += `id: ${singleLine(id)}\n`;
  if (!lineBreak.test(data)) return `${head}data: ${data}\n\n`;
  return `${head}data: ${data.split(/\r\n|\r|\n/).join('\ndata: ')}\n\n`;
}

const lineBreak = /[\r\n]/;

function singleLine(value: string): string {
  if (lineBreak.test(value)) throw new RangeError('an SSE event name or id must be one line');
  return value;
}
