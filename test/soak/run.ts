/**
 * `npm run test:soak`: the gateway for a long time under steady load with upstream faults. Prints,
 * window by window, latency, heap after a collection, memory and open files, and at the end the
 * slope of the heap and the ratio of the last window's p99 to the first's.
 *
 *   node test/soak/run.ts [--minutes 30] [--rate 300] [--window-seconds 60]
 *
 * Exits 1 when the heap grows by more than 1 MiB in ten minutes (in runs of ten minutes and more),
 * when p99 grew by more than a tenth, or when more requests failed than upstreams cut after content.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../../tools/run.ts';
import { openAccount } from '../bench/legs.ts';
import { costOfTree } from '../bench/process-cost.ts';
import { announced, processors, startPinned, stop, type Started } from '../bench/programs.ts';
import { LoadGenerator } from '../bench/rounds.ts';
import { percentile } from '../bench/statistics.ts';
import { requestBytes } from '../bench/workloads.ts';
import type { Memory } from './gateway-process.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '300' },
    'window-seconds': { type: 'string', default: '60' },
  },
});
const windowSeconds = Number(values['window-seconds']);
const windowCount = Math.max(2, Math.round((Number(values.minutes) * 60) / windowSeconds));
const rate = Number(values.rate);
/** One request in ten is a stream of half a second. */
const streamShare = 0.1;
const streamChunks = 20;

type Window = {
  readonly answered: number;
  readonly failures: number;
  readonly firstFailure: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly heapMiB: number;
  readonly rssMiB: number;
  readonly openFiles: number;
};

const cache = path.join(root, '.cache', 'bench');
mkdirSync(cache, { recursive: true });
const run = mkdtempSync(path.join(cache, 'soak-'));

function configFile(upstreamPort: number): string {
  const offer = (name: string) => ({ name, prices: { input: '0.15', output: '0.60' } });
  const models = {
    'soak-whole': offer('bench-whole'),
    'soak-stream': offer(`bench-stream-${streamChunks}-25`),
  };
  const channels = ['one', 'two'].map((id) => ({
    id,
    dialect: 'openai-chat',
    base_url: `http://127.0.0.1:${upstreamPort}/v1`,
    secret: 'sk-soak',
    allow_private: true,
    models,
  }));
  const file = path.join(run, 'manifold.yaml');
  const config = {
    listen: { port: 0 },
    data: path.join(run, 'data'),
    log_level: 'error',
    simulator: false,
    channels,
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

function memoryOf({ process: child }: Started): Promise<Memory> {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error('the gateway does not answer')), 30_000);
    child.once('message', (memory) => {
      clearTimeout(limit);
      resolve(memory as Memory);
    });
    child.send('memory');
  });
}

function question(key: string, model: string, stream: boolean): Buffer {
  const body = {
    model,
    ...(stream ? { stream: true } : {}),
    messages: [{ role: 'user', content: 'How long is a piece of string?' }],
    max_tokens: 200,
  };
  const headers = { authorization: `Bearer ${key}` };
  return requestBytes('/v1/chat/completions', headers, JSON.stringify(body));
}

async function measureWindow(
  index: number,
  port: number,
  key: string,
  gateway: Started,
  [plain, streaming]: readonly [LoadGenerator, LoadGenerator],
): Promise<Window> {
  const job = { port, seed: index + 1, limitMs: windowSeconds * 1_000 + 60_000 };
  const streams = rate * streamShare;
  const [whole, stream] = await Promise.all([
    plain.run({
      ...job,
      request: question(key, 'soak-whole', false),
      rate: rate - streams,
      count: Math.round((rate - streams) * windowSeconds),
      marks: 1,
    }),
    streaming.run({
      ...job,
      request: question(key, 'soak-stream', true),
      rate: streams,
      count: Math.max(1, Math.round(streams * windowSeconds)),
      marks: streamChunks,
    }),
  ]);
  const memory = await memoryOf(gateway);
  const cost = costOfTree(gateway.pid);
  return {
    answered: whole.answered + stream.answered,
    failures: whole.failures + stream.failures,
    firstFailure: [whole.firstFailure, stream.firstFailure]
      .filter((text) => text !== '')
      .join(' / '),
    p50Ms: percentile(whole.totalMs, 0.5),
    p99Ms: percentile(whole.totalMs, 0.99),
    heapMiB: memory.heapBytes / 2 ** 20,
    rssMiB: cost.rssBytes / 2 ** 20,
    openFiles: cost.openFiles,
  };
}

/** Least squares over the windows after the first fifth, in which caches and code grow. */
function heapSlope(windows: readonly Window[]): number {
  const points = windows
    .map(({ heapMiB }, index) => ({ x: (index * windowSeconds) / 600, y: heapMiB }))
    .slice(Math.floor(windows.length / 5));
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / points.length;
  const covariance = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  return variance === 0 ? 0 : covariance / variance;
}

function print(index: number, window: Window): void {
  const { answered, failures, firstFailure, p50Ms, p99Ms, heapMiB, rssMiB, openFiles } = window;
  const why = failures === 0 ? '' : ` (${firstFailure})`;
  console.log(
    `window ${index + 1}/${windowCount}: ${answered} answered, ${failures} failed${why}, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, heap ${heapMiB.toFixed(1)} MiB, RSS ${rssMiB.toFixed(0)} MiB, ${openFiles} files`,
  );
}

/** Prints the summary; true when everything is within its bounds. */
function judge(windows: readonly Window[]): boolean {
  const [first] = windows;
  const last = windows.at(-1);
  if (!first || !last) return false;
  const slope = heapSlope(windows);
  const growth = last.p99Ms / first.p99Ms;
  const answered = windows.reduce((sum, window) => sum + window.answered, 0);
  const failures = windows.reduce((sum, window) => sum + window.failures, 0);
  console.log(
    `\n${answered} answered, ${failures} failed (${((failures / (answered + failures)) * 100).toFixed(2)} %)`,
  );
  console.log(
    `heap slope after GC ${slope.toFixed(2)} MiB/10 min; p99 last window / first ${growth.toFixed(2)}; files ${first.openFiles} -> ${last.openFiles}`,
  );
  const long = windowCount * windowSeconds >= 600;
  // One stream in fifty is cut after its first content, which nobody can mend.
  const cutShare = streamShare / 50;
  return (!long || slope <= 1) && growth <= 1.1 && failures <= (answered + failures) * cutShare * 2;
}

async function main(): Promise<boolean> {
  const upstreamFile = path.join(root, 'test', 'bench', 'upstream-process.ts');
  const upstream = startPinned([process.execPath, upstreamFile, '--faults'], processors.rig);
  const config = configFile(Number(await announced(upstream, /^(\d+)$/m)));
  const key = openAccount(root, config);
  const gatewayFile = path.join(root, 'test', 'soak', 'gateway-process.ts');
  const command = [process.execPath, '--expose-gc', gatewayFile, config];
  const gateway = startPinned(command, processors.subject, {}, true);
  const generators = [new LoadGenerator(root), new LoadGenerator(root)] as const;
  const windows: Window[] = [];
  try {
    const port = Number(await announced(gateway, /listens on http:\/\/[^ ]*:(\d+)/));
    for (let index = 0; index < windowCount; index += 1) {
      const window = await measureWindow(index, port, key, gateway, generators);
      windows.push(window);
      print(index, window);
    }
    return judge(windows);
  } finally {
    const running = [...generators.map((generator) => generator.close()), stop(gateway)];
    await Promise.all([...running, stop(upstream)]);
    rmSync(run, { recursive: true, force: true });
  }
}

process.exitCode = (await main()) ? 0 : 1;
