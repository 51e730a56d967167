/**
 * `npm run bench`: what a request costs here, beside bare proxies and other gateways, on the machine
 * it runs on. docs/benchmarks.md says what each figure means.
 *
 *   node tools/bench.ts [--quick] [--workloads W1,W2] [--legs direct,node-dispatch,manifold]
 *                       [--rounds 12] [--seconds 8] [--rate 1000] [--peers] [--seed 1] [--warm-up 1]
 *
 * `--peers` adds LiteLLM, which is slow to install. `--syscalls` counts system calls instead of time. Raw results stay in .cache/bench/results.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { measureColdStart } from '../test/bench/cold-start.ts';
import { legStarters, standardLegs, type Leg } from '../test/bench/legs.ts';
import { announced, processors, startPinned, stop } from '../test/bench/programs.ts';
import { countSystemCalls, straceIsThere } from '../test/bench/syscalls.ts';
import { tableOf } from '../test/bench/report.ts';
import { LoadGenerator, measureWorkload, type Measurement } from '../test/bench/rounds.ts';
import { workloads, type Workload } from '../test/bench/workloads.ts';
import { root } from './run.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workloads: { type: 'string' },
    legs: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    rate: { type: 'string' },
    'warm-up': { type: 'string' },
    seed: { type: 'string', default: '1' },
    peers: { type: 'boolean', default: false },
    syscalls: { type: 'boolean', default: false },
  },
});

const quick = {
  workloads: 'W1,W2,W5',
  legs: 'direct,node-dispatch,nginx,manifold',
  rounds: 3,
  seconds: 2.5,
  warmUp: 0.4,
};
const full = {
  workloads: [...workloads.map(({ id }) => id), 'W12'].join(','),
  legs: [...standardLegs, ...(values.peers ? ['litellm'] : [])].join(','),
  rounds: 12,
  seconds: 8,
  warmUp: 1,
};
const preset = values.quick ? quick : full;
const settings = {
  rounds: Number(values.rounds ?? preset.rounds),
  seconds: Number(values.seconds ?? preset.seconds),
  warmUpFactor: Number(values['warm-up'] ?? preset.warmUp),
  seed: Number(values.seed),
};

const cache = path.join(root, '.cache', 'bench');
mkdirSync(path.join(cache, 'results'), { recursive: true });
const run = mkdtempSync(path.join(cache, 'run-'));

const coldStartId = 'W12';
const wanted = (values.workloads ?? preset.workloads).split(',');

function selectedWorkloads(): readonly Workload[] {
  return wanted
    .filter((id) => id !== coldStartId)
    .map((id) => {
      const found = workloads.find((workload) => workload.id === id);
      if (!found) throw new RangeError(`there is no workload ${id}`);
      return values.rate === undefined ? found : { ...found, rate: Number(values.rate) };
    });
}

async function startLegs(upstreamPort: number): Promise<readonly Leg[]> {
  const legs: Leg[] = [];
  for (const id of (values.legs ?? preset.legs).split(',')) {
    const start = legStarters[id];
    if (!start)
      throw new RangeError(
        `there is no leg ${id}: there are ${Object.keys(legStarters).join(', ')}`,
      );
    const leg = await start(id, { root, cache, run, upstreamPort });
    if ('missing' in leg) console.log(`!!! ${id} IS NOT MEASURED: ${leg.missing}`);
    else legs.push(leg);
  }
  return legs;
}

/** The commit under test; an unpacked archive has none. */
function commit(): string {
  try {
    const words = ['rev-parse', '--short', 'HEAD'];
    return execFileSync('git', words, { cwd: root, encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return 'unknown';
  }
}

/** What a reader needs to judge the figures. */
function circumstances(): Readonly<Record<string, unknown>> {
  return {
    date: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    kernel: release(),
    processors: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    loadAverage: loadavg().map((value) => Number(value.toFixed(2))),
    settings,
  };
}

async function printColdStart(upstreamPort: number): Promise<void> {
  const context = { root, cache, run, upstreamPort };
  const { firstMs, laterMs, idleRssMiB } = await measureColdStart(context, 8);
  const { median, low, high } = laterMs;
  console.log(
    `W12: first start to first answer ${firstMs.toFixed(0)} ms; later starts ${median.toFixed(0)} ms [${low.toFixed(0)}, ${high.toFixed(0)}]; idle for 10 s: RSS ${idleRssMiB.median.toFixed(0)} MiB`,
  );
}

async function printSystemCalls(generator: LoadGenerator, legs: readonly Leg[]): Promise<void> {
  if (!straceIsThere()) console.log('!!! SYSTEM CALLS ARE NOT COUNTED: there is no strace');
  else
    for (const leg of legs.filter(({ pid }) => pid !== undefined)) {
      console.log(leg.id, JSON.stringify(await countSystemCalls(generator, leg, run)));
    }
}

async function main(): Promise<void> {
  const before = circumstances();
  const upstream = startPinned(
    [process.execPath, path.join(root, 'test', 'bench', 'upstream-process.ts')],
    processors.rig,
  );
  const generator = new LoadGenerator(root);
  const measurements: Measurement[] = [];
  let legs: readonly Leg[] = [];
  try {
    const upstreamPort = Number(await announced(upstream, /^(\d+)$/m));
    if (wanted.includes(coldStartId)) await printColdStart(upstreamPort);
    legs = selectedWorkloads().length === 0 ? [] : await startLegs(upstreamPort);
    console.log(JSON.stringify(before));
    if (values.syscalls) return await printSystemCalls(generator, legs);
    for (const workload of selectedWorkloads()) {
      const own: Measurement[] = [];
      await measureWorkload(generator, workload, legs, settings, (measurement) =>
        own.push(measurement),
      );
      measurements.push(...own);
      console.log(
        `\n${workload.id}: ${workload.title}; ${workload.rate} requests/s, ${settings.rounds} rounds of ${settings.seconds} s\n${tableOf(workload, own)}`,
      );
      const failed = own.find(({ failures }) => failures > 0);
      if (failed) console.log(`first failure: ${failed.leg}: ${failed.firstFailure}`);
    }
  } finally {
    const file = path.join(
      cache,
      'results',
      `${new Date().toISOString().replaceAll(':', '-')}.json`,
    );
    writeFileSync(file, JSON.stringify({ before, after: circumstances(), measurements }));
    console.log(`\nraw results: ${path.relative(root, file)}`);
    await Promise.all([...legs.map((leg) => leg.stop()), generator.close(), stop(upstream)]);
    rmSync(run, { recursive: true, force: true });
  }
}

await main();
