/**
 * What a call costs in the client alone: our own HTTP/1.1 client beside undici under the same contract,
 * over TCP and over TLS, in processes of their own that take turns.
 *
 *   node test/bench/upstream-client.ts [--rounds 5] [--rate 1000] [--seconds 3] [--streams 25] [--open 1000]
 *
 * Whole answers at `--rate` a second, streams of 200 chunks at `--streams` a second, and the memory of
 * `--open` streams that are open at once. TLS needs openssl for a certificate.
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
    rounds: { type: 'string', default: '5' },
    rate: { type: 'string', default: '1000' },
    streams: { type: 'string', default: '25' },
    seconds: { type: 'string', default: '3' },
    open: { type: 'string', default: '1000' },
    /** For the processes that this program starts: way, URL, folder of the certificate, job. */
    child: { type: 'string', multiple: true },
  },
});

const warmUpSeconds = 2;
const whole: Shape = { chunks: 0, paceMs: 0 };
const stream: Shape = { chunks: 200, paceMs: 5 };
const slow: Shape = { chunks: 20, paceMs: 500 };
const timeouts = { connectMs: 20_000, headersMs: 20_000, idleMs: 20_000, totalMs: 120_000 };

type Caller = { readonly upstream: Upstream; readonly url: string };

/** One call; resolves with the pieces that it came in. */
async function call({ upstream, url }: Caller, shape: Shape): Promise<number> {
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
    return 1;
  }
  return new Promise((resolve, reject) => {
    let pieces = 0;
    answer.pushTo({
      data: () => (pieces += 1),
      end: () => resolve(pieces),
      failed: reject,
    });
  });
}

async function load(
  caller: Caller,
  shape: Shape,
  perSecond: number,
  seconds: number,
): Promise<number> {
  const running: Promise<number>[] = [];
  const startedMs = performance.now();
  const total = perSecond * seconds;
  while (running.length < total) {
    const due = Math.min(total, ((performance.now() - startedMs) / 1_000) * perSecond);
    while (running.length < due) running.push(call(caller, shape));
    await pause(1);
  }
  const pieces = await Promise.all(running);
  return pieces.reduce((sum, count) => sum + count, 0);
}

async function runChild([way, url, folder, job]: readonly string[]): Promise<void> {
  const caller = {
    url: url ?? '',
    upstream: createUpstream({
      clock: systemClock,
      pools: {
        direct: way === 'undici' ? 'undici' : 'http1',
        certificateAuthorities: [readFileSync(path.join(folder ?? '', 'cert.pem'), 'utf8')],
      },
    }),
  };
  if (job === 'open') {
    await load(caller, whole, 200, 1);
    global.gc?.();
    const before = process.memoryUsage.rss();
    const count = Number(values.open);
    const running = Array.from({ length: count }, () => call(caller, slow));
    await pause(6_000);
    const kibibytes = (process.memoryUsage.rss() - before) / 1_024 / count;
    await Promise.all(running);
    process.stdout.write(`${JSON.stringify({ figure: kibibytes })}\n`);
  } else {
    const shape = job === 'stream' ? stream : whole;
    const perSecond = Number(job === 'stream' ? values.streams : values.rate);
    await load(caller, shape, perSecond, warmUpSeconds);
    const before = process.cpuUsage();
    const pieces = await load(caller, shape, perSecond, Number(values.seconds));
    const { user, system } = process.cpuUsage(before);
    process.stdout.write(`${JSON.stringify({ figure: (user + system) / pieces })}\n`);
  }
  await caller.upstream.close();
}

const ways = ['undici', 'http1'];
const jobs = ['whole', 'stream', 'open'];

async function figureOf(words: readonly string[]): Promise<number> {
  const child = startPinned(
    [
      process.execPath,
      '--expose-gc',
      import.meta.filename,
      ...words.flatMap((word) => ['--child', word]),
      ...['rate', 'streams', 'seconds', 'open'].flatMap((name) => [
        `--${name}`,
        String(values[name as 'rate']),
      ]),
    ],
    processors.subject,
  );
  const line = await announced(child, /^(\{.*\})$/m, 120_000);
  await stop(child);
  return Number(parseJsonObject(line)?.['figure']);
}

function median(figures: readonly number[]): number {
  return figures.toSorted((left, right) => left - right)[figures.length >> 1] ?? Number.NaN;
}

async function compare(scheme: string, url: string, folder: string): Promise<void> {
  for (const job of jobs) {
    const figures: Record<string, number[]> = { undici: [], http1: [] };
    const rounds = job === 'open' ? 1 : Number(values.rounds);
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? ways : ways.toReversed();
      for (const way of order) figures[way]?.push(await figureOf([way, url, folder, job]));
    }
    const unit = { whole: 'CPU us/request', stream: 'CPU us/piece', open: 'KiB/open stream' }[job];
    const text = ways.map((way) => {
      const all = figures[way] ?? [];
      return `${way} ${median(all).toFixed(1)} [${Math.min(...all).toFixed(1)}, ${Math.max(...all).toFixed(1)}]`;
    });
    process.stdout.write(`${scheme} ${job}: ${text.join(' · ')} ${unit}\n`);
  }
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

if (values.child === undefined) await main();
else await runChild(values.child);
