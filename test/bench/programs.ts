/** Starting what is measured: pinned to a processor, told apart by its first line or its port. */

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';

/** The program under test has a processor of its own; what asks and what answers share the other. */
export const processors = { subject: 1, rig: 0 } as const;

export type Started = {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly output: () => string;
};

const pinning =
  existsSync('/usr/bin/taskset') && process.env['MANIFOLD_BENCH_UNPINNED'] === undefined;

/** Starts a program on one processor. Its output is kept for the message when it fails. */
export function startPinned(
  command: readonly string[],
  processor: number,
  environment: Readonly<Record<string, string>> = {},
  ipc = false,
): Started {
  const words = pinning ? ['taskset', '-c', String(processor), ...command] : [...command];
  const [file = '', ...rest] = words;
  const stdio = ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])] as const;
  const child = spawn(file, rest, {
    env: { ...process.env, ...environment },
    stdio: [...stdio],
    ...(ipc ? { serialization: 'advanced' as const } : {}),
  });
  let text = '';
  const keep = (chunk: Buffer): void => {
    text = (text + chunk.toString('utf8')).slice(-20_000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return { process: child, pid: child.pid ?? 0, output: () => text };
}

/** The first group of `pattern` in what the program says. Rejects when it ends or takes too long. */
export async function announced(
  started: Started,
  pattern: RegExp,
  limitMs = 120_000,
): Promise<string> {
  const until = performance.now() + limitMs;
  while (performance.now() < until) {
    const found = pattern.exec(started.output())?.[1];
    if (found !== undefined) return found;
    if (started.process.exitCode !== null) break;
    await pause(5);
  }
  throw new Error(`the program did not start: ${started.output().slice(-1_000)}`);
}

/** Waits until somebody listens on the port. */
export async function listening(started: Started, port: number, limitMs = 60_000): Promise<void> {
  const until = performance.now() + limitMs;
  while (performance.now() < until) {
    if (await accepts(port)) return;
    if (started.process.exitCode !== null) break;
    await pause(10);
  }
  throw new Error(`nobody listens on ${port}: ${started.output().slice(-1_000)}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

export function stop(started: Started): Promise<void> {
  const { process: child } = started;
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    const kill = setTimeout(() => child.kill('SIGKILL'), 5_000);
    child.once('exit', () => {
      clearTimeout(kill);
      resolve();
    });
    child.kill('SIGTERM');
  });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
