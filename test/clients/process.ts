/** Other people's programs: started with an environment of their own, bounded in time and in output. */

import { spawn } from 'node:child_process';

export type Ended = {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
  readonly timedOut: boolean;
  readonly tookMs: number;
};

export type Start = {
  readonly command: readonly string[];
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly limitMs: number;
  /** Ends the program at once. */
  readonly signal: AbortSignal;
};

const outputCharactersMax = 2_000_000;

/** Ends with the program and all it started: it has a process group of its own. */
export function runProgram({
  command,
  folder,
  environment,
  limitMs,
  signal,
}: Start): Promise<Ended> {
  const [program = '', ...words] = command;
  const startedMs = Date.now();
  return new Promise((resolve) => {
    const child = spawn(program, words, {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let [output, errors, timedOut] = ['', '', false];
    child.stdout
      .setEncoding('utf8')
      .on('data', (text: string) => (output = (output + text).slice(-outputCharactersMax)));
    child.stderr
      .setEncoding('utf8')
      .on('data', (text: string) => (errors = (errors + text).slice(-outputCharactersMax)));
    const stop = (): void => endGroup(child.pid);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const timer = setTimeout(() => {
      timedOut = true;
      stop();
    }, limitMs);
    child.once('error', (error) => finish(null, error.message));
    child.once('close', (code) => finish(code, ''));
    function finish(code: number | null, more: string): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      endGroup(child.pid);
      resolve({ code, output, errors: errors + more, timedOut, tookMs: Date.now() - startedMs });
    }
  });
}

function endGroup(processId: number | undefined): void {
  if (processId === undefined) return;
  try {
    process.kill(-processId, 'SIGKILL');
  } catch {
    // Nobody is left in the group.
  }
}
