/**
 * Two nodes on one PostgreSQL (T-B5): `node test/crash/gateway-nodes.ts [rounds] [seed] [streams] [faults]`.
 * Each round has every fault once, or those named: nodes that are killed, for good too, or stopped, and a
 * database that restarts, is cut off, full, slow or silent. `asleep` only when it is named: a node that stands
 * still until the other has ended its holds, and wakes. Prints one line of JSON; exits 1 unless vendors,
 * clients and ledger agree, and every node serves again soon after each fault.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startSimulator, type Rule, type RunningSimulator } from '#simulator';
import { nanoUsd, seededRandom, systemClock } from '#std';
import { startCluster } from '../contract/ledger-postgres-cluster.ts';
import { startNetwork } from '../contract/postgres-network.ts';
import { compare, Notes } from './gateway-accounts.ts';
import {
  fillWallets,
  freePort,
  openData,
  startServer,
  writeConfig,
  type ServerProcess,
  offers,
} from './gateway-process.ts';
import { runLane, Witness } from './gateway-lanes.ts';

const rounds = Number(process.argv[2] ?? 1);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_000);
const lanesEach = Math.ceil(Number(process.argv[4] ?? 40) / 2);
const chosen = process.argv[5]?.split(',');
const wallets = 10;
const requestMs = chosen?.includes('asleep') === true ? 600_000 : 60_000;
/** How soon the others end the holds of a node that is gone. */
const goneMs = 200_000;
/** A request that takes longer than its answer and all waiting for the database hangs. */
const hangMs = 60_000 + (chosen?.includes('asleep') === true ? goneMs : 0);
/** How soon a node has to answer after a fault; a connection that says nothing is believed for a while. */
const againMs = (fault: string) => (fault === 'silent' ? 25_000 : 8_000);
const random = seededRandom(seed);
console.error(`seed ${seed}`);

const cluster = await startCluster('on');
if (!cluster) process.exit(0);
const folder = mkdtempSync(join(tmpdir(), 'manifold-gateway-nodes-'));
const direct = await cluster.freshUrl();
const network = await startNetwork(direct);
const start = performance.now();
const rules: readonly Rule[] = [
  { share: 0.02, fault: { status: 429, headers: { 'retry-after-ms': '20' } } },
  { share: 0.1, fault: { usage: 'missing' } },
];
const vendor = (): Promise<RunningSimulator> =>
  startSimulator({ host: '127.0.0.1', port: 0, clock: systemClock, random, rules, paceMs: 15 });
const vendors = { one: await vendor(), two: await vendor() };
const models = Object.keys(offers);
const channels = Object.entries(vendors).map(([id, { url }]) => ({
  id,
  provider: 'simulator',
  base_url: url,
  secret: 's',
  allow_private: true,
  abort_stops_billing: 'yes',
  models: offers,
}));
const elsewhere = { database_url: direct, pepper: 'a pepper that both nodes know of' };
const ports = [await freePort(), await freePort()];
const fileOf = (index: number, port: number, name = `node${index}`) =>
  writeConfig(
    folder,
    {
      data: join(folder, `node${index}`),
      listen: { port },
      database_url: network.url,
      pepper: elsewhere.pepper,
      node_id: `node${index}`,
      request_ms: requestMs,
      channels,
    },
    `${name}.yaml`,
  );
const files = ports.map((port, index) => fileOf(index, port));
const keys = await fillWallets(join(folder, 'data'), lanesEach * 2, wallets, 50, elsewhere);
await emptyWallet();
const witness = new Witness();
const notes = new Notes();
const nodes: ServerProcess[] = [];
for (const file of files) nodes.push(await startServer(file));

type Fault = () => Promise<unknown>;
const faults: Readonly<Record<string, Fault>> = {
  kill: async () => {
    const which = Math.floor(random() * 2);
    await nodes[which]?.end('SIGKILL');
    nodes[which] = await startServer(files[which]!);
  },
  gone: async () => {
    const which = Math.floor(random() * 2);
    await nodes[which]?.end('SIGKILL');
    await endedOf(which);
    nodes[which] = await startServer(files[which]!);
  },
  asleep: async () => {
    const which = Math.floor(random() * 2);
    const pid = nodes[which]?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    await endedOf(which);
    process.kill(pid, 'SIGCONT');
  },
  pause: () => stopped(8_000),
  'pause-long': () => stopped(25_000),
  replaced: () => replaced(),
  fast: () => cluster.restart('fast'),
  immediate: () => cluster.restart('immediate'),
  cut: async () => {
    for (let index = 0; index < 10; index += 1) {
      network.cut();
      await passing(random() * 200);
    }
  },
  terminate: () =>
    ask(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'manifold'",
    ),
  full: async () => {
    const taken: pg.Client[] = [];
    for (;;) {
      const client = new pg.Client({ connectionString: direct });
      client.on('error', () => {});
      try {
        await client.connect();
        taken.push(client);
      } catch {
        break;
      }
    }
    network.cut();
    await passing(6_000);
    await Promise.all(taken.map((client) => client.end()));
  },
  away: async () => {
    network.breakCommit(20_000);
    await passing(500);
    network.cut();
    await passing(19_500);
  },
  slow: async () => {
    network.slow(150);
    await passing(10_000);
    network.slow(0);
  },
  silent: async () => network.fallSilent(),
  vanish: async () => {
    network.vanish();
    await passing(30_000);
    network.appear();
  },
};

const over = { now: false };
const lanes = keys.map((key, lane) =>
  runLane({
    url: nodes[lane % 2]!.url,
    key,
    models,
    random: seededRandom(seed + lane),
    witness,
    abortShare: 0.1,
    over,
  }),
);
const again: Record<string, readonly number[]> = {};
let late = 0;
for (let round = 0; round < rounds; round += 1)
  for (const [name, fault] of Object.entries(faults)) {
    if (chosen ? !chosen.includes(name) : name === 'asleep') continue;
    await passing(1_500 + random() * 1_500);
    await fault();
    const times = await Promise.all([servesAgain(0), servesAgain(1)]);
    console.error(name, times, JSON.stringify(witness.summary()));
    again[name] = [...(again[name] ?? []), ...times];
    late += times.filter((time) => time > againMs(name)).length;
    for (const simulator of Object.values(vendors)) notes.take(simulator);
  }
await passing(2_000);
over.now = true;
await Promise.all(lanes);
for (const simulator of Object.values(vendors)) notes.take(simulator);
const openAtEnd = await openHolds();
for (const node of nodes) await node.end('SIGTERM');
// What was lost with the database is freed some minutes later, or by the next start, which does nothing else.
for (const file of files) await (await startServer(file)).end('SIGTERM');

const books = await openData(join(folder, 'data'), elsewhere);
const report = await compare(books, wallets, notes, witness);
await books.store.close();
for (const simulator of Object.values(vendors)) await simulator.close();
await network.close();
cluster.stop();
rmSync(folder, { recursive: true, force: true });
const wrong =
  report.orphans +
  report.lost_acknowledgements +
  report.double_posts +
  report.negative_wallets +
  report.open_nano_usd +
  report.cost_mismatches +
  report.differences +
  witness.unbilled +
  witness.unclear +
  (witness.longestMs > hangMs ? 1 : 0) +
  late +
  notes.unnamed;
console.log(
  JSON.stringify({
    test: 'T-B5',
    seed,
    rounds,
    ...witness.summary(),
    ...report,
    open_holds: openAtEnd,
    again_ms: again,
    late,
    seconds: Math.round((performance.now() - start) / 1_000),
    ok: wrong === 0 && report.acknowledged > 0,
  }),
);
process.exitCode = wrong === 0 && report.acknowledged > 0 ? 0 : 1;

async function stopped(ms: number): Promise<void> {
  const pid = nodes[Math.floor(random() * 2)]?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  await passing(ms);
  process.kill(pid, 'SIGCONT');
}

/** A node that stands still, is replaced under its name, and comes back: it may write nothing more. */
async function replaced(): Promise<void> {
  const which = Math.floor(random() * 2);
  const old = nodes[which]!;
  process.kill(old.pid, 'SIGSTOP');
  const other = await startServer(fileOf(which, 0, 'replacement'));
  await passing(1_000);
  process.kill(old.pid, 'SIGCONT');
  for (let count = 0; count < 10; count += 1) {
    const status = await probe(old.url);
    if (status !== 503) throw new Error(`a node that was replaced answered ${status}`);
  }
  if ((await probe(other.url)) !== 200) throw new Error('who replaced it does not answer');
  await old.end('SIGKILL');
  await other.end('SIGTERM');
  nodes[which] = await startServer(files[which]!);
}

/** How long a node needs until it answers. */
async function servesAgain(which: number): Promise<number> {
  const began = performance.now();
  while ((await probe(nodes[which]!.url)) !== 200) await passing(50);
  return Math.round(performance.now() - began);
}

/** The status of one small answer; 0 where there is none. */
async function probe(url: string): Promise<number> {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keys[1]}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'kill-small',
        max_tokens: 20,
        messages: [{ role: 'user', content: 'hello' }],
      }),
    });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

/** The first wallet pays for a few answers only. */
async function emptyWallet(): Promise<void> {
  const data = await openData(join(folder, 'data'), elsewhere);
  await data.ledger.adjust({
    walletId: 'w0',
    amountNanoUsd: nanoUsd(-(50e9 - 20e6)),
    eventId: 'empty',
    actor: 'test',
    reason: 'test',
  });
  await data.store.close();
}

async function ask(sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: direct });
  client.on('error', () => {});
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>(sql);
  await client.end();
  return rows;
}

async function openHolds(where = 'true'): Promise<number> {
  return (await ask(`SELECT request_id FROM holds WHERE ${where}`)).length;
}

/** Waits until the other node has ended what this one held. */
async function endedOf(which: number): Promise<void> {
  const where = `node_id = 'node${which}'`;
  const began = performance.now();
  const count = await openHolds(where);
  while ((await openHolds(where)) > 0) {
    if (performance.now() - began > goneMs) throw new Error(`node${which} is gone, its holds stay`);
    await passing(500);
  }
  console.error(`${count} holds ended in ${Math.round(performance.now() - began)} ms`);
}

function passing(timeMs: number): Promise<void> {
  return new Promise((passed) => setTimeout(passed, timeMs));
}
