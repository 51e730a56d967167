import { crc32 } from 'node:zlib';
import {
  asBuffer,
  CarryBuffer,
  FramingError,
  noFrames,
  type FrameParser,
  type StreamFrame,
} from './framing.ts';

/** Value of a header: integers up to 64 bits are bigint when they are not safe integers. */
export type AwsHeaderValue = string | number | bigint | boolean | Uint8Array;

/**
 * One message of an AWS event stream. `event` is `:event-type`, or `:exception-type` /
 * `:error-code` for failures (see `messageType`); `data` is the payload as text.
 */
export type AwsEventFrame = StreamFrame & {
  readonly messageType: 'event' | 'exception' | 'error';
  readonly headers: ReadonlyMap<string, AwsHeaderValue>;
  readonly payload: Uint8Array;
};

const preludeBytes = 12;
const overheadBytes = 16;

/**
 * Splits the binary `application/vnd.amazon.eventstream` framing of Amazon Bedrock: total length,
 * header length, prelude CRC-32, headers, payload, message CRC-32, all big-endian (AWS SDK
 * reference, "Event stream encoding"). Both checksums are verified before anything is handed out.
 * `push` throws FramingError on a wrong checksum, a bad length or a message over
 * `maxMessageBytes` (16 MiB, the format's own limit is 24 MiB).
 */
export function createAwsEventStreamParser(
  limits: { readonly maxMessageBytes?: number } = {},
): FrameParser<AwsEventFrame> {
  const { maxMessageBytes = 1 << 24 } = limits;
  const carry = new CarryBuffer();
  let checkedLength = 0;

  /** Total length of the message at `start`, once its prelude is there and checked; else 0. */
  function messageLength(bytes: Buffer, start: number, available: number): number {
    if (checkedLength > 0) return checkedLength;
    if (available < preludeBytes) return 0;
    const total = bytes.readUInt32BE(start);
    const headers = bytes.readUInt32BE(start + 4);
    if (crc32(bytes.subarray(start, start + 8)) !== bytes.readUInt32BE(start + 8)) {
      throw new FramingError(
        'checksum',
        'the prelude checksum of an event-stream message is wrong',
      );
    }
    if (total < overheadBytes + headers) {
      throw new FramingError('malformed', 'an event-stream message is shorter than its headers');
    }
    if (total > maxMessageBytes) {
      throw new FramingError('event-too-large', `a message exceeds ${maxMessageBytes} bytes`);
    }
    checkedLength = total;
    return total;
  }

  return {
    push(chunk) {
      if (chunk.length === 0) return noFrames;
      carry.append(asBuffer(chunk));
      const { bytes, length } = carry;
      let frames: AwsEventFrame[] | undefined;
      let start = 0;
      for (;;) {
        const total = messageLength(bytes, start, length - start);
        if (total === 0 || length - start < total) break;
        const frame = readMessage(bytes.subarray(start, start + total));
        checkedLength = 0;
        start += total;
        if (frames === undefined) frames = [frame];
        else frames.push(frame);
      }
      carry.release(start);
      return frames ?? noFrames;
    },
    end() {
      if (carry.length === 0) return undefined;
      const raw = carry.bytes.subarray(0, carry.length);
      return { data: '', raw, messageType: 'error', headers: new Map(), payload: Buffer.alloc(0) };
    },
    rest: () => carry.bytes.subarray(0, carry.length),
  };
}

function readMessage(raw: Buffer): AwsEventFrame {
  const end = raw.length - 4;
  if (crc32(raw.subarray(0, end)) !== raw.readUInt32BE(end)) {
    throw new FramingError('checksum', 'the checksum of an event-stream message is wrong');
  }
  const headersEnd = preludeBytes + raw.readUInt32BE(4);
  const headers = readHeaders(raw, preludeBytes, headersEnd);
  const payload = raw.subarray(headersEnd, end);
  const data = payload.toString('utf8');
  const declared = headers.get(':message-type');
  const messageType = declared === 'exception' || declared === 'error' ? declared : 'event';
  const event =
    headers.get(':event-type') ?? headers.get(':exception-type') ?? headers.get(':error-code');
  if (typeof event !== 'string') return { data, raw, messageType, headers, payload };
  return { event, data, raw, messageType, headers, payload };
}

function readHeaders(raw: Buffer, start: number, end: number): Map<string, AwsHeaderValue> {
  const headers = new Map<string, AwsHeaderValue>();
  let position = start;

  function take(count: number): number {
    const from = position;
    position += count;
    if (position > end) throw new FramingError('malformed', 'an event-stream header is cut short');
    return from;
  }

  while (position < end) {
    const nameBytes = raw.readUInt8(take(1));
    const nameStart = take(nameBytes);
    const name = raw.toString('utf8', nameStart, nameStart + nameBytes);
    headers.set(name, readHeaderValue(raw, raw.readUInt8(take(1)), take));
  }
  return headers;
}

/** Reads one value by its type number (0 to 9 of the encoding). */
function readHeaderValue(
  raw: Buffer,
  type: number,
  take: (count: number) => number,
): AwsHeaderValue {
  switch (type) {
    case 0:
      return true;
    case 1:
      return false;
    case 2:
      return raw.readInt8(take(1));
    case 3:
      return raw.readInt16BE(take(2));
    case 4:
      return raw.readInt32BE(take(4));
    case 5:
    case 8: {
      const value = raw.readBigInt64BE(take(8));
      const narrow = Number(value);
      return Number.isSafeInteger(narrow) ? narrow : value;
    }
    case 6:
    case 7: {
      const length = raw.readUInt16BE(take(2));
      const from = take(length);
      const bytes = raw.subarray(from, from + length);
      return type === 7 ? bytes.toString('utf8') : bytes;
    }
    case 9: {
      const from = take(16);
      return raw.subarray(from, from + 16);
    }
    default:
      throw new FramingError('malformed', `unknown event-stream header type ${type}`);
  }
}

/** Writes one message, for the simulator and for tests. Header values are sent as strings. */
export function formatAwsEvent(
  headers: Readonly<Record<string, string>>,
  payload: Uint8Array,
): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(headers)) {
    const nameBytes = Buffer.from(name);
    const valueBytes = Buffer.from(value);
    const lengths = Buffer.alloc(3);
    lengths.writeUInt8(7, 0);
    lengths.writeUInt16BE(valueBytes.length, 1);
    parts.push(Buffer.from([nameBytes.length]), nameBytes, lengths, valueBytes);
  }
  const headerBytes = Buffer.concat(parts);
  const total = headerBytes.length + payload.length + overheadBytes;
  const message = Buffer.alloc(total);
  message.writeUInt32BE(total, 0);
  message.writeUInt32BE(headerBytes.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  headerBytes.copy(message, preludeBytes);
  message.set(payload, preludeBytes + headerBytes.length);
  message.writeUInt32BE(crc32(message.subarray(0, total - 4)), total - 4);
  return message;
}
