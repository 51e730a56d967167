/**
 * The real server as a child process over a folder of its own: `node src/main.ts serve`, so that
 * there is nothing between the signal and the program that holds the money.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { configSchema, openBooks, type Books } from '#cli';
import { nanoUsd } from '#std';

export type ServerFiles = { readonly folder: string; readonly configFile: string };

/** The configuration of the server, as the YAML that JSON is. */
export function writeConfig(
  folder: string,
  settings: Readonly<Record<string, unknown>>,
  name = 'config.yaml',
): ServerFiles {
  const configFile = join(folder, name);
  writeFileSync(
    configFile,
    JSON.stringify({
      data: folder,
      listen: { port: 0 },
      simulator: false,
      log_level: 'error',
      stop_ms: 5_000,
      ...settings,
    }),
  );
  return { folder, configFile };
}

/** Where else its data is: a database of several nodes, and their pepper. */
export type Elsewhere = { readonly database_url?: string; readonly pepper?: string };

/** The data of the server while it does not run. */
export function openData(folder: string, elsewhere: Elsewhere = {}): Promise<Books> {
  const config = configSchema.parse({ data: folder, log_level: 'error', ...elsewhere });
  return openBooks(config, 'checker');
}

/** Wallets with money, and one key for each lane. */
export async function fillWallets(
  folder: string,
  lanes: number,
  wallets: number,
  usdEach: number,
  elsewhere: Elsewhere = {},
): Promise<readonly string[]> {
  const books = await openData(folder, elsewhere);
  for (let index = 0; index < wallets; index += 1) {
    await books.ledger.credit({
      walletId: `w${index}`,
      amountNanoUsd: nanoUsd(usdEach * 1e9),
      lotKind: 'paid',
      source: 'test',
      eventId: `w${index}`,
      actor: 'test',
    });
  }
  const keys: string[] = [];
  for (let lane = 0; lane < lanes; lane += 1) {
    const { key } = await books.access.createKey({
      name: `lane ${lane}`,
      walletId: `w${lane % wallets}`,
    });
    keys.push(key);
  }
  await books.store.close();
  return keys;
}

/** What vendors of the simulator offer where processes are killed. */
export const offers = {
  'kill-small': { name: 'sim-chat', prices: { input: '0.2', output: '0.8' }, output_tokens: 4_096 },
  'kill-large': {
    name: 'sim-reasoning',
    prices: { input: '3', output: '15' },
    output_tokens: 4_096,
  },
};

export type ServerProcess = {
  readonly url: string;
  readonly pid: number;
  /** From the start of the process until it listens, recovery included. */
  readonly readyMs: number;
  /** Processes that it has started. Linux only. */
  workers(): readonly number[];
  /** Ends it at once, or lets it finish; resolves with its exit code when it is gone. */
  end(signal: 'SIGKILL' | 'SIGTERM' | 'SIGHUP'): Promise<number | null>;
  /** Closes our end of what it says, as when its terminal is gone. */
  stopListening(): void;
};

const startTimeoutMs = 60_000;

/**
 * Rejects with what the server said when it does not listen in time. `atTerminal` gives it one to read from; Linux only.
 */
export async function startServer(
  { configFile }: ServerFiles,
  options: { readonly atTerminal?: boolean } = {},
): Promise<ServerProcess> {
  const began = performance.now();
  const main = join(import.meta.dirname, '../../src/main.ts');
  const terminal = options.atTerminal === true ? openSync('/dev/ptmx', 'r+') : undefined;
  const child = spawn(process.execPath, [main, 'serve', '--config', configFile], {
    stdio: [terminal ?? 'ignore', 'pipe', 'pipe'],
  });
  if (terminal !== undefined) closeSync(terminal);
  const gone = new Promise<number | null>((exited) => child.once('exit', exited));
  const timer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMs);
  const url = await listening(child);
  clearTimeout(timer);
  return {
    url,
    readyMs: performance.now() - began,
    pid: child.pid ?? 0,
    workers: () => childrenOf(child.pid ?? 0),
    async end(signal) {
      child.kill(signal);
      return gone;
    },
    stopListening() {
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
  };
}

function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((found, failed) => {
    let said = '';
    const read = (text: string): void => {
      said = `${said}${text}`.slice(-20_000);
      const url = /listens on (http:\S+)/.exec(said)?.[1];
      if (url !== undefined) found(url);
    };
    child.stdout?.setEncoding('utf8').on('data', read);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      process.stderr.write(text);
      read(text);
    });
    child.once('exit', (code) => failed(new Error(`the server ended with ${code}: ${said}`)));
  });
}

/** A port that is free now, for a server that has to come back to it. */
export function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const probe = createServer();
    probe.once('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => found(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
