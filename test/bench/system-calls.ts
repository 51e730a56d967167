/** System calls of a running program, counted by strace: a figure that a busy machine hardly moves. */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Program } from './peers.ts';
import { pause } from './programs.ts';

export type SystemCalls = { readonly [name: string]: number };

/** Every system call by name that the process made while `work` ran. */
export async function countSystemCalls(
  { command: [strace = 'strace'], environment }: Program,
  pid: number,
  folder: string,
  work: () => Promise<unknown>,
): Promise<SystemCalls> {
  const file = path.join(folder, 'strace.txt');
  const words = ['-c', '-f', '-p', String(pid), '-o', file];
  const tracer = spawn(strace, words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...environment },
  });
  const ended = new Promise((resolve) => tracer.once('exit', resolve));
  await new Promise((resolve) => tracer.stderr.once('data', resolve));
  // It says that it is attached once for each thread.
  await pause(500);
  await work();
  tracer.kill('SIGINT');
  await ended;
  return countsOf(readFileSync(file, 'utf8'));
}

function countsOf(table: string): SystemCalls {
  const counts: Record<string, number> = {};
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const name = fields.at(-1) ?? '';
    const calls = Number(fields[3]);
    if (/^[a-z_0-9]+$/.test(name) && name !== 'total' && Number.isInteger(calls))
      counts[name] = calls;
  }
  return counts;
}

export function sumOf(calls: SystemCalls, names: readonly string[]): number {
  return names.reduce((sum, name) => sum + (calls[name] ?? 0), 0);
}
