import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyCharacter } from '../../test/support/characters.ts';
import type { Value, WriteStatement } from './engine.ts';
import { FrameReader, FrameWriter, type Entry } from './frame.ts';
import { Journal, type Place } from './journal.ts';

const write: WriteStatement = {
  action: 'insert',
  table: 'things',
  columns: [
    { name: 'thing_id', type: 'text' },
    { name: 'amount', type: 'integer' },
    { name: 'body', type: 'bytes', nullable: true },
  ],
};
const start: Place = { sequence: 1, segment: 0, offset: 0, previous: 7 };

const values: fc.Arbitrary<readonly Value[]> = fc.tuple(
  fc.string({ unit: anyCharacter, maxLength: 200 }),
  fc.maxSafeInteger(),
  fc.option(fc.uint8Array({ maxLength: 300 })) as fc.Arbitrary<Uint8Array | null>,
);
const entries: fc.Arbitrary<Entry> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .array(values, { maxLength: 8 })
      .map((rows): Entry => ({ kind: 'rows', write, rows })),
  },
  fc.maxSafeInteger().map((amount): Entry => ({
    kind: 'change',
    sql: 'DELETE FROM things WHERE amount < ?',
    parameters: [amount],
  })),
);

type Folder = { readonly path: string; open(segmentBytes?: number): Journal };

async function inFolder(work: (folder: Folder) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-journal-'));
  const path = join(folder, 'journal');
  const opened: Journal[] = [];
  try {
    await work({
      path,
      open(segmentBytes = 65_536) {
        const journal = new Journal({ path, flushed: false, segmentBytes });
        opened.push(journal);
        journal.seek(start);
        return journal;
      },
    });
  } finally {
    for (const journal of opened) journal.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function append(
  journal: Journal,
  writer: FrameWriter,
  batch: readonly Entry[],
): Promise<void> {
  for (const entry of batch) writer.add(entry);
  const { bytes, checksum } = writer.finish(journal.place.sequence, journal.place.previous);
  await journal.append(bytes, checksum);
  writer.clear();
}

function readAll(journal: Journal): readonly (readonly Entry[])[] {
  const reader = new FrameReader();
  const batches: (readonly Entry[])[] = [];
  for (let found = journal.read(start); found; found = journal.read(found.next))
    batches.push(reader.read(found.frame));
  return batches;
}

test('frames are read as they were written, over as many segments as they need', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(entries, { maxLength: 6 }), { minLength: 1, maxLength: 40 }),
      (batches) =>
        inFolder(async ({ open }) => {
          const journal = open(8192);
          const writer = new FrameWriter();
          const kept: (readonly Entry[])[] = [];
          for (const batch of batches) {
            writer.forget();
            for (const entry of batch) writer.add(entry);
            const { byteLength } = writer;
            writer.clear();
            writer.forget();
            if (!journal.fits(byteLength)) await journal.grow();
            if (!journal.fits(byteLength)) continue;
            await append(journal, writer, batch);
            kept.push(batch);
          }
          assert.deepEqual(readAll(open(8192)), kept);
        }),
    ),
    { numRuns: 30, interruptAfterTimeLimit: 20_000 },
  );
});

test('of a journal that breaks off or is damaged, exactly the frames before are read', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(entries, { maxLength: 4 }), { minLength: 1, maxLength: 12 }),
      fc.nat(),
      fc.constantFrom('cut', 'flip', 'sector' as const),
      (batches, at, damage) =>
        inFolder(async ({ open, path }) => {
          const journal = open();
          await journal.grow();
          const writer = new FrameWriter();
          const ends: number[] = [];
          for (const batch of batches) {
            await append(journal, writer, batch);
            ends.push(journal.place.offset);
          }
          const bytes = readFileSync(`${path}-0`);
          const place = at % (ends.at(-1) ?? 1);
          if (damage === 'cut') bytes.fill(0, place);
          else if (damage === 'sector')
            bytes.fill(0, place - (place % 512), place - (place % 512) + 512);
          else bytes[place] = (bytes[place] ?? 0) ^ 1;
          const changed = readFileSync(`${path}-0`);
          writeFileSync(`${path}-0`, bytes);
          const whole = ends.findIndex((end, index) => {
            const from = index === 0 ? 0 : (ends[index - 1] ?? 0);
            return !bytes.subarray(from, end).equals(changed.subarray(from, end));
          });
          const read = readAll(open());
          // Damage in the space between two frames is no damage.
          const expected = whole < 0 ? batches : batches.slice(0, Math.max(whole, read.length));
          assert.deepEqual(read, expected);
          assert.ok(whole < 0 || read.length <= whole || isPadding(bytes, changed, ends, whole));
        }),
    ),
    { numRuns: 100, interruptAfterTimeLimit: 20_000 },
  );
});

/** Whether only bytes after the end of the frame differ. */
function isPadding(
  bytes: Buffer,
  original: Buffer,
  ends: readonly number[],
  index: number,
): boolean {
  const from = index === 0 ? 0 : (ends[index - 1] ?? 0);
  const length = 28 + original.readUInt32LE(from + 4);
  return bytes.subarray(from, from + length).equals(original.subarray(from, from + length));
}

test('a segment is used again only when its frames are safe in the database', () =>
  inFolder(async ({ open, path }) => {
    const journal = open(8192);
    const writer = new FrameWriter();
    const batch: Entry[] = [{ kind: 'rows', write, rows: [['x'.repeat(3000), 1, null]] }];
    for (let segments = 0; segments < 3; segments += 1) await journal.grow();
    let appended = 0;
    while (journal.fits(3200)) {
      await append(journal, writer, batch);
      appended += 1;
    }
    assert.ok(appended >= 6);
    assert.equal(readAll(open(8192)).length, appended);
    // The last frame is in the third segment; the first one is free when its frames are.
    journal.release(journal.place.sequence);
    assert.ok(journal.fits(3200));
    await append(journal, writer, batch);
    assert.equal(statSync(`${path}-0`).size, 8192);
    assert.equal(journal.place.segment === 2, false);
    // What was there before is another history now.
    assert.equal(readAll(open(8192)).length < appended, true);
  }));

test('a frame of another history does not follow, even with the right number', () =>
  inFolder(async ({ open }) => {
    const journal = open();
    await journal.grow();
    const batch: Entry[] = [{ kind: 'rows', write, rows: [['same length', 1, null]] }];
    const writer = new FrameWriter();
    await append(journal, writer, batch);
    await append(journal, writer, batch);
    const again = open();
    writer.forget();
    await append(again, writer, [{ kind: 'rows', write, rows: [['same LENGTH', 1, null]] }]);
    assert.equal(readAll(open()).length, 1);
  }));

test('a frame that was withdrawn is not read', () =>
  inFolder(async ({ open }) => {
    const journal = open();
    await journal.grow();
    const writer = new FrameWriter();
    writer.add({ kind: 'rows', write, rows: [['refused', 1, null]] });
    const { bytes, checksum } = writer.finish(start.sequence, start.previous);
    await journal.append(bytes, checksum);
    const other = open();
    await other.withdraw(bytes);
    assert.equal(readAll(open()).length, 0);
  }));
