import {
  asBuffer,
  CarryBuffer,
  frameBytesMax,
  FramingError,
  noFrames,
  type FrameParser,
  type StreamFrame,
} from './framing.ts';

type ArrayStage = 'before' | 'between' | 'element' | 'after';

const whitespace: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * Splits a streamed top-level JSON array into its elements (Gemini `streamGenerateContent`
 * without `alt=sse`). `data` is the text of one element; its grammar is left to the JSON parser.
 * Elements nest freely, since only brackets are counted. `end` returns what is left of an
 * element when the array was not closed; `closed` tells whether it was.
 * `push` throws FramingError when an element exceeds `maxElementBytes` (64 MiB unless told) or
 * the body is no array.
 */
export function createJsonArrayParser(
  limits: { readonly maxElementBytes?: number } = {},
): JsonArrayParser {
  return new ElementSplitter(limits.maxElementBytes ?? frameBytesMax);
}

/** A splitter that also tells whether the array was closed. */
export type JsonArrayParser = FrameParser & { readonly closed: boolean };

class ElementSplitter implements JsonArrayParser {
  readonly #maxElementBytes: number;
  readonly #carry = new CarryBuffer();
  #stage: ArrayStage = 'before';
  #position = 0;
  #elementStart = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  constructor(maxElementBytes: number) {
    this.#maxElementBytes = maxElementBytes;
  }

  get closed(): boolean {
    return this.#stage === 'after';
  }

  push(chunk: Uint8Array): readonly StreamFrame[] {
    if (chunk.length === 0) return noFrames;
    this.#carry.append(asBuffer(chunk));
    return this.#scan();
  }

  end(): StreamFrame | undefined {
    if (this.#stage !== 'element') return undefined;
    const { bytes, length } = this.#carry;
    const data = bytes.toString('utf8', this.#elementStart, length);
    return { data, raw: bytes.subarray(0, length) };
  }

  rest(): Uint8Array {
    return this.#carry.bytes.subarray(0, this.#carry.length);
  }

  #scan(): readonly StreamFrame[] {
    const { bytes, length } = this.#carry;
    let frames: StreamFrame[] | undefined;
    let frameStart = 0;
    for (; this.#position < length; this.#position++) {
      const position = this.#position;
      const byte = bytes[position] ?? 0;
      if (this.#stage !== 'element') {
        this.#outside(byte);
        continue;
      }
      this.#checkSize(position - this.#elementStart);
      if (!this.#inside(byte)) continue;
      const data = bytes.toString('utf8', this.#elementStart, position).trimEnd();
      const raw = bytes.subarray(frameStart, position);
      frameStart = position;
      if (frames === undefined) frames = [{ data, raw }];
      else frames.push({ data, raw });
      this.#stage = byte === comma ? 'between' : 'after';
    }
    this.#carry.release(frameStart);
    this.#position -= frameStart;
    this.#elementStart -= frameStart;
    // White space between elements is carried too.
    this.#checkSize(this.#carry.length - 65_536);
    return frames ?? noFrames;
  }

  #checkSize(bytes: number): void {
    if (bytes <= this.#maxElementBytes) return;
    const message = `an array element exceeds ${this.#maxElementBytes} bytes`;
    throw new FramingError('event-too-large', message);
  }

  /** Steps over one byte outside of an element. */
  #outside(byte: number): void {
    if (whitespace.has(byte)) return;
    if (this.#stage === 'before') {
      if (byte === 0xef || byte === 0xbb || byte === 0xbf) return;
      if (byte !== openBracket) throw malformed('"["');
      this.#stage = 'between';
    } else if (this.#stage === 'after') throw malformed('nothing after "]"');
    else if (byte === closeBracket) this.#stage = 'after';
    else if (byte !== comma) {
      this.#stage = 'element';
      this.#elementStart = this.#position;
      this.#depth = 0;
      this.#inString = false;
      this.#inside(byte);
    }
  }

  /** Steps over one byte of an element; true when the byte before it was the element's last. */
  #inside(byte: number): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === backslash) this.#escaped = true;
      else if (byte === quote) this.#inString = false;
    } else if (byte === quote) this.#inString = true;
    else if (byte === openBrace || byte === openBracket) this.#depth += 1;
    else if (this.#depth === 0 && (byte === comma || byte === closeBracket)) return true;
    else if (byte === closeBrace || byte === closeBracket) this.#depth -= 1;
    return false;
  }
}

function malformed(expected: string): FramingError {
  return new FramingError('malformed', `expected ${expected} in a streamed JSON array`);
}
