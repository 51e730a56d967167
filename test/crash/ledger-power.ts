/**
 * Power cut (T-B2): `node test/crash/ledger-power.ts [images] [seed] [FULL|NORMAL]`. Records the
 * system calls of a working ledger, builds what a power cut at a random moment could leave on the
 * disk, opens each and compares it with what vendor and client know. Prints one line of JSON; exits
 * 1 when anything acknowledged is lost. With NORMAL it must exit 1: that guards the test.
 */

import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom, systemClock } from '#std';
import { openLedger } from '#ledger';
import { openStore } from '#store';
import { diskImages, readTrace, tracedCalls, type DiskImage } from './disk-images.ts';
import { compareWithTruth, Truth } from './truth.ts';

const images = Number(process.argv[2] ?? 500);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_000);
const synchronous = process.argv[4] ?? 'FULL';
const requests = Number(process.argv[5] ?? 1500);
const folder = mkdtempSync(join(tmpdir(), 'manifold-power-'));
const database = join(folder, 'ledger.db');
const spoken = join(folder, 'said');
const start = performance.now();

console.error(`seed ${seed}`);
record();
const events = await readTrace(join(folder, 'trace'), database, spoken);
const ready = events.findIndex((event) => event.kind === 'say' && event.text.includes('ready'));
const flushes = events.filter((event) => event.kind === 'flush' && event.file === database).length;
const totals = {
  images: 0,
  acknowledged: 0,
  lost: 0,
  imagesWithLoss: 0,
  orphans: 0,
  mismatches: 0,
  differences: 0,
  unopened: 0,
};
const firstDifferences: unknown[] = [];
for (const image of diskImages(events, ready + 1, images, seededRandom(seed))) await judge(image);
rmSync(folder, { recursive: true, force: true });

const failed =
  totals.images < images ||
  totals.lost + totals.orphans + totals.mismatches + totals.differences + totals.unopened > 0;
console.log(
  JSON.stringify({
    test: 'T-B2',
    seed,
    synchronous,
    ...totals,
    checkpoints: flushes,
    events: events.length,
    first_differences: firstDifferences.slice(0, 3),
    seconds: Math.round((performance.now() - start) / 1000),
    ok: !failed,
  }),
);
process.exitCode = failed ? 1 : 0;

function record(): void {
  const said = openSync(spoken, 'w');
  const victim = [
    join(import.meta.dirname, 'ledger-victim.ts'),
    database,
    '60',
    String(seed),
    String(requests),
    'none',
    synchronous,
    '200',
    // Small, so that files of the journal are filled and used again many times.
    '131072',
  ];
  const traced = spawnSync(
    'strace',
    [
      '-f',
      '-y',
      '-xx',
      '-s',
      '1000000',
      '-e',
      `trace=${tracedCalls}`,
      '-o',
      join(folder, 'trace'),
      process.execPath,
      ...victim,
    ],
    {
      stdio: ['ignore', 'inherit', 'inherit', said],
    },
  );
  closeSync(said);
  if (traced.status !== 0)
    throw new Error(`strace did not run (${traced.error?.message ?? traced.status})`);
}

/** The vendor and the client remember; the machine starts again with what is on its disk. */
async function judge(image: DiskImage): Promise<void> {
  const place = join(folder, 'image');
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  for (const [name, bytes] of image.files) {
    if (!name.endsWith('-shm')) writeFileSync(join(place, name.slice(folder.length + 1)), bytes);
  }
  const truth = new Truth();
  for (const line of image.said.split('\n').slice(0, -1)) truth.read(line, () => undefined);
  totals.images += 1;
  try {
    const store = await openStore({
      url: join(place, 'ledger.db'),
      clock: systemClock,
      synchronous: 'OFF',
    });
    const ledger = openLedger({ store, clock: systemClock });
    await ledger.recover();
    const verified = await ledger.verify();
    const report = await compareWithTruth(truth, ledger);
    await store.close();
    totals.acknowledged += report.acknowledged;
    totals.lost += report.lostAcknowledgements;
    totals.imagesWithLoss += report.lostAcknowledgements > 0 ? 1 : 0;
    totals.orphans += report.orphans;
    totals.differences += verified.differenceCount;
    firstDifferences.push(...verified.differences.slice(0, 1));
  } catch (error) {
    totals.unopened += 1;
    firstDifferences.push(error instanceof Error ? error.message : String(error));
  }
}
