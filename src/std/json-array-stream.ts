import {
  asBuffer,
  createCarryBuffer,
  FramingError,
  noFrames,
  type FrameParser,
  type StreamFrame,
} from './framing.ts';

type ArrayStage = 'before' | 'between' | 'element' | 'after';

const whitespace = new Set([0x20, 0x09, 0x0a, 0x0d]);
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
 * `push` throws FramingError when an element exceeds `maxElementBytes` (4 MiB unless told) or
 * the body is no array.
 */
export function createJsonArrayParser(
  limits: { readonly maxElementBytes?: number } = {},
): FrameParser & { readonly closed: boolean } {
  const { maxElementBytes = 1 << 22 } = limits;
  const carry = createCarryBuffer();
  let stage: ArrayStage = 'before';
  let position = 0;
  let elementStart = 0;
  let depth = 0;
  let inString = false;
  let escaped = false;

  function malformed(expected: string): FramingError {
    return new FramingError('malformed', `expected ${expected} in a streamed JSON array`);
  }

  /** Steps over one byte outside of an element. */
  function outside(byte: number): void {
    if (whitespace.has(byte)) return;
    if (stage === 'before') {
      if (byte === 0xef || byte === 0xbb || byte === 0xbf) return;
      if (byte !== openBracket) throw malformed('"["');
      stage = 'between';
    } else if (stage === 'after') throw malformed('nothing after "]"');
    else if (byte === closeBracket) stage = 'after';
    else if (byte !== comma) {
      stage = 'element';
      elementStart = position;
      depth = 0;
      inString = false;
      inside(byte);
    }
  }

  /** Steps over one byte of an element; true when the byte before it was the element's last. */
  function inside(byte: number): boolean {
    if (inString) {
      if (escaped) escaped = false;
      else if (byte === backslash) escaped = true;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === openBrace || byte === openBracket) depth += 1;
    else if (depth === 0 && (byte === comma || byte === closeBracket)) return true;
    else if (byte === closeBrace || byte === closeBracket) depth -= 1;
    return false;
  }

  function scan(): readonly StreamFrame[] {
    const { bytes, length } = carry;
    let frames: StreamFrame[] | undefined;
    let frameStart = 0;
    for (; position < length; position++) {
      const byte = bytes[position] ?? 0;
      if (stage !== 'element') {
        outside(byte);
        continue;
      }
      if (position - elementStart > maxElementBytes) break;
      if (!inside(byte)) continue;
      const data = bytes.toString('utf8', elementStart, position).trimEnd();
      const raw = bytes.subarray(frameStart, position);
      frameStart = position;
      if (frames === undefined) frames = [{ data, raw }];
      else frames.push({ data, raw });
      stage = byte === comma ? 'between' : 'after';
    }
    if (stage === 'element' && position - elementStart > maxElementBytes) {
      throw new FramingError(
        'event-too-large',
        `an array element exceeds ${maxElementBytes} bytes`,
      );
    }
    if (length - frameStart > maxElementBytes + 65_536) throw malformed('an element');
    carry.release(frameStart);
    position -= frameStart;
    elementStart -= frameStart;
    return frames ?? noFrames;
  }

  return {
    push(chunk) {
      if (chunk.length === 0) return noFrames;
      carry.append(asBuffer(chunk));
      return scan();
    },
    end() {
      if (stage !== 'element') return undefined;
      const raw = carry.bytes.subarray(0, carry.length);
      return { data: carry.bytes.toString('utf8', elementStart, carry.length), raw };
    },
    rest: () => carry.bytes.subarray(0, carry.length),
    get closed() {
      return stage === 'after';
    },
  };
}
