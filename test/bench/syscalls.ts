/**
 * System calls for each request, counted by strace: a figure that a busy machine does not move, and
 * so a gate that does not flake.
 */

import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Leg } from './legs.ts';
import { pause } from './programs.ts';
import type { LoadGenerator } from './rounds.ts';
import { requestBytes, workloads } from './workloads.ts';

const requests = 1_000;

/** What is told of; waiting and locking of threads says nothing about a request. */
const counted = [
  'read',
  'write',
  'writev',
  'epoll_pwait',
  'pwrite64',
  'pread64',
  'fsync',
  'fdatasync',
  'fcntl',
];

export type SystemCalls = { readonly [name: string]: number };

export function straceIsThere(): boolean {
  return spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0;
}

/** System calls of a leg for one small chat, after a warm-up. */
export async function countSystemCalls(
  generator: LoadGenerator,
  leg: Leg,
  folder: string,
): Promise<SystemCalls> {
  const [workload] = workloads;
  if (workload === undefined || leg.pid === undefined) return {};
  const request = requestBytes('/v1/chat/completions', leg.headers(workload), leg.body(workload));
  const job = { port: leg.port, request, rate: 200, marks: 1, limitMs: 60_000 };
  await generator.run({ ...job, count: requests, seed: 1 });
  const file = path.join(folder, 'strace.txt');
  const tracer = spawn('strace', ['-c', '-f', '-p', String(leg.pid), '-o', file], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => tracer.once('exit', resolve));
  await pause(1_000);
  await generator.run({ ...job, count: requests, seed: 2 });
  tracer.kill('SIGINT');
  await ended;
  return countsOf(readFileSync(file, 'utf8'));
}

function countsOf(table: string): SystemCalls {
  const counts: Record<string, number> = {};
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const name = fields.at(-1) ?? '';
    if (counted.includes(name)) counts[name] = Number(fields[3] ?? 0) / requests;
  }
  return counts;
}
