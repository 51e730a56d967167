/**
 * A process that is killed again and again: start, let it work, SIGKILL at a random moment, start
 * anew. What it says on file descriptor 3 with `fs.writeSync` survives its death in the pipe, so
 * the parent knows exactly what happened before. Used for the ledger alone and for the gateway.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { Random } from '#std';

export type VictimOptions = {
  readonly script: string;
  readonly arguments: readonly string[];
  readonly environment?: { readonly [name: string]: string };
  /** Each line that the process wrote to file descriptor 3, in order. */
  onLine(line: string, answer: (text: string) => void): void;
  readonly random: Random;
  /** Time to live after the line `ready`, in ms. */
  readonly liveMs: { readonly minimum: number; readonly maximum: number };
  /** The process must say `ready` within this time. */
  readonly startTimeoutMs: number;
};

export type Life = {
  readonly startMs: number;
  readonly killed: boolean;
  readonly exitCode: number | null;
};

/** One life; resolves when all that the process said was read. Rejects when it does not start. */
export async function liveAndDie(options: VictimOptions): Promise<Life> {
  const began = performance.now();
  const child = spawn(process.execPath, [options.script, ...options.arguments], {
    stdio: ['pipe', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, ...options.environment },
  });
  const { random, liveMs } = options;
  let startMs = 0;
  let timer: NodeJS.Timeout | undefined;
  const startTimer = setTimeout(() => child.kill('SIGKILL'), options.startTimeoutMs);
  const finished = readLines(child, (line) => {
    if (line === 'ready') {
      clearTimeout(startTimer);
      startMs = performance.now() - began;
      timer = setTimeout(
        () => child.kill('SIGKILL'),
        liveMs.minimum + random() * (liveMs.maximum - liveMs.minimum),
      );
    } else
      options.onLine(
        line,
        (text) => void (child.stdin?.writable === true && child.stdin.write(`${text}\n`)),
      );
  });
  child.stdin?.on('error', () => undefined);
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  await finished;
  clearTimeout(startTimer);
  clearTimeout(timer);
  if (startMs === 0) throw new Error(`the process did not get ready (exit ${exitCode})`);
  return { startMs, killed: exitCode === null, exitCode };
}

/** A line without its end was never completely said: it is dropped. */
async function readLines(child: ChildProcess, onLine: (line: string) => void): Promise<void> {
  let rest = '';
  const stream = child.stdio[3] as Readable;
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  }
}
