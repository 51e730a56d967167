/**
 * The files in front of the database: frames, one after the other, in files that are filled with
 * zeros once and used again and again, so that a flush changes data and nothing else. Who holds the
 * database's write lock may append and read; nobody else touches them.
 */

import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  write,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { headerBytes, isWhole, readHeader } from './frame.ts';

/** Where the next frame goes, and what it must follow. */
export type Place = {
  readonly sequence: number;
  readonly segment: number;
  readonly offset: number;
  /** Checksum of the frame before. */
  readonly previous: number;
};

export type JournalOptions = {
  /** Segments are this and `-0`, `-1`… */
  readonly path: string;
  /** Whether a frame is on the disk when `append` resolves. */
  readonly flushed: boolean;
  readonly segmentBytes: number;
};

type Segment = {
  readonly index: number;
  readonly file: number;
  readonly size: number;
  /** Highest sequence that may be in it. */
  last: number;
};

const segmentsMax = 8;
/** The first file is small: most commands write a few frames and end. */
const firstBytes = 262_144;
const fillBytes = 262_144;
/** Frames start at a sector, so that a torn write cannot hurt the frame before. */
const sectorBytes = 512;

/**
 * A frame is written at once, without the way over another thread and back, which costs more than
 * the call itself, while the event loop stands still for no more than this share of the time.
 */
const standstillShare = 0.2;
/** Beside a larger frame that way costs little, and what the disk takes is used by other requests. */
const atOnceBytesMax = 16_384;
/** Time that may be saved up, so that a busy moment after a quiet one is not one long standstill. */
const savedMsMax = 2;

/** One call that writes and flushes; elsewhere it does not reach through the disk's own cache. */
const flushOnWrite = process.platform === 'linux' ? constants.O_DSYNC : undefined;

export class Journal {
  place: Place = { sequence: 1, segment: 0, offset: 0, previous: 0 };
  readonly #options: JournalOptions;
  readonly #segments: Segment[] = [];
  /** Frames up to this one are safe in the database, also after a power cut. */
  #safe = 0;
  #folderFlushed = false;
  /** Standstill that is allowed now; below zero after a write that took long. */
  #savedMs = 0;
  #savedAtMs = 0;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Another process may have written, or made segments, since this one looked. */
  seek(place: Place): void {
    this.place = place;
    this.#discover();
    for (const segment of this.#segments) segment.last = place.sequence - 1;
  }

  /** Frames before `sequence` will not be asked for again: their segments may be used anew. */
  release(sequence: number): void {
    this.#safe = Math.max(this.#safe, sequence - 1);
  }

  /** The frame that follows, if it was written completely; `next` is the place behind it. */
  read(from = this.place): { readonly frame: Buffer; readonly next: Place } | undefined {
    this.#discover();
    const current = this.#segments[from.segment];
    const here = current && readAt(current, from.offset, from);
    if (here) return here;
    for (const segment of this.#segments) {
      const found = segment === current ? undefined : readAt(segment, 0, from);
      if (found) return found;
    }
    return undefined;
  }

  /** The last frame that is safe in the database. */
  get safe(): number {
    return this.#safe;
  }

  fits(byteCount: number): boolean {
    return this.#target(byteCount) !== undefined;
  }

  /** Room for the next batch is short: `grow` should be called while nothing waits. */
  get short(): boolean {
    const current = this.#segments[this.place.segment];
    return (
      (current === undefined || this.place.offset > current.size / 2) && !this.#spare(this.#full())
    );
  }

  /** Whether releasing frames could make room, so that no new segment is needed. */
  get canRelease(): boolean {
    return this.#segments.some(
      (segment) => segment.index !== this.place.segment && segment.size >= this.#full(),
    );
  }

  #full(): number {
    const { segmentBytes } = this.#options;
    return this.#segments.length === 0 ? Math.min(firstBytes, segmentBytes) : segmentBytes;
  }

  /** Makes a segment. Resolves without one when there are enough of them. */
  async grow(): Promise<void> {
    this.#discover();
    const index = this.#segments.length;
    if (index >= segmentsMax) return;
    const { path, flushed } = this.#options;
    await fill(`${path}-new`, this.#full(), flushed);
    renameSync(`${path}-new`, `${path}-${index}`);
    if (flushed) await flushFolder(path);
    this.#discover();
    const made = this.#segments[index];
    if (made) made.last = 0;
  }

  /** Resolves when the frame is durable. There must be room for it. */
  async append(frame: Buffer, checksum: number): Promise<void> {
    const target = this.#target(frame.length);
    if (!target) throw new RangeError('the journal has no room for a frame');
    if (this.#options.flushed && !this.#folderFlushed) {
      // The name of a segment that another process made may not be on the disk yet.
      await flushFolder(this.#options.path);
      this.#folderFlushed = true;
    }
    const { segment, offset } = target;
    await this.#write(segment, frame, offset);
    segment.last = this.place.sequence;
    this.place = placeAfter(this.place, segment.index, offset, frame.length, checksum);
  }

  /** Makes the start of a frame that was refused unreadable: what was refused must not come back. */
  async withdraw(frame: Buffer): Promise<void> {
    const target = this.#target(frame.length);
    if (!target) return;
    await this.#write(target.segment, Buffer.alloc(headerBytes), target.offset);
  }

  close(): void {
    for (const segment of this.#segments.splice(0)) closeSync(segment.file);
  }

  async #write(segment: Segment, bytes: Buffer, offset: number): Promise<void> {
    const atOnce = this.#writeAtOnce(segment, bytes, offset);
    if (atOnce < bytes.length)
      await writeAll(segment.file, bytes.subarray(atOnce), offset + atOnce);
    if (this.#options.flushed && flushOnWrite === undefined) await flushFile(segment.file);
  }

  /** How much of it was written, if there is time for it. */
  #writeAtOnce({ file }: Segment, bytes: Buffer, offset: number): number {
    if (bytes.length > atOnceBytesMax) return 0;
    const startMs = performance.now();
    const earnedMs = (startMs - this.#savedAtMs) * standstillShare;
    this.#savedMs = Math.min(this.#savedMs + earnedMs, savedMsMax);
    this.#savedAtMs = startMs;
    if (this.#savedMs <= 0) return 0;
    const written = writeSync(file, bytes, 0, bytes.length, offset);
    this.#savedMs -= performance.now() - startMs;
    return written;
  }

  #target(byteCount: number): { readonly segment: Segment; readonly offset: number } | undefined {
    const current = this.#segments[this.place.segment];
    const { offset } = this.place;
    if (current && offset + byteCount <= current.size) return { segment: current, offset };
    const spare = this.#spare(byteCount);
    return spare && { segment: spare, offset: 0 };
  }

  /** The largest of the segments that hold nothing any more. */
  #spare(byteCount: number): Segment | undefined {
    let best: Segment | undefined;
    for (const segment of this.#segments) {
      const free = segment.index !== this.place.segment && segment.last <= this.#safe;
      if (free && segment.size >= byteCount && segment.size > (best?.size ?? 0)) best = segment;
    }
    return best;
  }

  #discover(): void {
    while (this.#segments.length < segmentsMax) {
      const index = this.#segments.length;
      const file = openIfThere(`${this.#options.path}-${index}`, this.#options.flushed);
      if (file === undefined) return;
      const { size } = fstatSync(file);
      this.#segments.push({ index, file, size, last: this.place.sequence - 1 });
    }
  }
}

function placeAfter(
  place: Place,
  segment: number,
  offset: number,
  byteCount: number,
  checksum: number,
): Place {
  const end = Math.ceil((offset + byteCount) / sectorBytes) * sectorBytes;
  return { sequence: place.sequence + 1, segment, offset: end, previous: checksum };
}

function readAt(
  segment: Segment,
  offset: number,
  place: Place,
): { readonly frame: Buffer; readonly next: Place } | undefined {
  const start = Buffer.alloc(headerBytes);
  if (readSync(segment.file, start, 0, headerBytes, offset) < headerBytes) return undefined;
  const header = readHeader(start);
  if (!header || header.sequence !== place.sequence || header.previous !== place.previous)
    return undefined;
  const length = headerBytes + header.bodyBytes;
  if (offset + length > segment.size) return undefined;
  const frame = Buffer.alloc(length);
  if (readSync(segment.file, frame, 0, length, offset) < length || !isWhole(frame))
    return undefined;
  return { frame, next: placeAfter(place, segment.index, offset, length, header.checksum) };
}

function openIfThere(path: string, flushed: boolean): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | (flushed ? (flushOnWrite ?? 0) : 0));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function writeAll(file: number, bytes: Buffer, offset: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const from = (start: number): void => {
      write(file, bytes, start, bytes.length - start, offset + start, (error, written) => {
        if (error) reject(error);
        else if (start + written < bytes.length) from(start + written);
        else resolve();
      });
    };
    from(0);
  });
}

async function fill(path: string, size: number, flushed: boolean): Promise<void> {
  const file = openSync(path, 'w', 0o600);
  try {
    const zeros = Buffer.alloc(Math.min(fillBytes, size));
    for (let offset = 0; offset < size; offset += zeros.length) await writeAll(file, zeros, offset);
    if (flushed) await flushFile(file);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

export function flushFile(file: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(file, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/** A new file has its name for good only when its folder is flushed. */
async function flushFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = openSync(dirname(path), 'r');
  try {
    await new Promise<void>((resolve, reject) => {
      fsync(folder, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  } finally {
    closeSync(folder);
  }
}
