/**
 * Two network namespaces with a slow and lossy link between them: an application's side and a vendor's
 * side, with certificates and programs that run in them. `tc netem` makes the delay, or link.py where the
 * kernel has no netem. Needs root, iproute2, openssl and python3.
 */

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const root = path.resolve(import.meta.dirname, '../..');
export const folder = mkdtempSync(path.join(tmpdir(), 'manifold-network-'));
const tag = `mf${process.pid % 100_000}`;
export const home = `${tag}h`;
export const away = `${tag}a`;
export const homeAddress = '10.77.0.1';
export const awayAddress = '10.77.0.2';
export const slowAddress = '10.77.0.3';
export const deadAddress = '10.77.0.99';
export const oneWayMs = 100;
export const lossPerDirection = 0.01;
const children: ChildProcess[] = [];

const command = (file: string, ...words: string[]): string =>
  execFileSync(file, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const ip = (...words: string[]): string => command('ip', ...words);

/** False, said aloud, where this machine does not let us. */
export function makeNamespaces(): boolean {
  try {
    for (const name of [home, away]) ip('netns', 'add', name);
    for (const [name, outer, inner] of [
      [home, `${tag}h0`, `${tag}h1`],
      [away, `${tag}a0`, `${tag}a1`],
    ] as const) {
      ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner);
      command('python3', linkScript, '--offloads-off', outer, inner);
      ip('link', 'set', inner, 'netns', name);
      ip('link', 'set', outer, 'up');
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'link', 'set', inner, 'up');
    }
    ip('-n', home, 'address', 'add', `${homeAddress}/24`, 'dev', `${tag}h1`);
    for (const address of [awayAddress, slowAddress])
      ip('-n', away, 'address', 'add', `${address}/24`, 'dev', `${tag}a1`);
    return true;
  } catch (error) {
    console.error(
      `SKIPPED: network namespaces cannot be made here (${error instanceof Error ? error.message.split('\n')[0] : String(error)}). Run as root with iproute2 and python3.`,
    );
    return false;
  }
}

const linkScript = path.join(import.meta.dirname, 'link.py');

export function run(
  namespace: string | undefined,
  words: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): ChildProcess {
  const [file = '', ...rest] =
    namespace === undefined ? words : ['ip', 'netns', 'exec', namespace, ...words];
  const child = spawn(file, rest, {
    cwd: root,
    env: { ...process.env, NODE_EXTRA_CA_CERTS: path.join(folder, 'ca.pem'), ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

/** Resolves with the first line that matches; later lines are read and dropped. */
export function line(child: ChildProcess, pattern: RegExp): Promise<RegExpMatchArray> {
  if (!child.stdout) throw new Error('no output');
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    lines.on('line', (text) => {
      const match = pattern.exec(text);
      if (match) resolve(match);
    });
    child.once('exit', (code) =>
      reject(new Error(`ended with ${code} before it said ${pattern.source}`)),
    );
  });
}

export function makeCertificates(): void {
  const at = (name: string): string => path.join(folder, name);
  command(
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
    '-days',
    '2',
    '-subj',
    '/CN=Lab',
  );
  command(
    'openssl',
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    at('vendor.key'),
    '-out',
    at('vendor.csr'),
    '-subj',
    '/CN=vendor.example',
  );
  writeFileSync(
    at('san'),
    `subjectAltName=IP:${awayAddress},IP:${slowAddress},IP:${deadAddress}\n`,
  );
  command(
    'openssl',
    'x509',
    '-req',
    '-in',
    at('vendor.csr'),
    '-CA',
    at('ca.pem'),
    '-CAkey',
    at('ca.key'),
    '-CAcreateserial',
    '-out',
    at('vendor.pem'),
    '-days',
    '2',
    '-extfile',
    at('san'),
  );
}

export async function startVendor(
  address: string,
  think: number,
  ...more: readonly 'h2'[]
): Promise<void> {
  const words = [
    'test/lab/network-vendor.ts',
    address,
    '8443',
    String(think),
    path.join(folder, 'vendor.key'),
    path.join(folder, 'vendor.pem'),
    ...more,
  ];
  await line(run(away, [process.execPath, ...words]), /^ready$/);
}

/** netem where the kernel has it, on both ends; else a program between the outer interfaces. */
export async function slowDown(): Promise<void> {
  try {
    for (const [name, inner] of [
      [home, `${tag}h1`],
      [away, `${tag}a1`],
    ] as const) {
      command(
        'tc',
        '-n',
        name,
        'qdisc',
        'add',
        'dev',
        inner,
        'root',
        'netem',
        'delay',
        `${oneWayMs}ms`,
        'loss',
        `${lossPerDirection * 100}%`,
      );
    }
    ip('link', 'add', `${tag}b`, 'type', 'bridge');
    for (const outer of [`${tag}h0`, `${tag}a0`]) ip('link', 'set', outer, 'master', `${tag}b`);
    ip('link', 'set', `${tag}b`, 'up');
    console.log('delay and loss by tc netem');
  } catch {
    await line(
      run(undefined, [
        'python3',
        linkScript,
        `${tag}h0`,
        `${tag}a0`,
        String(oneWayMs),
        String(lossPerDirection),
        '1',
      ]),
      /^ready$/,
    );
    console.log('this kernel has no tc netem: delay and loss by test/lab/link.py');
  }
}

function cleanUp(): void {
  for (const child of children) child.kill('SIGKILL');
  for (const words of [
    ['link', 'del', `${tag}b`],
    ['link', 'del', `${tag}h0`],
    ['link', 'del', `${tag}a0`],
    ['netns', 'del', home],
    ['netns', 'del', away],
  ]) {
    try {
      ip(...words);
    } catch {
      // It was not made.
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
process.once('exit', cleanUp);
