/**
 * What one batch wrote, as bytes: statements with their rows, in the order in which they happened.
 * A frame says by itself whether it is whole, and which frame it follows.
 */

import { crc32 } from 'node:zlib';
import { parseJson } from '#std';
import type { Value, WriteStatement } from './engine.ts';

/** One step of a batch, as it is to be repeated in the database. */
export type Entry =
  | {
      readonly kind: 'rows';
      readonly write: WriteStatement;
      readonly rows: readonly (readonly Value[])[];
    }
  | { readonly kind: 'change'; readonly sql: string; readonly parameters: readonly Value[] };

export type FrameHeader = {
  readonly bodyBytes: number;
  readonly sequence: number;
  /** The checksum of the frame before: a frame of another history does not fit. */
  readonly previous: number;
  readonly checksum: number;
};

/** Mark, length, sequence, checksum of the frame before, checksum of all this and the body. */
export const headerBytes = 28;
const checkedBytes = 24;
const mark = 0x4d464a31;

const tag = { define: 1, rows: 2, change: 3, none: 4, number: 5, text: 6, bytes: 7 } as const;

/** Text this short is copied by a loop, which costs less than a call of the engine's own. */
const loopLengthMax = 40;

/** Builds frames in one buffer that is used again and again. */
export class FrameWriter {
  #bytes = Buffer.alloc(65_536);
  #view = viewOf(this.#bytes);
  #end = headerBytes;
  readonly #numbers = new Map<WriteStatement, number>();

  /** Later frames must be readable without those before: statements are written out again. */
  forget(): void {
    this.#numbers.clear();
  }

  /** Drops what was added since the last frame. */
  clear(): void {
    this.#end = headerBytes;
  }

  get byteLength(): number {
    return this.#end;
  }

  add(entry: Entry): void {
    if (entry.kind === 'change') {
      this.#start(tag.change);
      this.#value(entry.sql);
      this.#integer(entry.parameters.length);
      for (const value of entry.parameters) this.#value(value);
      return;
    }
    const number = this.#numberOf(entry.write);
    this.#start(tag.rows);
    this.#integer(number);
    this.#integer(entry.rows.length);
    // A loop by iterators makes an object for each value, as long as it is not compiled.
    for (const row of entry.rows)
      for (let index = 0; index < row.length; index += 1) this.#value(row[index] ?? null);
  }

  /** The frame, valid until the next call of `add`. */
  finish(
    sequence: number,
    previous: number,
  ): { readonly bytes: Buffer; readonly checksum: number } {
    const bytes = this.#bytes.subarray(0, this.#end);
    bytes.writeUInt32LE(mark, 0);
    bytes.writeUInt32LE(this.#end - headerBytes, 4);
    bytes.writeDoubleLE(sequence, 8);
    bytes.writeUInt32LE(previous, 16);
    bytes.writeUInt32LE(0, 20);
    const checksum = checksumOf(bytes);
    bytes.writeUInt32LE(checksum, checkedBytes);
    return { bytes, checksum };
  }

  #numberOf(write: WriteStatement): number {
    const known = this.#numbers.get(write);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(write, number);
    this.#start(tag.define);
    this.#integer(number);
    this.#value(JSON.stringify(write));
    return number;
  }

  #reserve(byteCount: number): void {
    if (this.#end + byteCount <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(this.#bytes.length * 2, this.#end + byteCount));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
    this.#view = viewOf(larger);
  }

  #start(kind: number): void {
    this.#reserve(1);
    this.#bytes[this.#end++] = kind;
  }

  #integer(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#end, value, true);
    this.#end += 4;
  }

  #value(value: Value): void {
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') {
      this.#reserve(9);
      this.#bytes[this.#end] = tag.number;
      this.#view.setFloat64(this.#end + 1, value, true);
      this.#end += 9;
    } else if (value === null) this.#start(tag.none);
    else {
      this.#start(tag.bytes);
      this.#integer(value.byteLength);
      this.#reserve(value.byteLength);
      this.#bytes.set(value, this.#end);
      this.#end += value.byteLength;
    }
  }

  #text(text: string): void {
    this.#reserve(5 + text.length * 3);
    const bytes = this.#bytes;
    bytes[this.#end] = tag.text;
    const start = this.#end + 5;
    const written = shortText(bytes, start, text) ?? bytes.write(text, start);
    this.#view.setUint32(this.#end + 1, written, true);
    this.#end = start + written;
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `undefined` when the text is long or has other characters than ASCII. */
function shortText(bytes: Buffer, start: number, text: string): number | undefined {
  const { length } = text;
  if (length > loopLengthMax) return undefined;
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 127) return undefined;
    bytes[start + index] = code;
  }
  return length;
}

function checksumOf(frame: Uint8Array): number {
  return crc32(frame.subarray(headerBytes), crc32(frame.subarray(0, checkedBytes)));
}

/** `undefined` when these bytes do not start a frame. Whether its body is whole is another question. */
export function readHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.length < headerBytes || bytes.readUInt32LE(0) !== mark) return undefined;
  return {
    bodyBytes: bytes.readUInt32LE(4),
    sequence: bytes.readDoubleLE(8),
    previous: bytes.readUInt32LE(16),
    checksum: bytes.readUInt32LE(checkedBytes),
  };
}

/** `frame` is a header with its body. */
export function isWhole(frame: Buffer): boolean {
  return checksumOf(frame) === frame.readUInt32LE(checkedBytes);
}

/** Reads frames in order: one may use statements that an earlier one has written out. */
export class FrameReader {
  readonly #statements = new Map<number, WriteStatement>();

  /** Throws when a whole frame says something that this version does not understand. */
  read(frame: Buffer): readonly Entry[] {
    const entries: Entry[] = [];
    const cursor = new Cursor(frame);
    while (cursor.at < frame.length) {
      const kind = cursor.byte();
      if (kind === tag.define) this.#statements.set(cursor.integer(), statementOf(cursor.text()));
      else if (kind === tag.rows) entries.push(this.#rows(cursor));
      else if (kind === tag.change)
        entries.push({
          kind: 'change',
          sql: cursor.text(),
          parameters: cursor.values(cursor.integer()),
        });
      else throw new TypeError(`a frame of the journal holds an unknown entry (${kind})`);
    }
    return entries;
  }

  #rows(cursor: Cursor): Entry {
    const write = this.#statements.get(cursor.integer());
    if (!write) throw new TypeError('a frame of the journal uses an unknown statement');
    const count = cursor.integer();
    const rows = Array.from({ length: count }, () => cursor.values(write.columns.length));
    return { kind: 'rows', write, rows };
  }
}

function statementOf(text: string): WriteStatement {
  const parsed = parseJson(text);
  if (!parsed.ok) throw new TypeError('a frame of the journal defines no statement');
  return parsed.value as unknown as WriteStatement;
}

class Cursor {
  at = headerBytes;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.at++);
  }

  integer(): number {
    const value = this.#bytes.readUInt32LE(this.at);
    this.at += 4;
    return value;
  }

  text(): string {
    const value = this.value();
    if (typeof value !== 'string') throw new TypeError('a frame of the journal lacks a text');
    return value;
  }

  values(count: number): readonly Value[] {
    return Array.from({ length: count }, () => this.value());
  }

  value(): Value {
    const kind = this.byte();
    if (kind === tag.none) return null;
    if (kind === tag.number) {
      this.at += 8;
      return this.#bytes.readDoubleLE(this.at - 8);
    }
    const length = this.integer();
    this.at += length;
    const part = this.#bytes.subarray(this.at - length, this.at);
    return kind === tag.text ? part.toString() : new Uint8Array(part);
  }
}
