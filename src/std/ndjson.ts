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

/**
 * Splits newline-delimited JSON (Ollama's native form). Blank lines are skipped and a CR before
 * the LF is dropped. `end` returns a last line without its LF, which is legal here.
 * `push` throws FramingError when a line exceeds `maxLineBytes` (64 MiB unless told).
 */
export function createNdjsonParser(limits: { readonly maxLineBytes?: number } = {}): FrameParser {
  const { maxLineBytes = frameBytesMax } = limits;
  const carry = new CarryBuffer();
  let scanned = 0;

  function scan(): readonly StreamFrame[] {
    const { bytes, length } = carry;
    let frames: StreamFrame[] | undefined;
    let frameStart = 0;
    let lineStart = 0;
    for (;;) {
      const end = indexOfByte(bytes, 0x0a, Math.max(scanned, lineStart), length);
      if (end - lineStart > maxLineBytes) {
        throw new FramingError('line-too-long', `a stream line exceeds ${maxLineBytes} bytes`);
      }
      if (end >= length) break;
      const data = bytes.toString('utf8', lineStart, end).trim();
      lineStart = end + 1;
      if (data === '') continue;
      const raw = bytes.subarray(frameStart, lineStart);
      frameStart = lineStart;
      if (frames === undefined) frames = [{ data, raw }];
      else frames.push({ data, raw });
    }
    // Blank lines alone are dropped, so that a flood of them cannot grow the carry.
    carry.release(lineStart);
    scanned = carry.length;
    return frames ?? noFrames;
  }

  return {
    push(chunk) {
      if (chunk.length === 0) return noFrames;
      carry.append(asBuffer(chunk));
      return scan();
    },
    end() {
      const data = carry.bytes.toString('utf8', 0, carry.length).trim();
      if (data === '') return undefined;
      return { data, raw: carry.bytes.subarray(0, carry.length) };
    },
    rest: () => carry.bytes.subarray(0, carry.length),
  };
}
