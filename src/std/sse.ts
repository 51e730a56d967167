import {
  asBuffer,
  createCarryBuffer,
  FramingError,
  noFrames,
  type FrameParser,
  type StreamFrame,
} from './framing.ts'

/** One server-sent event. Comments and events without data that precede it are in its `raw`. */
export type SseFrame = StreamFrame
/** Parser of a `text/event-stream` body. */
export type SseParser = FrameParser<SseFrame>

/** Bounds of a parser, in bytes of the wire. */
export type SseLimits = {
  /** Longest line without its terminator; 1 MiB unless told. */
  readonly maxLineBytes?: number
  /** Longest event including the comments before it; 4 MiB unless told. */
  readonly maxEventBytes?: number
}

const lineFeed = 0x0a
const carriageReturn = 0x0d
const colon = 0x3a
const space = 0x20

/** Fields collected for the event that is being read. */
type Pending = {
  data: string | undefined
  event: string | undefined
  id: string | undefined
}

/**
 * Splits a `text/event-stream` body by the WHATWG rules (HTML standard, 9.2.6): lines end in LF,
 * CR or CRLF, also across chunks; one leading byte order mark is skipped; `data` lines join by
 * LF; comments and unknown fields are ignored. Works on bytes, so a character may be split
 * anywhere, and visits each byte a constant number of times.
 *
 * When a chunk ends between the CR and the LF of the blank line, the event is handed out at once
 * and the LF opens the `raw` of the next frame.
 */
export function createSseParser(limits: SseLimits = {}): SseParser {
  const { maxLineBytes = 1 << 20, maxEventBytes = 1 << 22 } = limits
  const carry = createCarryBuffer()
  const pending: Pending = { data: undefined, event: undefined, id: undefined }
  let lineStart = 0
  let scanned = 0
  let firstLine = true
  let afterCarriageReturn = false

  function takeLine(bytes: Buffer, start: number, end: number): void {
    let from = start
    if (firstLine) {
      firstLine = false
      if (bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf) from += 3
    }
    if (end > from) readField(pending, bytes, from, Math.max(from, end))
  }

  function takeFrame(raw: Uint8Array): SseFrame | undefined {
    const { data, event, id } = pending
    pending.data = undefined
    pending.event = undefined
    pending.id = undefined
    if (data === undefined) return undefined
    return {
      data,
      raw,
      ...(event === undefined ? undefined : { event }),
      ...(id === undefined ? undefined : { id }),
    }
  }

  /** Reads all complete lines; the frames that they complete go to the result. */
  function scan(): readonly SseFrame[] {
    const { bytes, length } = carry
    let frames: SseFrame[] | undefined
    let frameStart = 0
    let nextCarriageReturn = find(bytes, carriageReturn, scanned, length)
    let nextLineFeed = find(bytes, lineFeed, scanned, length)
    for (;;) {
      // A LF directly after a CR belongs to the line that the CR has ended.
      if (afterCarriageReturn && lineStart < length) {
        afterCarriageReturn = false
        if (bytes[lineStart] === lineFeed) lineStart += 1
        if (nextLineFeed < lineStart) nextLineFeed = find(bytes, lineFeed, lineStart, length)
        if (frames !== undefined && rawEnds(frames, bytes, frameStart, lineStart)) {
          frameStart = lineStart
        }
      }
      const end = Math.min(nextCarriageReturn, nextLineFeed)
      const lineBytes = end - lineStart
      if (lineBytes > maxLineBytes) throw tooLong(maxLineBytes)
      if (end - frameStart > maxEventBytes) throw tooLarge(maxEventBytes)
      if (end >= length) break
      const blank = lineBytes === 0 || isLoneMark(bytes, lineStart, end)
      takeLine(bytes, lineStart, end)
      afterCarriageReturn = end === nextCarriageReturn
      lineStart = end + 1
      if (afterCarriageReturn) {
        nextCarriageReturn = find(bytes, carriageReturn, lineStart, length)
      } else nextLineFeed = find(bytes, lineFeed, lineStart, length)
      if (!blank) continue
      const crlf = afterCarriageReturn && lineStart < length && bytes[lineStart] === lineFeed
      const frame = takeFrame(bytes.subarray(frameStart, crlf ? lineStart + 1 : lineStart))
      if (frame === undefined) continue
      frameStart = crlf ? lineStart + 1 : lineStart
      if (frames === undefined) frames = [frame]
      else frames.push(frame)
    }
    carry.release(frameStart)
    lineStart -= frameStart
    scanned = carry.length
    return frames ?? noFrames
  }

  return { push: () => noFrames, end: () => undefined }
}
