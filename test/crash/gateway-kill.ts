/**
 * `kill -9` of the whole gateway (T-B1): `node test/crash/gateway-kill.ts [kills] [seed] [streams] [workers]`.
 * With more than one worker, a worker is killed as well in every life, at another random moment.
 * The server is a process of its own with its data on disk; vendors that bill by themselves and the
 * clients live here and survive it. Prints one line of JSON; exits 1 unless vendors, clients and
 * ledger agree.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSimulator, type Rule, type RunningSimulator } from '#simulator';
import { seededRandom, systemClock } from '#std';
import { compare, Notes } from './gateway-accounts.ts';
import { fillWallets, openData, startServer, writeConfig, offers } from './gateway-process.ts';
import { runLane, Witness } from './gateway-lanes.ts';

const kills = Number(process.argv[2] ?? 200);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_000);
const streams = Number(process.argv[4] ?? 60);
const workers = Number(process.argv[5] ?? 1);
const wallets = 20;
const random = seededRandom(seed);
const folder = mkdtempSync(join(tmpdir(), 'manifold-gateway-kill-'));
const start = performance.now();
console.error(`seed ${seed}`);

const rules: readonly Rule[] = [
  { share: 0.1, fault: { status: 429, headers: { 'retry-after-ms': '20' } } },
  { share: 0.1, fault: { usage: 'missing' } },
];
const vendor = (worksOnAfterAbort: boolean): Promise<RunningSimulator> =>
  startSimulator({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    random,
    rules,
    paceMs: 15,
    worksOnAfterAbort,
  });
const vendors = { stops: await vendor(false), works: await vendor(true) };
const models = Object.keys(offers);
const channel = (id: string, simulator: RunningSimulator, stops: 'yes' | 'no') => ({
  id,
  provider: 'simulator',
  base_url: simulator.url,
  secret: 's',
  allow_private: true,
  abort_stops_billing: stops,
  models: offers,
});
const files = writeConfig(folder, {
  workers,
  channels: [channel('stops', vendors.stops, 'yes'), channel('works', vendors.works, 'no')],
});
const keys = await fillWallets(folder, streams, wallets, 50);
const witness = new Witness();
const readyMs: number[] = [];
const notes = new Notes();
let differences = 0;
let workersKilled = 0;

for (let life = 0; life < kills; life += 1) {
  await live(life);
  if (life % 20 === 19) {
    const books = await openData(folder);
    differences += (await books.ledger.verify()).differenceCount;
    await books.store.close();
  }
}
// The last life only recovers.
const last = await startServer(files);
readyMs.push(last.readyMs);
await last.end('SIGTERM');

const books = await openData(folder);
const report = await compare(books, wallets, notes, witness);
await books.store.close();
for (const simulator of Object.values(vendors)) await simulator.close();
rmSync(folder, { recursive: true, force: true });
readyMs.sort((left, right) => left - right);
const wrong =
  report.orphans +
  report.lost_acknowledgements +
  report.double_posts +
  report.open_nano_usd +
  report.negative_wallets +
  report.cost_mismatches +
  report.differences +
  differences +
  witness.unbilled +
  notes.unnamed;
const failed = wrong > 0 || report.vendor_calls === 0 || report.acknowledged === 0;
console.log(
  JSON.stringify({
    test: 'T-B1 gateway',
    seed,
    kills,
    streams,
    ...(workers > 1 ? { workers, workers_killed: workersKilled } : {}),
    asked: witness.asked,
    aborted: witness.aborted,
    refused: witness.refused,
    unbilled: witness.unbilled,
    unnamed: notes.unnamed,
    ...report,
    differences: differences + report.differences,
    ready_p50_ms: Math.round(readyMs[Math.floor(readyMs.length / 2)] ?? 0),
    ready_max_ms: Math.round(readyMs.at(-1) ?? 0),
    seconds: Math.round((performance.now() - start) / 1_000),
    ok: !failed,
  }),
);
process.exitCode = failed ? 1 : 0;

async function live(life: number): Promise<void> {
  const server = await startServer(files);
  readyMs.push(server.readyMs);
  const over = { now: false };
  const lanes = keys.map((key, lane) =>
    runLane({
      url: server.url,
      key,
      models,
      random: seededRandom(seed + life * 1_000 + lane),
      witness,
      abortShare: 0.15,
      over,
    }),
  );
  await passing(300 + random() * 1_700);
  if (workers > 1) {
    const [worker] = server.workers().filter(() => random() < 0.5);
    if (worker !== undefined) workersKilled += kill(worker) ? 1 : 0;
    await passing(random() * 1_500);
  }
  over.now = true;
  await server.end('SIGKILL');
  await Promise.all(lanes);
  for (const simulator of Object.values(vendors)) notes.take(simulator);
}

function passing(timeMs: number): Promise<void> {
  return new Promise((passed) => setTimeout(passed, timeMs));
}

/** False when it was gone already. */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
