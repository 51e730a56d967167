/** The workers of `manifold serve --workers N`: processes that share the port, started again when one dies. */

import cluster, { type Worker as WorkerProcess } from 'node:cluster';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Duplex } from 'node:stream';
import { knownForMs } from '#access';
import type { Log } from '#telemetry';
import { ServedWorker, type Load, type Owned, type WorkerSetup } from '#workers';
import { ConfigError } from './config-error.ts';
import { pipePlace, workerMark } from './worker-mark.ts';

export type WorkersOptions = {
  readonly count: number;
  readonly owned: Owned;
  readonly log: Log;
  /** A worker that says nothing for so long has hung, and another takes its place. */
  readonly silenceMs: number;
  /** Asked for each worker that starts. */
  readonly setup: () => WorkerSetup;
};

/** How a worker ended, and how long it had lived. */
type End = {
  readonly lived_ms: number;
  readonly exit_code: number | null;
  readonly signal: string | null;
};

/** A worker that listens. */
type Begun = {
  readonly host: string;
  readonly port: number;
  readonly served: ServedWorker;
  readonly worker: WorkerProcess;
  readonly run: Promise<End>;
};

const restartMs = 100;
const restartMsMax = 5_000;
/** A worker that served this long has not died of its start. */
const soundMs = 60_000;
const startMsMax = 60_000;
const lookMs = 1_000;
/** What a worker needs besides the time that running requests have. */
const stopMsMax = 15_000;
/** `sun_path` of the BSDs; Linux has four more. */
const socketPathBytesMax = 103;

export class Workers {
  readonly #options: WorkersOptions;
  readonly #served = new Map<ServedWorker, WorkerProcess>();
  readonly #runs: Promise<void>[] = [];
  /** Those that listen; until then they have their time to start. */
  readonly #watched = new Set<Begun>();
  #watch: NodeJS.Timeout | undefined;
  #isStopping = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'] as const;
    cluster.setupPrimary({ stdio: [...stdio], silent: false });
  }

  /** Resolves with the shared address when all workers listen. Throws when one does not come up. */
  async start(): Promise<{ readonly host: string; readonly port: number }> {
    const first = await Promise.all(
      Array.from({ length: this.#options.count }, () => this.#begin()),
    );
    for (const begun of first) this.#runs.push(this.#keep(begun));
    this.#watch = setInterval(() => this.#look(), lookMs).unref();
    const [address] = first;
    if (address === undefined) throw new RangeError('no workers');
    return { host: address.host, port: address.port };
  }

  get load(): readonly Load[] {
    return [...this.#served.keys()].map(({ load }) => load);
  }

  /** Channels have changed. */
  reload(channels: WorkerSetup['channels']): void {
    for (const { link } of this.#served.keys()) link.tell('channels', channels);
  }

  /** Resolves when no worker lets the key in any more: at the latest when they read it again. */
  async forgetKey(keyId: string): Promise<void> {
    const told = [...this.#served.keys()].map(({ link }) => link.ask('forgetKey', keyId));
    const late = new AbortController();
    await Promise.race([
      Promise.allSettled(told),
      pause(knownForMs, undefined, { signal: late.signal }).catch(() => {}),
    ]);
    late.abort();
  }

  /** Running requests may finish for `graceMs`. Resolves when the workers are gone and left nothing. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#served].map(([served, worker]) => end(served, worker, graceMs)));
    await Promise.all(this.#runs);
    clearInterval(this.#watch);
  }

  /** A process whose event loop hangs neither serves nor ends, and holds the streams and the money of its requests. */
  #look(): void {
    for (const { served, worker } of this.#watched) {
      const silentMs = (served.unheard() - 1) * lookMs;
      if (silentMs < this.#options.silenceMs) continue;
      this.#options.log('error', 'worker.silent', { silent_ms: silentMs });
      worker.process.kill('SIGKILL');
    }
  }

  async #begin(): Promise<Begun> {
    const worker = cluster.fork({ [workerMark]: '1' });
    const startedAtMs = performance.now();
    const ended = new Promise<End>((resolve) => {
      const end = (code: number | null, signal: string | null): void => {
        const lived = Math.round(performance.now() - startedAtMs);
        resolve({ lived_ms: lived, exit_code: code, signal });
      };
      worker.once('exit', end);
      // No process could be made, or nothing more can be said to it.
      worker.on('error', (error) => {
        this.#options.log('error', 'worker.fault', { error: String(error) });
        if (worker.process.pid === undefined) end(null, null);
      });
    });
    const served = new ServedWorker(pipeOf(worker), this.#options.owned);
    this.#served.set(served, worker);
    const run = Promise.all([ended, served.gone]).then(([end]) => {
      this.#served.delete(served);
      return end;
    });
    const late = setTimeout(() => worker.process.kill('SIGKILL'), startMsMax);
    try {
      const address = await served.link.ask('start', this.#options.setup());
      const begun = { ...address, served, worker, run };
      this.#watched.add(begun);
      void run.then(() => this.#watched.delete(begun));
      return begun;
    } catch (error) {
      worker.process.kill('SIGKILL');
      const { exit_code: code, signal } = await ended;
      throw new ConfigError(
        `A worker did not start (${String(error)}; exit code ${code}, signal ${signal}).`,
      );
    } finally {
      clearTimeout(late);
    }
  }

  /** As long as we serve, another takes the place of one that died. */
  async #keep(first: Begun): Promise<void> {
    let begun: Begun | undefined = first;
    let waitMs = restartMs;
    for (;;) {
      const end: End | undefined = await begun?.run;
      if (this.#isStopping) return;
      if (end) this.#options.log('error', 'worker.gone', end);
      const wasSound = end !== undefined && end.lived_ms > soundMs;
      waitMs = wasSound ? restartMs : Math.min(waitMs * 2, restartMsMax);
      await pause(waitMs);
      if (this.#isStopping) return;
      begun = await this.#again();
    }
  }

  async #again(): Promise<Begun | undefined> {
    try {
      const begun = await this.#begin();
      this.#options.log('info', 'worker.started', {});
      const { served, worker } = begun;
      if (this.#isStopping) await end(served, worker, 0);
      return begun;
    } catch (error) {
      if (!this.#isStopping)
        this.#options.log('error', 'worker.start_failed', { error: String(error) });
      return undefined;
    }
  }
}

async function end(served: ServedWorker, worker: WorkerProcess, graceMs: number): Promise<void> {
  const late = setTimeout(() => worker.process.kill('SIGKILL'), graceMs + stopMsMax);
  await served.link.ask('stop', graceMs).catch(() => {});
  served.link.close();
  await served.gone;
  clearTimeout(late);
}

function pipeOf(worker: WorkerProcess): Duplex {
  const pipe = worker.process.stdio[pipePlace];
  if (pipe === null || pipe === undefined) throw new Error('a worker has no pipe');
  return pipe as Duplex;
}

/** A place for connections in the data folder, which only this user can enter. */
export function privateSocket(folder: string): { readonly path: string; remove(): void } {
  if (process.platform === 'win32')
    return { path: `\\\\.\\pipe\\manifold-${process.pid}`, remove: () => {} };
  for (const name of readdirSync(folder)) if (isLeftOver(name)) rmSync(join(folder, name));
  const path = join(folder, `owner-${process.pid}.sock`);
  if (Buffer.byteLength(path) > socketPathBytesMax)
    throw new ConfigError(
      `The path of the data folder ${folder} is too long for a socket in it. Choose a shorter one: MANIFOLD_DATA=FOLDER.`,
    );
  return { path, remove: () => rmSync(path, { force: true }) };
}

/** What a process that was killed could not remove. */
function isLeftOver(name: string): boolean {
  const pid = /^owner-(\d+)\.sock$/.exec(name)?.[1];
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return Number(pid) === process.pid;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}
