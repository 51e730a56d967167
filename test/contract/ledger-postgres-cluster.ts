/**
 * A private PostgreSQL in a throw-away folder on a free loopback port, from Debian's packages. As
 * root it runs as the user `postgres`, because PostgreSQL refuses to be root.
 */

import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

export type Cluster = {
  /** A new, empty schema of its own. */
  freshUrl(): Promise<string>;
  /** Whether who connects from now on may only read, as on a standby. */
  onlyReads(yes: boolean): Promise<void>;
  /** As after a crash, or in order; no connection survives either. */
  restart(mode?: 'immediate' | 'fast'): Promise<void>;
  stop(): void;
};

const debianFolder = '/usr/lib/postgresql';

function findPrograms(): string | undefined {
  if (!existsSync(debianFolder)) return undefined;
  const versions = readdirSync(debianFolder).sort((left, right) => Number(right) - Number(left));
  return versions
    .map((version) => join(debianFolder, version, 'bin'))
    .find((folder) => existsSync(join(folder, 'initdb')));
}

/** Programs for administrators are not in every path. */
const environment = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };

/** Debian's package; a machine that has no list of packages yet fetches it first. */
function installServer(): void {
  const install = ['install', '-y', '-q', '--no-install-recommends', 'postgresql'];
  const settings = { timeout: 180_000, env: { ...environment, DEBIAN_FRONTEND: 'noninteractive' } };
  if (spawnSync('apt-get', install, settings).status === 0) return;
  spawnSync('apt-get', ['update', '-q'], settings);
  spawnSync('apt-get', install, settings);
}

/** `undefined`, with the reason on stderr, when it cannot run here. `flush` off: contracts only. */
export async function startCluster(flush: 'on' | 'off' = 'off'): Promise<Cluster | undefined> {
  const isRoot = process.getuid?.() === 0;
  if (findPrograms() === undefined && isRoot) installServer();
  const programs = findPrograms();
  if (programs === undefined)
    return notHere('the PostgreSQL server is not installed (Debian: postgresql)');
  const folder = mkdtempSync(join(tmpdir(), 'manifold-postgres-'));
  if (isRoot) {
    const account = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'));
    if (!account) return notHere('there is no user postgres');
    chownSync(folder, Number(account[1]), Number(account[2]));
  }
  const run = (program: string, ...words: readonly string[]) => {
    const line = [join(programs, program), ...words];
    const [command = '', ...rest] = isRoot ? ['runuser', '-u', 'postgres', '--', ...line] : line;
    return spawnSync(command, rest, {
      encoding: 'utf8',
      cwd: folder,
      env: environment,
      timeout: 60_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  };
  const runLater = (program: string, ...words: readonly string[]) =>
    new Promise<void>((resolve, reject) => {
      const line = [join(programs, program), ...words];
      const [command = '', ...rest] = isRoot ? ['runuser', '-u', 'postgres', '--', ...line] : line;
      const child = spawn(command, rest, { cwd: folder, env: environment, stdio: 'ignore' });
      child.once('error', reject);
      child.once('exit', (code) =>
        code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}`)),
      );
    });
  const data = join(folder, 'data');
  const made = run(
    'initdb',
    '-D',
    data,
    '-U',
    'manifold',
    '--auth=trust',
    '-E',
    'UTF8',
    '--locale=C',
    '--data-checksums',
  );
  if (made.status !== 0) return notHere(`initdb failed: ${made.error?.message ?? made.stderr}`);
  const port = await freePort();
  const settings = `-c listen_addresses=127.0.0.1 -p ${port} -k ${folder} -c max_connections=60 -c fsync=${flush}`;
  const start = ['-D', data, '-w', '-l', join(folder, 'server.log'), '-o', settings];
  const started = run('pg_ctl', ...start, 'start');
  if (started.status !== 0) return notHere(`the server did not start: ${started.stderr}`);

  const url = `postgres://manifold@127.0.0.1:${port}/postgres`;
  let schemas = 0;
  return {
    freshUrl: async () => {
      schemas += 1;
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query(`CREATE SCHEMA t${schemas}`);
      await client.end();
      return `${url}?options=${encodeURIComponent(`-c search_path=t${schemas}`)}`;
    },
    onlyReads: async (yes) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query('SET default_transaction_read_only = off');
      await client.query(
        `ALTER ROLE manifold ${yes ? 'SET default_transaction_read_only = on' : 'RESET default_transaction_read_only'}`,
      );
      await client.end();
    },
    restart: (mode = 'immediate') => runLater('pg_ctl', ...start, '-m', mode, 'restart'),
    stop: () => {
      run('pg_ctl', '-D', data, '-m', 'immediate', '-w', 'stop');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Loud, and a failure where it must be able to run. */
function notHere(reason: string): undefined {
  if (process.env['CI'] === 'true') throw new Error(`PostgreSQL is needed here: ${reason}`);
  console.error(`SKIPPED: the ledger on PostgreSQL is not tested: ${reason}`);
  return undefined;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
