/**
 * What a call costs in the client alone: our own HTTP/1.1 client beside undici under the same contract,
 * over TCP and over TLS. A closed loop of `--lanes` calls at once, both ways in one process that take
 * turns; CPU time of that process, kernel included. Then the memory of `--open` streams open at once.
 *
 *   node test/bench/upstream-client.ts [--rounds 8] [--lanes 16] [--open 1000]
 *
 * TLS needs openssl for a certificate.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { parseJsonObject, systemClock } from '#std';
import { createUpstream, type Upstream } from '#upstream';
import { modelName, type Shape } from './answers.ts';
import { announced, pause, processors, startPinned, stop } from './programs.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '8' },
    lanes: { type: 'string', default: '16' },
    open: { type: 'string', default: '1000' },
    /** For the processes that this program starts: job, URL, folder of the certificate, way. */
    child: { type: 'string', multiple: true },
  },
});

const whole: Shape = { chunks: 0, paceMs: 0 };
const stream: Shape = { chunks: 200, paceMs: 1 };
const slow: Shape = { chunks: 20, paceMs: 500 };
const callsOf = { whole: 5_000, stream: 100 } as const;
const timeouts = { connectMs: 90_000, headersMs: 90_000, idleMs: 90_000, totalMs: 240_000 };
const ways = ['undici', 'http1'] as const;

type Caller = { readonly upstream: Upstream; readonly url: string };

/** One call, read to its end. */
async function call({ upstream, url }: Caller, shape: Shape): Promise<void> {
  const body = Buffer.from(JSON.stringify({ model: modelName(shape), text: 'word '.repeat(60) }));
  const headers = { 'content-type': 'application/json', authorization: 'Bearer sk-bench' };
  const answer = await upstream.send({
    url,
    method: 'POST',
    headers,
    body,
    timeouts,
    allowPrivate: true,
  });
  if (shape.chunks === 0) {
    await answer.collect(1_000_000);
    return;
  }
  await new Promise<void>((resolve, reject) => {
    answer.pushTo({ data: () => undefined, end: resolve, failed: reject });
  });
}

/** So many calls, some of them at once. */
async function load(caller: Caller, shape: Shape, calls: number): Promise<void> {
  let left = calls;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await call(caller, shape);
    }
  };
  await Promise.all(Array.from({ length: Number(values.lanes) }, lane));
}

function callerOf(way: 'undici' | 'http1', url: string, folder: string): Caller {
  const certificateAuthorities = [readFileSync(path.join(folder, 'cert.pem'), 'utf8')];
  const pools = { direct: way, certificateAuthorities };
  return { url, upstream: createUpstream({ clock: systemClock, pools }) };
}

/** Microseconds of CPU time for each answer or chunk of a stream, round by round. */
async function measureCost(job: 'whole' | 'stream', url: string, folder: string): Promise<void> {
  const shape = job === 'stream' ? stream : whole;
  const callers = {
    undici: callerOf('undici', url, folder),
    http1: callerOf('http1', url, folder),
  };
  const figures: Record<string, number[]> = { undici: [], http1: [] };
  for (const way of ways) await load(callers[way], shape, callsOf[job]);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const before = process.cpuUsage();
      await load(callers[way], shape, callsOf[job]);
      const { user, system } = process.cpuUsage(before);
      figures[way]?.push((user + system) / callsOf[job] / Math.max(1, shape.chunks));
    }
  }
  for (const way of ways) await callers[way].upstream.close();
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

/** KiB of resident memory for each open stream. */
async function measureMemory(way: 'undici' | 'http1', url: string, folder: string): Promise<void> {
  const caller = callerOf(way, url, folder);
  await load(caller, whole, 500);
  global.gc?.();
  const before = process.memoryUsage.rss();
  const count = Number(values.open);
  const running = Array.from({ length: count }, () => call(caller, slow));
  await pause(6_000);
  const kibibytes = (process.memoryUsage.rss() - before) / 1_024 / count;
  await Promise.all(running);
  await caller.upstream.close();
  process.stdout.write(`${JSON.stringify({ [way]: [kibibytes] })}\n`);
}

async function figuresOf(...words: readonly string[]): Promise<Record<string, unknown>> {
  const options = ['rounds', 'lanes', 'open'] as const;
  const child = startPinned(
    [
      ...[process.execPath, '--expose-gc', import.meta.filename],
      ...words.map((word) => `--child=${word}`),
      ...options.map((name) => `--${name}=${values[name]}`),
    ],
    processors.subject,
  );
  const line = await announced(child, /^(\{.*\})$/m, 300_000);
  await stop(child);
  return parseJsonObject(line) ?? {};
}

function print(title: string, unit: string, figures: Record<string, unknown>): void {
  const text = ways.map((way) => {
    const all = (figures[way] as number[]).toSorted((left, right) => left - right);
    const [least = Number.NaN] = all;
    const median = all[all.length >> 1] ?? Number.NaN;
    return `${way} ${median.toFixed(1)}, least ${least.toFixed(1)}`;
  });
  process.stdout.write(`${title}: ${text.join(' · ')} ${unit}\n`);
}

async function compare(scheme: string, url: string, folder: string): Promise<void> {
  print(`${scheme} whole answer`, 'CPU µs', await figuresOf('whole', url, folder));
  print(`${scheme} chunk of a stream`, 'CPU µs', await figuresOf('stream', url, folder));
  const undici = await figuresOf('open', url, folder, 'undici');
  const http1 = await figuresOf('open', url, folder, 'http1');
  print(`${scheme} open stream`, 'KiB', { ...undici, ...http1 });
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'manifold-client-'));
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', path.join(folder, 'key.pem'), '-out', path.join(folder, 'cert.pem')],
      ...['-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
    ],
    { stdio: 'ignore' },
  );
  const server = path.join(import.meta.dirname, 'upstream-process.ts');
  for (const scheme of ['http', 'https']) {
    const words = scheme === 'https' ? ['--tls', folder] : [];
    const upstream = startPinned([process.execPath, server, ...words], processors.rig);
    const port = await announced(upstream, /^(\d+)$/m);
    const host = scheme === 'https' ? 'localhost' : '127.0.0.1';
    await compare(scheme, `${scheme}://${host}:${port}/v1/chat/completions`, folder);
    await stop(upstream);
  }
  rmSync(folder, { recursive: true });
}

const [job, url = '', folder = '', way] = values.child ?? [];
if (job === undefined) await main();
else if (job === 'open') await measureMemory(way === 'undici' ? 'undici' : 'http1', url, folder);
else await measureCost(job === 'stream' ? 'stream' : 'whole', url, folder);
