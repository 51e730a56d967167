/**
 * `npm run test:soak`: the gateway for a long time under steady load with upstream faults. Prints,
 * window by window, latency, heap after a collection, timers, memory and open files, and at the end the
 * slopes with their 95 % intervals and the p99 of the last five minutes beside that of the first five.
 *
 *   node test/soak/run.ts [--minutes 30] [--rate 300] [--window-seconds 60]
 *
 * Exits 1 when the heap surely grows by more than 1 MiB in ten minutes or files or timers surely grow
 * by more than ten in ten minutes (in runs of ten minutes and more: the whole interval is above it),
 * when p99 grew by more than a tenth, or when more requests failed than upstreams cut after content.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../../tools/run.ts';
import { modelName } from '../bench/answers.ts';
import { openAccount } from '../bench/gateway-legs.ts';
import { LoadGenerator } from '../bench/generator.ts';
import { costOfTree } from '../bench/process-cost.ts';
import { announced, processors, startPinned, stop, type Started } from '../bench/programs.ts';
import { median, percentile, slopeOf, type Slope } from '../bench/statistics.ts';
import { clientPaths, requestBytes } from '../bench/workloads.ts';
import type { Inside } from './gateway-process.ts';

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
/** So many windows are the first and the last five minutes; half of a shorter run. */
const edgeWindows = Math.max(
  1,
  Math.min(Math.round(300 / windowSeconds), Math.floor(windowCount / 2)),
);
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
  readonly timers: number;
};

const cache = path.join(root, '.cache', 'bench');
mkdirSync(cache, { recursive: true });
const run = mkdtempSync(path.join(cache, 'soak-'));

function configFile(upstreamPort: number): string {
  const offer = (name: string) => ({ name, prices: { input: '0.15', output: '0.60' } });
  const models = {
    'soak-whole': offer(modelName({ chunks: 0, paceMs: 0 })),
    'soak-stream': offer(modelName({ chunks: streamChunks, paceMs: 25 })),
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

function look({ process: child }: Started): Promise<Inside> {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error('the gateway does not answer')), 30_000);
    child.once('message', (inside) => {
      clearTimeout(limit);
      resolve(inside as Inside);
    });
    child.send('look');
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
  return requestBytes(clientPaths.chat, headers, JSON.stringify(body));
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
      requests: [question(key, 'soak-whole', false)],
      rate: rate - streams,
      count: Math.round((rate - streams) * windowSeconds),
      marks: 1,
    }),
    streaming.run({
      ...job,
      requests: [question(key, 'soak-stream', true)],
      rate: streams,
      count: Math.max(1, Math.round(streams * windowSeconds)),
      marks: streamChunks,
    }),
  ]);
  const inside = await look(gateway);
  const cost = costOfTree(gateway.pid);
  return {
    answered: whole.answered + stream.answered,
    failures: whole.failures + stream.failures,
    firstFailure: [whole.firstFailure, stream.firstFailure]
      .filter((text) => text !== '')
      .join(' / '),
    p50Ms: percentile(whole.totalMs, 0.5),
    p99Ms: percentile(whole.totalMs, 0.99),
    heapMiB: (inside.heapBytes + inside.externalBytes) / 2 ** 20,
    rssMiB: cost.rssBytes / 2 ** 20,
    openFiles: cost.openFiles,
    timers: inside.timers,
  };
}

/** Growth in ten minutes over the windows after the first fifth, in which caches and code grow. */
function growth(windows: readonly Window[], pick: (window: Window) => number): Slope {
  const points = windows
    .map((window, index) => [(index * windowSeconds) / 600, pick(window)] as const)
    .slice(Math.floor(windows.length / 5));
  return slopeOf(points);
}

function print(index: number, window: Window): void {
  const { answered, failures, firstFailure, p50Ms, p99Ms, heapMiB, rssMiB } = window;
  const why = failures === 0 ? '' : ` (${firstFailure})`;
  console.log(
    `window ${index + 1}/${windowCount}: ${answered} answered, ${failures} failed${why}, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, heap ${heapMiB.toFixed(1)} MiB, RSS ${rssMiB.toFixed(0)} MiB, ${window.openFiles} files, ${window.timers} timers`,
  );
}

function told({ slope, low, high }: Slope): string {
  return `${slope.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
}

/** Prints the summary; true when everything is within its bounds. */
function judge(windows: readonly Window[]): boolean {
  const sum = (pick: (window: Window) => number): number =>
    windows.reduce((all, window) => all + pick(window), 0);
  const answered = sum((window) => window.answered);
  const failures = sum((window) => window.failures);
  const heap = growth(windows, ({ heapMiB }) => heapMiB);
  const files = growth(windows, ({ openFiles }) => openFiles);
  const timers = growth(windows, (window) => window.timers);
  const p99 = (edge: readonly Window[]): number => median(edge.map(({ p99Ms }) => p99Ms));
  const first = p99(windows.slice(0, edgeWindows));
  const last = p99(windows.slice(-edgeWindows));
  const minutes = (edgeWindows * windowSeconds) / 60;
  console.log(
    `\n${answered} answered, ${failures} failed (${((failures / (answered + failures)) * 100).toFixed(2)} %)`,
  );
  console.log(`heap after collection: ${told(heap)} MiB in ten minutes, 95 % interval`);
  console.log(`open files: ${told(files)}; timers: ${told(timers)} in ten minutes`);
  console.log(
    `p99 of the first ${minutes.toFixed(1)} minutes ${first.toFixed(1)} ms, of the last ${last.toFixed(1)} ms, ratio ${(last / first).toFixed(2)}`,
  );
  const long = windowCount * windowSeconds >= 600;
  // One stream in fifty is cut after its first content, which nobody can mend.
  const cutShare = streamShare / 50;
  const grows = heap.low > 1 || files.low > 10 || timers.low > 10;
  return (
    (!long || !grows) && last <= first * 1.1 && failures <= (answered + failures) * cutShare * 2
  );
}

async function main(): Promise<boolean> {
  const upstreamFile = path.join(root, 'test', 'bench', 'upstream-process.ts');
  const upstream = startPinned([process.execPath, upstreamFile, '--faults'], processors.rig);
  const config = configFile(Number(await announced(upstream, /^(\d+)$/m)));
  const [key = ''] = await openAccount(config);
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
