import { isUtf8 } from 'node:buffer';
import { longDigits } from './exact-numbers.ts';
import { asBuffer, indexOfByte } from './framing.ts';

/** Bounds of a scan. */
export type JsonScanLimits = {
  /** Deepest nesting of arrays and objects; 64 unless told. */
  readonly depthMax?: number;
  /**
   * Most structural characters (brackets, commas, colons); a million unless told: one request for
   * embeddings may have 300,000 token ids.
   */
  readonly structuralMax?: number;
  /**
   * Names that may stand only once in one object, however they are escaped, at any depth.
   * At most 30. Readers differ on which of two values counts, so a request could be billed for
   * one and served with the other.
   */
  readonly uniqueKeys?: readonly string[];
};

/** Keys that decide on price, size or form of an answer. */
export const billedKeys: readonly string[] = [
  'model',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'maxOutputTokens',
  'max_tokens_to_sample',
  'generationConfig',
  'candidateCount',
  'n',
  'best_of',
  'size',
  'quality',
  'seconds',
  'duration',
  'service_tier',
];

/** One member of the top-level object, as offsets into the scanned bytes. */
export type JsonMember = {
  readonly key: string;
  /** Offset of the quote that opens the key. */
  readonly keyStart: number;
  readonly valueStart: number;
  /** Offset after the last byte of the value. */
  readonly valueEnd: number;
};

export type JsonScanFault = 'malformed' | 'not-utf8' | 'too-deep' | 'too-large' | 'duplicate-key';

export type JsonScan =
  | {
      readonly ok: true;
      readonly kind: 'object' | 'array' | 'scalar';
      /** Members of a top-level object in their order, duplicates included. */
      readonly members: readonly JsonMember[];
      /** Offsets of the outermost brackets; equal to the value's bounds for a scalar. */
      readonly openOffset: number;
      readonly closeOffset: number;
      /**
       * True when another reader may see other top-level members: a byte order mark, an escaped
       * or repeated key, more than 256 members. Such bytes must be parsed and written anew, never
       * spliced or forwarded.
       */
      readonly unusual: boolean;
      /** A number, or what stands in the place of one, is as long as those that `JSON.parse` may round. */
      readonly longScalar: boolean;
    }
  | {
      readonly ok: false;
      readonly fault: JsonScanFault;
      readonly message: string;
      readonly offset: number;
      /** Where it happened, as in `messages[2].content`; '' for the top level. */
      readonly path: string;
    };

const membersMax = 256;
const keyBytesMax = 1_024;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** What the grammar allows next. */
const expectValue = 0;
const expectValueOrClose = 1;
const expectKey = 2;
const expectKeyOrClose = 3;
const expectColon = 4;
const expectCommaOrClose = 5;
const expectEnd = 6;

/** Byte classes: 0 other, 1 whitespace, 2 letter, digit or sign of a number or literal. */
const byteClass = new Uint8Array(256);
for (const byte of [0x20, 0x09, 0x0a, 0x0d]) byteClass[byte] = 1;
for (const character of 'abcdefghijklmnopqrstuvwxyzE0123456789+-.') {
  byteClass[character.charCodeAt(0)] = 2;
}

/** A mark for each length and first letter that some of the keys has: most other keys are told apart by these two. */
function headsOf(keys: readonly string[]): Uint8Array {
  const heads = new Uint8Array(32 * 32);
  for (const key of keys) heads[headOf(key.length, key.charCodeAt(0))] = 1;
  return heads;
}

/** Lengths from 31 on share a place, and so do letters of the same low bits. */
function headOf(length: number, first: number): number {
  return (Math.min(length, 31) << 5) | (first & 31);
}

const billedHeads = headsOf(billedKeys);

class ScanFault extends Error {
  readonly fault: JsonScanFault;
  readonly offset: number;

  constructor(fault: JsonScanFault, offset: number, message: string) {
    super(message);
    this.fault = fault;
    this.offset = offset;
  }
}

/** The state of one scan. Arrays are indexed by depth; depth 1 is the top-level container. */
class JsonScanner {
  readonly #bytes: Buffer;
  readonly #depthMax: number;
  readonly #structuralMax: number;
  readonly #uniqueKeys: readonly string[];
  readonly #uniqueHeads: Uint8Array;
  readonly #isObject: boolean[] = [];
  readonly #indices: number[] = [];
  readonly #keyStarts: number[] = [];
  readonly #keyEnds: number[] = [];
  readonly #seenKeys: number[] = [];
  readonly members: { key: string; keyStart: number; valueStart: number; valueEnd: number }[] = [];
  readonly #topLevelKeys = new Set<string>();
  /** There are more top-level members than are listed. */
  #isFull = false;
  #depth = 0;
  #structural = 0;
  #expect = expectValue;
  unusual = false;
  longScalar = false;
  openOffset = 0;
  closeOffset = 0;
  kind: 'object' | 'array' | 'scalar' = 'scalar';

  constructor(bytes: Buffer, limits: JsonScanLimits) {
    this.#bytes = bytes;
    this.#depthMax = limits.depthMax ?? 64;
    this.#structuralMax = limits.structuralMax ?? 1_000_000;
    this.#uniqueKeys = limits.uniqueKeys ?? billedKeys;
    if (this.#uniqueKeys.length > 30) throw new RangeError('at most 30 unique keys');
    this.#uniqueHeads = this.#uniqueKeys === billedKeys ? billedHeads : headsOf(this.#uniqueKeys);
  }

  run(): void {
    const bytes = this.#bytes;
    const length = bytes.length;
    let position = 0;
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
      this.unusual = true;
      position = 3;
    }
    while (position < length) {
      const byte = bytes[position] ?? 0;
      const kind = byteClass[byte];
      if (kind === 1) position = endOfClass(bytes, position, 1);
      else if (byte === quote) position = this.#string(position);
      else if (kind === 2) position = this.#scalar(position);
      else {
        this.#structure(byte, position);
        position += 1;
      }
    }
    if (this.#expect !== expectEnd) throw this.#malformed(length, 'the text ends too early');
  }

  /** The path of the place where the scan stands. */
  path(): string {
    let path = '';
    for (let depth = 1; depth <= this.#depth; depth++) {
      if (this.#isObject[depth] === true) {
        const start = this.#keyStarts[depth] ?? -1;
        if (start < 0) continue;
        const key = this.#bytes.toString(
          'utf8',
          start,
          Math.min(this.#keyEnds[depth] ?? 0, start + 64),
        );
        path += path === '' ? key : `.${key}`;
      } else path += `[${this.#indices[depth] ?? 0}]`;
    }
    return path;
  }

  #malformed(offset: number, message: string): ScanFault {
    return new ScanFault('malformed', offset, message);
  }

  #unexpected(offset: number): ScanFault {
    return this.#malformed(offset, `unexpected byte at offset ${offset}`);
  }

  #structure(byte: number, offset: number): void {
    this.#structural += 1;
    if (this.#structural > this.#structuralMax) {
      const message = `more than ${this.#structuralMax} brackets, commas and colons`;
      throw new ScanFault('too-large', offset, message);
    }
    if (byte === comma) this.#comma(offset);
    else if (byte === colon) {
      if (this.#expect !== expectColon) throw this.#unexpected(offset);
      this.#expect = expectValue;
    } else if (byte === openBrace || byte === openBracket) this.#open(byte === openBrace, offset);
    else if (byte === closeBrace || byte === closeBracket) this.#close(byte === closeBrace, offset);
    else throw this.#unexpected(offset);
  }

  #comma(offset: number): void {
    if (this.#expect !== expectCommaOrClose) throw this.#unexpected(offset);
    if (this.#isObject[this.#depth] === true) this.#expect = expectKey;
    else {
      this.#indices[this.#depth] = (this.#indices[this.#depth] ?? 0) + 1;
      this.#expect = expectValue;
    }
  }

  #open(isObject: boolean, offset: number): void {
    this.#beginValue(offset);
    if (this.#depth === this.#depthMax) {
      throw new ScanFault('too-deep', offset, `nested deeper than ${this.#depthMax} levels`);
    }
    this.#depth += 1;
    if (this.#depth === 1) {
      this.kind = isObject ? 'object' : 'array';
      this.openOffset = offset;
    }
    this.#isObject[this.#depth] = isObject;
    this.#indices[this.#depth] = 0;
    this.#keyStarts[this.#depth] = -1;
    this.#seenKeys[this.#depth] = 0;
    this.#expect = isObject ? expectKeyOrClose : expectValueOrClose;
  }

  #close(isObject: boolean, offset: number): void {
    const empty = isObject ? expectKeyOrClose : expectValueOrClose;
    const allowed = this.#expect === expectCommaOrClose || this.#expect === empty;
    if (!allowed || this.#isObject[this.#depth] !== isObject) throw this.#unexpected(offset);
    this.#depth -= 1;
    if (this.#depth === 0) this.closeOffset = offset;
    this.#endValue(offset + 1);
  }

  #beginValue(offset: number): void {
    if (this.#expect !== expectValue && this.#expect !== expectValueOrClose) {
      throw this.#unexpected(offset);
    }
    if (this.#depth !== 1 || this.kind !== 'object') return;
    const member = this.members.at(-1);
    if (member !== undefined && !this.#isFull) member.valueStart = offset;
  }

  #endValue(offset: number): void {
    this.#expect = this.#depth === 0 ? expectEnd : expectCommaOrClose;
    if (this.#depth !== 1 || this.kind !== 'object') return;
    const member = this.members.at(-1);
    if (member !== undefined && !this.#isFull) member.valueEnd = offset;
  }

  #scalar(start: number): number {
    const bytes = this.#bytes;
    this.#beginValue(start);
    const end = endOfClass(bytes, start, 2);
    if (end - start >= longDigits) this.longScalar = true;
    if (this.#depth === 0) {
      this.openOffset = start;
      this.closeOffset = end;
    }
    this.#endValue(end);
    return end;
  }

  #string(start: number): number {
    const expect = this.#expect;
    const isKey = expect === expectKey || expect === expectKeyOrClose;
    if (!isKey) this.#beginValue(start);
    const end = endOfString(this.#bytes, start);
    if (end < 0) throw this.#malformed(start, 'a string is not closed');
    if (isKey) this.#key(start, end);
    else {
      if (this.#depth === 0) {
        this.openOffset = start;
        this.closeOffset = end;
      }
      this.#endValue(end);
    }
    return end;
  }

  #key(start: number, end: number): void {
    this.#keyStarts[this.#depth] = start + 1;
    this.#keyEnds[this.#depth] = end - 1;
    this.#expect = expectColon;
    const escapeAt = indexOfByte(this.#bytes, backslash, start, end);
    const escaped = escapeAt < end;
    if (
      (this.#depth > 1 || this.#isFull) &&
      !escaped &&
      !this.#mayBeUnique(end - start - 2, this.#bytes[start + 1] ?? 0)
    )
      return;
    const key = this.#keyText(start, end, escaped);
    this.#refuseRepeated(key, start);
    if (this.#depth === 1) this.#member(key, start, escaped);
  }

  /** Whether any unique key begins like this, which spares most keys their text. */
  #mayBeUnique(length: number, first: number): boolean {
    return this.#uniqueHeads[headOf(length, first)] === 1;
  }

  #keyText(start: number, end: number, escaped: boolean): string {
    if (end - start > keyBytesMax) {
      if (this.#depth === 1) throw this.#malformed(start, `a key exceeds ${keyBytesMax} bytes`);
      return '';
    }
    if (!escaped) return this.#bytes.toString('utf8', start + 1, end - 1);
    try {
      return String(JSON.parse(this.#bytes.toString('utf8', start, end)));
    } catch {
      throw this.#malformed(start, 'a key has a bad escape');
    }
  }

  #refuseRepeated(key: string, offset: number): void {
    const index = this.#mayBeUnique(key.length, key.charCodeAt(0))
      ? this.#uniqueKeys.indexOf(key)
      : -1;
    if (index < 0) return;
    const seen = this.#seenKeys[this.#depth] ?? 0;
    if ((seen & (1 << index)) !== 0) {
      throw new ScanFault('duplicate-key', offset, `the key "${key}" stands twice in one object`);
    }
    this.#seenKeys[this.#depth] = seen | (1 << index);
  }

  #member(key: string, keyStart: number, escaped: boolean): void {
    if (escaped || this.#topLevelKeys.has(key)) this.unusual = true;
    if (this.members.length === membersMax) {
      this.unusual = this.#isFull = true;
      return;
    }
    this.#topLevelKeys.add(key);
    this.members.push({ key, keyStart, valueStart: 0, valueEnd: 0 });
  }
}

/** Offset after a run of bytes of one class that begins at `start`. */
function endOfClass(bytes: Buffer, start: number, kind: number): number {
  const length = bytes.length;
  let position = start + 1;
  while (position < length && byteClass[bytes[position] ?? 0] === kind) position += 1;
  return position;
}

/** Offset after the quote that closes the string opened at `start`, or -1. */
function endOfString(bytes: Buffer, start: number): number {
  const length = bytes.length;
  let position = start + 1;
  let jumps = 0;
  for (;;) {
    // Short strings, and long ones full of escapes, are fastest byte by byte.
    const nearEnd = jumps < 16 ? Math.min(length, position + 32) : length;
    while (position < nearEnd) {
      const byte = bytes[position];
      if (byte === quote) return position + 1;
      position += byte === backslash ? 2 : 1;
    }
    if (position >= length) return -1;
    const found = bytes.indexOf(quote, position);
    if (found === -1) return -1;
    let escapes = 0;
    while (found - 1 - escapes >= position && bytes[found - 1 - escapes] === backslash)
      escapes += 1;
    if (escapes % 2 === 0) return found + 1;
    position = found + 1;
    jumps += 1;
  }
}

/**
 * Looks over JSON text before anything parses it: encoding, nesting, size, brackets, repeated
 * keys; and finds the top-level members. Time is linear in the bytes and memory is bounded by
 * the limits, so a hostile body costs no more than its reading. The inside of strings, numbers
 * and literals is left to the parser: `ok` means that a parse is safe, not that it succeeds.
 */
export function scanJson(body: Uint8Array, limits: JsonScanLimits = {}): JsonScan {
  const bytes = asBuffer(body);
  if (!isUtf8(bytes)) {
    return { ok: false, fault: 'not-utf8', message: 'the text is not UTF-8', offset: 0, path: '' };
  }
  const scanner = new JsonScanner(bytes, limits);
  try {
    scanner.run();
  } catch (error) {
    if (!(error instanceof ScanFault)) throw error;
    const { fault, message, offset } = error;
    return { ok: false, fault, message, offset, path: scanner.path() };
  }
  const { kind, members, openOffset, closeOffset, unusual, longScalar } = scanner;
  return { ok: true, kind, members, openOffset, closeOffset, unusual, longScalar };
}

/** The text of JSON bytes that `scanJson` accepted, without the byte order mark. */
export function decodeJsonText(body: Uint8Array): string {
  const bytes = asBuffer(body);
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.toString('utf8', marked ? 3 : 0);
}
