/** Running other programs from the tools: one line each in the summary, output kept for a failure. */

import { spawn } from 'node:child_process';
import path from 'node:path';

export const root = path.dirname(import.meta.dirname);

export type Outcome = {
  readonly name: string;
  readonly code: number;
  readonly seconds: number;
  readonly output: string;
};

const outputBytesMax = 4 * 1024 * 1024;

/** Runs a program to its end, or to the time limit, and collects what it says. Never rejects. */
export function run(name: string, command: readonly string[], limitMs: number): Promise<Outcome> {
  const [program = '', ...programArguments] = command;
  const startMs = performance.now();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const collect = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes <= outputBytesMax) chunks.push(chunk);
  };
  return new Promise((resolve) => {
    const finish = (code: number, remark = ''): void => {
      const output = Buffer.concat(chunks).toString('utf8') + remark;
      resolve({ name, code, seconds: (performance.now() - startMs) / 1000, output });
    };
    const child = spawn(program, programArguments, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: limitMs,
    });
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (error) => finish(1, `${program} does not start: ${error.message}\n`));
    child.once('close', (code, signal) =>
      finish(code ?? 1, signal === null ? '' : `ended by ${signal}\n`),
    );
  });
}

/** A package's own command, run by this Node: no shell, no PATH, the same on every system. */
export function packageCommand(file: string, ...words: readonly string[]): string[] {
  return [process.execPath, path.join(root, 'node_modules', file), ...words];
}

export function printOutcome({ name, code, seconds, output }: Outcome): void {
  console.log(
    `${code === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(8)} ${seconds.toFixed(1).padStart(5)} s`,
  );
  if (code !== 0) console.log(indent(output.trimEnd()));
}

function indent(text: string): string {
  return text.replace(/^/gm, '     ');
}
