/**
 * What a power cut can leave on a disk, from a recording of system calls (`strace`). Everything
 * written before the last flush of its file is there; of what was written since, any part may be
 * missing, whole writes as well as single sectors of 512 bytes, in any order.
 */

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Random } from '#std';

export type DiskEvent =
  | {
      readonly kind: 'write';
      readonly file: string;
      readonly offset: number;
      readonly data: Buffer;
    }
  | { readonly kind: 'truncate'; readonly file: string; readonly size: number }
  | { readonly kind: 'flush'; readonly file: string }
  /** A write through a descriptor that flushes (`O_DSYNC`) has returned: that write is on the disk. */
  | { readonly kind: 'landed'; readonly file: string; readonly write: DiskEvent }
  /** Taken as durable at once, as the journal of a file system makes it or not with all before it. */
  | { readonly kind: 'rename'; readonly file: string; readonly to: string }
  /** Taken as durable at once: SQLite deletes a file only where both outcomes are right. */
  | { readonly kind: 'remove'; readonly file: string }
  /** What the process said to the outside: it cannot be taken back. */
  | { readonly kind: 'say'; readonly text: string };

/** Calls to be recorded: `strace -f -y -xx -s 1000000 -e trace=…`. */
export const tracedCalls = 'openat,close,pwrite64,write,fdatasync,fsync,ftruncate,unlink,rename';

const callPattern =
  /^\d+\s+(pwrite64|write|ftruncate|fsync|fdatasync)\((\d+)<((?:\\x[0-9a-f]{2})*)>(?:, (.*)|[) ].*)$/;
const unlinkPattern = /^\d+\s+unlink\("((?:\\x[0-9a-f]{2})*)"\)/;
const renamePattern = /^\d+\s+rename\("((?:\\x[0-9a-f]{2})*)", "((?:\\x[0-9a-f]{2})*)"\)/;
const openPattern = /^\d+\s+(?:openat\(.*|<\.\.\. openat resumed>.*)= (\d+)<((?:\\x[0-9a-f]{2})*)>/;
const closePattern = /^\d+\s+close\((\d+)/;
const resumedPattern = /^(\d+)\s+<\.\.\. (\w+) resumed>/;

/** What is known while the recording is read from its beginning. */
type Reading = {
  readonly events: DiskEvent[];
  readonly database: string;
  readonly spoken: string;
  /** Calls that a thread has begun: what is to be noted when they return. */
  readonly begun: Map<string, DiskEvent>;
  /** Descriptors that flush whatever is written through them. */
  readonly flushing: Set<string>;
};

/** Events of the database files and of the file that took the process's words. */
export async function readTrace(
  path: string,
  database: string,
  spoken: string,
): Promise<readonly DiskEvent[]> {
  const reading: Reading = { events: [], database, spoken, begun: new Map(), flushing: new Set() };
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (!readNames(reading, line)) readCall(reading, line);
  }
  return reading.events;
}

/** Calls that open, close, name and remove files, and those that return later than they began. */
function readNames({ events, database, begun, flushing }: Reading, line: string): boolean {
  const opened = openPattern.exec(line);
  if (opened) {
    const [, descriptor = ''] = opened;
    if (line.includes('O_DSYNC')) flushing.add(descriptor);
    else flushing.delete(descriptor);
    return true;
  }
  const closed = closePattern.exec(line);
  if (closed) return flushing.delete(closed[1] ?? '') || true;
  const resumed = resumedPattern.exec(line);
  if (resumed) {
    const [, thread = ''] = resumed;
    const event = begun.get(thread);
    if (event) events.push(event);
    return begun.delete(thread) || true;
  }
  const renamed = renamePattern.exec(line);
  if (renamed) {
    const [file, to] = [renamed[1], renamed[2]].map((name = '') => unescape(name).toString());
    // Other programs' files are no business of this test: the engine keeps compiled code in some.
    if (file?.startsWith(database) === true && to !== undefined)
      events.push({ kind: 'rename', file, to });
    return true;
  }
  const removed = unlinkPattern.exec(line);
  if (removed) events.push({ kind: 'remove', file: unescape(removed[1] ?? '').toString() });
  return removed !== null;
}

function readCall({ events, database, spoken, begun, flushing }: Reading, line: string): void {
  const match = callPattern.exec(line);
  if (!match) return;
  const [, call = '', descriptor = '', hexPath = '', rest = ''] = match;
  const file = unescape(hexPath).toString();
  if (file !== spoken && !file.startsWith(database)) return;
  const thread = line.slice(0, line.indexOf(' '));
  const returns = (event: DiskEvent): void => {
    if (line.endsWith('<unfinished ...>')) begun.set(thread, event);
    else events.push(event);
  };
  if (call === 'fsync' || call === 'fdatasync') returns({ kind: 'flush', file });
  else if (call === 'ftruncate')
    events.push({ kind: 'truncate', file, size: Number.parseInt(rest, 10) });
  else {
    const event = writeEvent(call, file, rest, spoken);
    events.push(event);
    if (flushing.has(descriptor)) returns({ kind: 'landed', file, write: event });
  }
}

function writeEvent(call: string, file: string, rest: string, spoken: string): DiskEvent {
  const end = rest.lastIndexOf('"');
  const data = unescape(rest.slice(1, end));
  if (file === spoken) return { kind: 'say', text: data.toString() };
  const [length = '', offset = ''] = rest.slice(end + 1).match(/\d+/g) ?? [];
  if (call !== 'pwrite64' || data.length !== Number(length))
    throw new Error(`a write that was not fully recorded: ${call} ${length}`);
  return { kind: 'write', file, offset: Number(offset), data };
}

function unescape(hex: string): Buffer {
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex');
}

type Pending = Extract<DiskEvent, { kind: 'write' | 'truncate' }>;

/** A file as flushed, and what was written since. */
class DiskFile {
  bytes: Buffer = Buffer.alloc(0);
  pending: Pending[] = [];

  flush(): void {
    for (const event of this.pending) this.bytes = applied(this.bytes, event, undefined);
    this.pending = [];
  }

  /** One write of those that wait, which flushes itself and not the others. */
  land(write: DiskEvent): void {
    for (const event of this.pending)
      if (event === write) this.bytes = applied(this.bytes, event, undefined);
    this.pending = this.pending.filter((event) => event !== write);
  }

  /** `lost` decides for each pending write, or part of it, whether it reached the disk. */
  image(random: Random): Buffer {
    let bytes: Buffer = Buffer.from(this.bytes);
    const order = random() < 0.5 ? this.pending : shuffled(this.pending, random);
    const share = random();
    for (const event of order) {
      const fate = random();
      if (fate < share * 0.8) bytes = applied(bytes, event, undefined);
      else if (fate < share) bytes = applied(bytes, event, random);
    }
    return bytes;
  }
}

const sectorBytes = 512;

function applied(bytes: Buffer, event: Pending, torn: Random | undefined): Buffer {
  if (event.kind === 'truncate') {
    const resized = Buffer.alloc(event.size);
    bytes.copy(resized, 0, 0, event.size);
    return resized;
  }
  const end = event.offset + event.data.length;
  let target = bytes;
  if (end > bytes.length) {
    target = Buffer.alloc(end);
    bytes.copy(target);
  }
  if (!torn) {
    event.data.copy(target, event.offset);
    return target;
  }
  for (let start = 0; start < event.data.length; start += sectorBytes) {
    if (torn() < 0.5) event.data.copy(target, event.offset + start, start, start + sectorBytes);
  }
  return target;
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  const copy = [...values];
  for (let index = copy.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    [copy[index], copy[other]] = [copy[other] as T, copy[index] as T];
  }
  return copy;
}

export type DiskImage = { readonly files: ReadonlyMap<string, Buffer>; readonly said: string };

/** Images at `count` random moments between `from` (a position in the events) and the end. */
export function* diskImages(
  events: readonly DiskEvent[],
  from: number,
  count: number,
  random: Random,
): Generator<DiskImage> {
  const cuts = Array.from(
    { length: count },
    () => from + Math.floor(random() * (events.length - from)),
  ).sort((left, right) => left - right);
  const files = new Map<string, DiskFile>();
  let said = '';
  let position = 0;
  for (const cut of cuts) {
    for (; position < cut; position += 1) {
      const event = events[position];
      if (!event) break;
      if (event.kind === 'say') {
        said += event.text;
        continue;
      }
      if (event.kind === 'remove') {
        files.delete(event.file);
        continue;
      }
      if (event.kind === 'rename') {
        files.set(event.to, files.get(event.file) ?? new DiskFile());
        files.delete(event.file);
        continue;
      }
      const file = files.get(event.file) ?? new DiskFile();
      files.set(event.file, file);
      if (event.kind === 'flush') file.flush();
      else if (event.kind === 'landed') file.land(event.write);
      else file.pending.push(event);
    }
    yield { files: new Map([...files].map(([name, file]) => [name, file.image(random)])), said };
  }
}
