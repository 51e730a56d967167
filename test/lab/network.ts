/**
 * The network lab: an application and a vendor 200 ms of round trip and 1 % of lost packets apart,
 * behind TLS, in network namespaces. Time to first content without a gateway, and with one at either
 * end; and the choice among three addresses of which one is dead and one slow.
 *
 *   npm run lab:network [-- --requests 200]        needs root and iproute2
 *
 * The delay is made by `tc netem`, or by link.py where the kernel has no netem.
 */

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { parseJsonObject } from '#std';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '200' },
    lanes: { type: 'string', default: '8' },
  },
});
const root = path.resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(path.join(tmpdir(), 'manifold-network-'));
const tag = `mf${process.pid % 100_000}`;
const home = `${tag}h`;
const away = `${tag}a`;
const homeAddress = '10.77.0.1';
const awayAddress = '10.77.0.2';
const slowAddress = '10.77.0.3';
const deadAddress = '10.77.0.99';
const oneWayMs = 100;
const lossPerDirection = 0.01;
const thinkMs = 50;
const children: ChildProcess[] = [];
const problems: string[] = [];

const command = (file: string, ...words: string[]): string =>
  execFileSync(file, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const ip = (...words: string[]): string => command('ip', ...words);

/** False, said aloud, where this machine does not let us. */
function makeNamespaces(): boolean {
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

function run(
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
function line(child: ChildProcess, pattern: RegExp): Promise<RegExpMatchArray> {
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

function makeCertificates(): void {
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

async function startVendor(address: string, think: number): Promise<void> {
  const words = [
    'test/lab/network-vendor.ts',
    address,
    '8443',
    String(think),
    path.join(folder, 'vendor.key'),
    path.join(folder, 'vendor.pem'),
  ];
  await line(run(away, [process.execPath, ...words]), /^ready$/);
}

type Gateway = { readonly url: string; readonly key: string };

async function startGateway(
  namespace: string,
  address: string,
  name: string,
  addresses: readonly string[],
): Promise<Gateway> {
  const file = path.join(folder, `${name}.yaml`);
  const channel = {
    id: 'vendor',
    dialect: 'openai-chat',
    base_urls: addresses.map((each) => `https://${each}:8443/v1`),
    secret: 'x',
    allow_private: true,
    models: { m: { prices: 'free' } },
  };
  const port = 8_000 + Math.floor(Math.random() * 1_000);
  writeFileSync(
    file,
    JSON.stringify({
      listen: { host: address, port },
      data: path.join(folder, name),
      simulator: false,
      channels: [channel],
      log_level: 'error',
    }),
  );
  const child = run(namespace, [process.execPath, 'src/main.ts', 'serve', '--config', file]);
  const [, key = ''] = await line(child, /^ {2}(sk-\S+)$/);
  return { url: `http://${address}:${port}/v1`, key };
}

type Figures = {
  readonly name: string;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly count: number;
  readonly errors: number;
};

async function measure(
  name: string | undefined,
  baseUrl: string,
  key: string,
  mode: 'fresh' | 'kept',
): Promise<Figures> {
  const child = run(home, [
    process.execPath,
    'test/lab/network-client.ts',
    baseUrl,
    key,
    mode,
    values.requests,
    values.lanes,
  ]);
  const [text] = await line(child, /^\{.*\}$/);
  const report = parseJsonObject(text) as
    | { readonly times?: number[]; readonly errors?: string[] }
    | undefined;
  const times = (report?.times ?? []).toSorted((left, right) => left - right);
  const at = (share: number): number =>
    Math.round(times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? Number.NaN);
  const figures = {
    name: name ?? '',
    medianMs: at(0.5),
    p95Ms: at(0.95),
    count: times.length,
    errors: report?.errors?.length ?? 0,
  };
  if (name === undefined) return figures;
  console.log(
    [
      name.padEnd(58),
      `${figures.medianMs} ms`,
      `${figures.p95Ms} ms`,
      figures.count,
      figures.errors === 0 ? '0' : `${figures.errors}: ${report?.errors?.[0]}`,
    ].join(' | '),
  );
  return figures;
}

/** netem where the kernel has it, on both ends; else a program between the outer interfaces. */
async function slowDown(): Promise<void> {
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

function judge(what: string, isGood: boolean): void {
  console.log(`${isGood ? 'ok     ' : 'FAILED '} ${what}`);
  if (!isGood) problems.push(what);
}

async function lab(): Promise<void> {
  makeCertificates();
  await slowDown();
  await startVendor(awayAddress, thinkMs);
  await startVendor(slowAddress, thinkMs + 600);
  const near = await startGateway(home, homeAddress, 'near', [awayAddress]);
  const far = await startGateway(away, awayAddress, 'far', [awayAddress]);
  const several = await startGateway(home, homeAddress, 'several', [
    deadAddress,
    slowAddress,
    awayAddress,
  ]);
  const vendor = `https://${awayAddress}:8443/v1`;
  console.log(
    `round trip ${2 * oneWayMs} ms, ${lossPerDirection * 100} % loss each way, the vendor thinks ${thinkMs} ms; time to first content\n`,
  );
  console.log('way | median | p95 | answers | errors');
  // Programs that have run for a while are compared, on both sides.
  for (const { url, key } of [near, far, several]) await measure(undefined, url, key, 'kept');
  const fresh = await measure('direct, a fresh connection each', vendor, 'x', 'fresh');
  const kept = await measure('direct, kept connections', vendor, 'x', 'kept');
  const nearFresh = await measure(
    'gateway near the application, fresh connections to it',
    near.url,
    near.key,
    'fresh',
  );
  const nearKept = await measure(
    'gateway near the application, kept connections to it',
    near.url,
    near.key,
    'kept',
  );
  const farKept = await measure(
    'gateway near the vendor, kept connections to it',
    far.url,
    far.key,
    'kept',
  );
  const choice = await measure(
    'gateway near the application, 3 addresses: dead, slow, good',
    several.url,
    several.key,
    'kept',
  );
  const less = (figures: Figures): number =>
    Math.round(100 * (1 - figures.medianMs / fresh.medianMs));
  console.log('');
  for (const figures of [nearFresh, nearKept, farKept]) {
    judge(
      `${figures.name}: ${less(figures)} % less than fresh and direct (goal 40 %)`,
      less(figures) >= 40 && figures.errors === 0,
    );
    const more = 100 * (figures.medianMs / kept.medianMs - 1);
    judge(
      `${figures.name}: ${more.toFixed(1)} % more than kept and direct (goal ≤ 2 %)`,
      more <= 2,
    );
  }
  judge(
    `the good address was chosen: median ${choice.medianMs} ms, ${choice.errors} errors`,
    choice.medianMs <= nearKept.medianMs * 1.05 && choice.errors === 0,
  );
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
if (makeNamespaces()) await lab();
process.exit(problems.length === 0 ? 0 : 1);
