/**
 * `npm run bench`: what a request costs here, beside bare proxies and other gateways, on the machine
 * it runs on. docs/benchmarks.md says what each figure means.
 *
 *   node tools/bench.ts [--quick] [--workloads W1,W6] [--legs direct,node-dispatch,manifold]
 *                       [--rounds 12] [--seconds 8] [--rate 1000] [--peers] [--seed 1]
 *   node tools/bench.ts --gates [--runs 5] [--of request,chunk,stream]
 *                                              counts that a busy machine does not move, against limits
 *
 * `--peers` adds LiteLLM, which is slow to install. Raw results stay in .cache/bench/results.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { checkFidelity } from '../test/bench/fidelity.ts';
import { gateParts } from '../test/bench/gate-limits.ts';
import { checkGates } from '../test/bench/gates.ts';
import { LoadGenerator } from '../test/bench/generator.ts';
import type { Leg, LegContext } from '../test/bench/leg.ts';
import { legStarters, standardLegs } from '../test/bench/legs.ts';
import { announced, processors, startPinned, stop } from '../test/bench/programs.ts';
import { tableOf } from '../test/bench/report.ts';
import { measureWorkload, type Capacity, type Measurement } from '../test/bench/rounds.ts';
import { trials } from '../test/bench/trials/index.ts';
import { workloadOf, workloads, type Workload } from '../test/bench/workloads.ts';
import { root } from './run.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workloads: { type: 'string' },
    legs: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    rate: { type: 'string' },
    seed: { type: 'string', default: '1' },
    peers: { type: 'boolean', default: false },
    gates: { type: 'boolean', default: false },
    runs: { type: 'string', default: '1' },
    of: { type: 'string', default: gateParts.join(',') },
  },
});

const quick = {
  workloads: 'W1,W2,W5',
  legs: 'direct,node-dispatch,nginx,manifold',
  rounds: 3,
  seconds: 2,
  warmUpMs: 25_000,
};
const full = {
  workloads: [...workloads, ...trials].map(({ id }) => id).join(','),
  legs: [...standardLegs, ...(values.peers ? ['litellm'] : [])].join(','),
  rounds: 12,
  seconds: 8,
  warmUpMs: Infinity,
};
const preset = values.quick ? quick : full;
const settings = {
  rounds: Number(values.rounds ?? preset.rounds),
  seconds: Number(values.seconds ?? preset.seconds),
  seed: Number(values.seed),
  warmUpMs: preset.warmUpMs,
  rate: values.rate === undefined ? undefined : Number(values.rate),
};
/** A quick run leaves out rounds so as to end in three minutes. */
const quickMs = 165_000;

const cache = path.join(root, '.cache', 'bench');
mkdirSync(path.join(cache, 'results'), { recursive: true });
const run = mkdtempSync(path.join(cache, 'run-'));
const wanted = (values.workloads ?? preset.workloads).split(',');
const wantedLegs = (values.legs ?? preset.legs).split(',');
const wantedTrials = trials.filter(({ id }) => wanted.includes(id));
const wantedWorkloads = wanted
  .filter((id) => !trials.some((trial) => trial.id === id))
  .map(workloadOf);

async function startLegs(context: LegContext): Promise<readonly Leg[]> {
  const legs: Leg[] = [];
  for (const id of wantedLegs) {
    const start = legStarters[id];
    if (!start)
      throw new RangeError(
        `there is no leg ${id}: there are ${Object.keys(legStarters).join(', ')}`,
      );
    const leg = await start(id, context);
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

type Results = {
  readonly measurements: Measurement[];
  readonly capacities: unknown[];
  readonly findings: unknown[];
  /** Capacities by leg and request. */
  readonly known: Map<string, Capacity>;
};

/** One workload: the same content everywhere first, then the rounds. */
async function runWorkload(
  generator: LoadGenerator,
  workload: Workload,
  legs: readonly Leg[],
  endsAtMs: number,
  results: Results,
): Promise<void> {
  const own: Measurement[] = [];
  const capacities: Capacity[] = [];
  const isStream = workload.shape.chunks > 0;
  const fidelities = isStream ? await checkFidelity(generator, workload, legs) : [];
  const failed = fidelities.filter(({ failure }) => failure !== undefined);
  for (const { leg, failure } of failed)
    console.log(`!!! ${leg} IS NOT MEASURED in ${workload.id}: no right answer (${failure})`);
  const able = legs.filter(({ id }) => !failed.some(({ leg }) => leg === id));
  const rounds = { ...settings, endsAtMs };
  const tell = {
    warm: (capacity: Capacity) => capacities.push(capacity),
    round: (measurement: Measurement) => own.push(measurement),
  };
  await measureWorkload(generator, workload, able, rounds, tell, results.known);
  results.measurements.push(...own);
  results.capacities.push({ workload: workload.id, capacities });
  console.log(
    `\n${workload.id}: ${workload.title}; rounds of ${settings.seconds} s\n${tableOf(workload, own, capacities, fidelities)}`,
  );
  const first = own.find(({ failures }) => failures > 0);
  if (first) console.log(`first failure: ${first.leg}: ${first.firstFailure}`);
}

async function runTrials(
  context: LegContext,
  generator: LoadGenerator,
  results: Results,
): Promise<boolean> {
  let sound = true;
  const beside = new LoadGenerator(root);
  try {
    for (const trial of wantedTrials) {
      console.log(`\n${trial.id}: ${trial.title}`);
      const findings = await trial.run({
        ...context,
        generator,
        beside,
        legs: wantedLegs,
        quick: values.quick,
      });
      for (const { what, value, wrong } of findings)
        console.log(`- ${what}: ${value}${wrong === true ? ' !!! WRONG' : ''}`);
      if (findings.some(({ wrong }) => wrong === true)) sound = false;
      results.findings.push({ trial: trial.id, findings });
    }
    return sound;
  } finally {
    await beside.close();
  }
}

async function main(): Promise<boolean> {
  // The rig keeps to its own processor; programs under test are put on the other one.
  spawnSync('taskset', ['-a', '-p', '-c', String(processors.rig), String(process.pid)]);
  const before = circumstances();
  console.log(JSON.stringify(before));
  const results: Results = {
    measurements: [],
    capacities: [],
    findings: [],
    known: new Map<string, Capacity>(),
  };
  const endsAtMs = performance.now() + (values.quick ? quickMs : Infinity);
  const upstream = startPinned(
    [process.execPath, path.join(root, 'test', 'bench', 'upstream-process.ts')],
    processors.rig,
  );
  const generator = new LoadGenerator(root);
  let legs: readonly Leg[] = [];
  try {
    const context = {
      root,
      cache,
      run,
      upstreamPort: Number(await announced(upstream, /^(\d+)$/m)),
    };
    if (values.gates) {
      const parts = gateParts.filter((part) => values.of.split(',').includes(part));
      return await checkGates(context, generator, { runs: Number(values.runs), parts });
    }
    if (wantedWorkloads.length > 0) legs = await startLegs(context);
    for (const [index, workload] of wantedWorkloads.entries()) {
      const share = (endsAtMs - performance.now()) / (wantedWorkloads.length - index);
      await runWorkload(generator, workload, legs, performance.now() + share, results);
    }
    await Promise.all(legs.map((leg) => leg.stop()));
    return await runTrials(context, generator, results);
  } finally {
    const name = `${new Date().toISOString().replaceAll(':', '-')}.json`;
    const file = path.join(cache, 'results', name);
    writeFileSync(
      file,
      JSON.stringify({ before, after: circumstances(), ...results, known: undefined }),
    );
    console.log(`\nraw results: ${path.relative(root, file)}`);
    await Promise.all([...legs.map((leg) => leg.stop()), generator.close(), stop(upstream)]);
    rmSync(run, { recursive: true, force: true });
  }
}

process.exitCode = (await main()) ? 0 : 1;
