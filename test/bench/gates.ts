/**
 * `npm run bench -- --gates`: counts and sizes of the billed gateway that a busy machine hardly moves,
 * against the limits of gate-limits.ts. One request at a time, so that the counts do not depend on how
 * many requests happen to share a commit or a wake-up.
 */

import path from 'node:path';
import { gates, type GatePart } from './gate-limits.ts';
import {
  gatewayLeg,
  openAccount,
  startServer,
  trialStreams,
  writeGatewayConfig,
} from './gateway-legs.ts';
import type { LoadGenerator } from './generator.ts';
import type { Allocation, Memory, ProbeRequest } from './heap-probe.ts';
import type { Leg, LegContext } from './leg.ts';
import { debianProgram, type Found } from './peers.ts';
import { costOfTree } from './process-cost.ts';
import { pause, stop, type Started } from './programs.ts';
import { markdown, number } from './report.ts';
import { countSystemCalls, sumOf, type SystemCalls } from './system-calls.ts';
import { steadyJob } from './trials/gateway.ts';
import { workloadOf, type Workload } from './workloads.ts';

type Values = Readonly<Record<string, number>>;

/** Of sockets, and of what wakes the event loop. */
const sockets = ['read', 'write', 'readv', 'writev', 'recvmsg', 'sendmsg', 'recvfrom', 'sendto'];
const fileWrites = ['pwrite64', 'pwritev'];
const flushes = ['fsync', 'fdatasync'];
/** Waiting, locking and the threads of the runtime say nothing about a request. */
const idle = ['futex', 'epoll_pwait', 'epoll_wait', 'restart_syscall', 'madvise', 'mprotect'];

/**
 * Prints a table with a column for each run; false when a median is above its limit, or nothing was
 * counted.
 */
export async function checkGates(
  context: LegContext,
  generator: LoadGenerator,
  { runs, parts }: { readonly runs: number; readonly parts: readonly GatePart[] },
): Promise<boolean> {
  const strace = debianProgram('strace', context.cache);
  if ('missing' in strace) console.log(`!!! SYSTEM CALLS ARE NOT COUNTED: ${strace.missing}`);
  const all: Values[] = [];
  for (let run = 0; run < runs; run += 1)
    all.push(await measureOnce({ context, generator, run, strace, parts }));
  let holds = true;
  const chosen = gates.filter(({ part }) => parts.includes(part));
  const rows = chosen.map(({ id, limit, digits }) => {
    const values = all.map((one) => one[id] ?? NaN);
    const sorted = [...values].sort((left, right) => left - right);
    const middle = sorted[Math.floor(sorted.length / 2)] ?? NaN;
    const isUnknown = Number.isNaN(middle);
    if (isUnknown || middle > limit) holds = false;
    const verdict = isUnknown ? 'not counted' : middle > limit ? 'ABOVE ITS LIMIT' : 'holds';
    return [id, ...values.map((value) => number(value, digits)), number(limit, digits), verdict];
  });
  const head = ['gate', ...all.map((_, run) => `run ${run + 1}`), 'limit', 'verdict'];
  console.log(markdown([head, ...rows]));
  return holds;
}

type Run = {
  readonly context: LegContext;
  readonly generator: LoadGenerator;
  readonly run: number;
  readonly strace: Found;
  readonly parts: readonly GatePart[];
};

async function measureOnce({ context, generator, run, strace, parts }: Run): Promise<Values> {
  const configFile = writeGatewayConfig(context, `gates-${run}`);
  const keys = await openAccount(configFile);
  const probe = path.join(context.root, 'test', 'bench', 'heap-probe.ts');
  const { started, port } = await startServer(context.root, configFile, {
    nodeWords: ['--expose-gc', '--import', probe],
    ipc: true,
  });
  try {
    const leg = gatewayLeg('gates', started, port, keys);
    const gate = { generator, started, leg, folder: context.run, strace };
    const values: Record<string, number> = {};
    for (const part of parts) Object.assign(values, await measures[part](gate));
    return values;
  } finally {
    await stop(started);
  }
}

type Gated = {
  readonly generator: LoadGenerator;
  readonly started: Started;
  readonly leg: Leg;
  readonly folder: string;
  readonly strace: Found;
};

function ask<Answer>({ started: { process: child } }: Gated, request: ProbeRequest) {
  return new Promise<Answer>((resolve) => {
    child.once('message', (answer) => resolve(answer as Answer));
    child.send(request);
  });
}

async function load(
  { generator, leg }: Gated,
  workload: Workload,
  count: number,
  atOnce = 1,
): Promise<void> {
  const job = { ...steadyJob(leg, workload, 1, 1), count, atOnce, limitMs: 120_000 };
  const { failures, firstFailure } = await generator.run(job);
  if (failures > 0) throw new Error(`${failures} failures: ${firstFailure}`);
}

async function allocation(gate: Gated, work: () => Promise<void>): Promise<Allocation> {
  await ask<null>(gate, 'start');
  await work();
  return ask<Allocation>(gate, 'stop');
}

async function systemCalls(
  { strace, started, folder }: Gated,
  work: () => Promise<void>,
): Promise<SystemCalls> {
  return 'missing' in strace ? {} : countSystemCalls(strace, started.pid, folder, work);
}

/** NaN where nothing was counted, so that a gate without strace says so. */
function total(calls: SystemCalls): number {
  const names = Object.keys(calls).filter((name) => !idle.includes(name));
  return names.length === 0 ? NaN : sumOf(calls, names);
}

async function measureRequests(gate: Gated): Promise<Values> {
  const workload = workloadOf('W1');
  await load(gate, workload, 4_000, 8);
  const requests = 2_000;
  const { bytes, scavenges } = await allocation(gate, () => load(gate, workload, requests));
  const traced = 300;
  const calls = await systemCalls(gate, () => load(gate, workload, traced));
  return {
    'system calls a request': total(calls) / traced,
    'reads and writes a request': sumOf(calls, sockets) / traced,
    'file writes a request': sumOf(calls, fileWrites) / traced,
    'file flushes a request': sumOf(calls, flushes) / traced,
    'KiB allocated a request': bytes / requests / 1_024,
    'scavenges a thousand requests': (scavenges / requests) * 1_000,
  };
}

async function measureChunks(gate: Gated): Promise<Values> {
  const workload = workloadOf('W2');
  const { chunks } = workload.shape;
  await load(gate, workload, 60, 20);
  const streams = 40;
  const { bytes, scavenges } = await allocation(gate, () => load(gate, workload, streams, 8));
  const traced = 16;
  const calls = await systemCalls(gate, () => load(gate, workload, traced, 4));
  return {
    'system calls a chunk': total(calls) / (traced * chunks),
    'KiB allocated a chunk': bytes / (streams * chunks) / 1_024,
    'scavenges a thousand chunks': (scavenges / (streams * chunks)) * 1_000,
  };
}

async function measureOpenStreams(gate: Gated): Promise<Values> {
  const streams = 500;
  const { generator, leg, started } = gate;
  const before = await ask<Memory>(gate, 'memory');
  const { rssBytes: rssBefore, openFiles } = costOfTree(started.pid);
  const job = steadyJob(leg, trialStreams.minute, 250, streams / 250);
  // Ends before the streams do: their clients are cut off, which is no failure here.
  const load = generator.run({ ...job, limitMs: 30_000 });
  // One socket to the client and one to the upstream, of which a few are there already.
  const areOpen = (): boolean => costOfTree(started.pid).openFiles >= openFiles + 1.9 * streams;
  for (let second = 0; second < 28 && !areOpen(); second += 1) await pause(1_000);
  const isWhole = areOpen();
  const during = await ask<Memory>(gate, 'memory');
  const rssDuring = costOfTree(started.pid).rssBytes;
  await load;
  if (!isWhole) return {};
  const heap = during.heapBytes + during.externalBytes - before.heapBytes - before.externalBytes;
  return {
    'heap KiB an open stream': heap / streams / 1_024,
    'RSS KiB an open stream': (rssDuring - rssBefore) / streams / 1_024,
  };
}

const measures: { readonly [part in GatePart]: (gate: Gated) => Promise<Values> } = {
  request: measureRequests,
  chunk: measureChunks,
  stream: measureOpenStreams,
};
