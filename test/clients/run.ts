/**
 * `npm run test:clients`: real clients hold a streamed conversation with tool calls through one gateway
 * over simulated vendors of other dialects. Packages come from their registries into a folder that is
 * removed at the end; while a client runs, it reaches loopback only. `-- codex openai` runs those
 * clients alone whose name contains one of the words.
 */

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { agents } from './agents.ts';
import { driveAgent } from './drive-agent.ts';
import { driveLibrary } from './drive-library.ts';
import { install, type Installed, type Kit } from './kits.ts';
import { libraries } from './libraries.ts';
import { startOutside, type Outside } from './outside.ts';
import { printRow, printSummary } from './print.ts';
import { startWorld } from './upstreams.ts';
import type { Row, World } from './world.ts';

const wholeLimitMs = 10 * 60_000;
const installLimitMs = 180_000;

/** A client to drive once its kit is there. */
type Job = {
  readonly name: string;
  readonly kit: Kit;
  readonly drive: (installedIn: string, world: World) => Promise<readonly Row[]>;
};

const jobs: readonly Job[] = [
  ...libraries.map((library): Job => ({
    name: library.name,
    kit: library.kit,
    drive: (folder, world) => driveLibrary(library, folder, world),
  })),
  ...agents.map((agent): Job => ({
    name: agent.name,
    kit: agent.kit,
    drive: (folder, world) => driveAgent(agent, folder, world),
  })),
];

async function main(words: readonly string[]): Promise<number> {
  const chosen = jobs.filter(
    ({ name }) =>
      words.length === 0 || words.some((word) => name.toLowerCase().includes(word.toLowerCase())),
  );
  const folder = mkdtempSync(path.join(tmpdir(), 'manifold-clients-'));
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const whole = setTimeout(() => stop.abort(), wholeLimitMs);
  const outside = await startOutside();
  try {
    return await runAll(chosen, folder, outside, stop.signal);
  } finally {
    clearTimeout(whole);
    await outside.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runAll(
  chosen: readonly Job[],
  folder: string,
  outside: Outside,
  signal: AbortSignal,
): Promise<number> {
  const world = await makeWorld(folder, outside, signal);
  const rows: Row[] = [];
  const skipped: { readonly what: string; readonly installed: Installed }[] = [];
  try {
    for (const kit of new Set(chosen.map((job) => job.kit))) {
      const mine = chosen.filter((job) => job.kit === kit);
      const installed = await install(kit, {
        folder: path.join(folder, kit.id),
        limitMs: world.limitMs(installLimitMs),
        signal,
      });
      console.log(
        `${kit.id}: ${kit.packages.join(' ')} (${Math.round(installed.tookMs / 1000)} s)`,
      );
      if (installed.skipped)
        skipped.push({ what: mine.map((job) => job.name).join(', '), installed });
      else for (const job of mine) rows.push(...(await driven(job, installed.folder, world)));
      rmSync(installed.folder, { recursive: true, force: true });
    }
    const { pendingNanoUsd, availableNanoUsd } = await world.rig.books.ledger.balance(
      world.rig.walletId,
    );
    const faults = [
      ...(pendingNanoUsd === 0 ? [] : [`${pendingNanoUsd} nano-USD are still held`]),
      ...(availableNanoUsd < 1_000e9 || rows.length === 0 ? [] : ['nothing was charged']),
    ];
    rows.push({ client: 'the wallet', upstream: 'when all is over', faults });
  } finally {
    await world.rig.close();
  }
  return printSummary({
    rows,
    skipped,
    hosts: [...outside.hosts],
    stopped: signal.aborted,
    strict: process.env['CI'] === 'true',
  });
}

async function driven(job: Job, folder: string, world: World): Promise<readonly Row[]> {
  const rows = await job.drive(folder, world);
  for (const row of rows) printRow(row);
  return rows;
}

async function makeWorld(folder: string, outside: Outside, signal: AbortSignal): Promise<World> {
  const nonce = randomBytes(4).toString('hex');
  const workspace = path.join(folder, 'workspace');
  const home = path.join(folder, 'home');
  for (const made of [workspace, home]) mkdirSync(made);
  const note = path.join(workspace, 'note.txt');
  writeFileSync(note, `note ${nonce}\n`);
  const endsMs = Date.now() + wholeLimitMs;
  const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].flatMap((name) => [
    [name, outside.url],
    [name.toLowerCase(), outside.url],
  ]);
  const direct = '127.0.0.1,localhost';
  return {
    rig: await startWorld(nonce, note),
    nonce,
    workspace,
    environment: {
      PATH: process.env['PATH'] ?? '',
      HOME: home,
      TMPDIR: folder,
      LANG: 'C.UTF-8',
      NO_PROXY: direct,
      no_proxy: direct,
      DO_NOT_TRACK: '1',
      ...Object.fromEntries(proxies),
    },
    signal,
    limitMs: (wantedMs) => Math.max(1, Math.min(wantedMs, endsMs - Date.now())),
  };
}

process.exitCode = await main(process.argv.slice(2));
