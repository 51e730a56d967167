/**
 * `npm run bench:routing`: the deterministic benchmark of the router against other balancers.
 *
 *   node tools/bench-routing.ts [--seeds 20] [--first-seed 1] [--only A,F] [--plant cooldown-on-429] [--json FILE]
 *   node tools/bench-routing.ts --cost
 *
 * Exits 1 when a threshold is missed or a baseline is better. Time in it is simulated: the same
 * seeds give the same table on every machine.
 */

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { baselines } from '../test/bench/routing/baselines.ts';
import { measureDecisionCost } from '../test/bench/routing/cost.ts';
import { summarise, type Cell } from '../test/bench/routing/measurement.ts';
import { ours, type Plant } from '../test/bench/routing/ours.ts';
import { faultFree, scenarios, type Scenario } from '../test/bench/routing/scenarios.ts';
import {
  misses,
  oursName,
  theoreticalShare,
  type Table,
} from '../test/bench/routing/thresholds.ts';
import { World } from '../test/bench/routing/world.ts';

type Task = { readonly scenario: string; readonly strategy: string };
type Settings = { readonly seeds: number; readonly firstSeed: number; readonly plant: Plant };
type Done = Task & { readonly cell: Cell };

const strategies = [...Object.keys(baselines), oursName];
const everyScenario = [faultFree, ...scenarios];

function runTask(task: Task, settings: Settings): Done {
  const scenario = everyScenario.find(({ id }) => id === task.scenario);
  const make = task.strategy === oursName ? ours(settings.plant) : baselines[task.strategy];
  if (scenario === undefined || make === undefined) throw new RangeError('unknown task');
  const runs = [];
  for (let count = 0; count < settings.seeds; count++) {
    const seed = settings.firstSeed + count;
    const measurement = new World(scenario, make, seed).run();
    measurement.close(scenario.durationMs);
    runs.push(measurement);
  }
  return { ...task, cell: summarise(runs) };
}

/** Largest first, so that the threads end together. */
function tasksOf(chosen: readonly Scenario[]): Task[] {
  const tasks = chosen
    .toReversed()
    .flatMap(({ id }) => strategies.map((strategy) => ({ scenario: id, strategy })));
  return [{ scenario: faultFree.id, strategy: oursName }, ...tasks];
}

async function runAll(tasks: readonly Task[], settings: Settings): Promise<readonly Done[]> {
  const waiting = [...tasks];
  const done: Done[] = [];
  const threads = Math.max(1, Math.min(4, availableParallelism()));
  const thread = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: settings });
      const feed = (): void => {
        const task = waiting.shift();
        if (task !== undefined) worker.postMessage(task);
        else void worker.terminate().then(() => resolve(), reject);
      };
      worker.on('message', (result: Done) => {
        done.push(result);
        feed();
      });
      worker.on('error', reject);
      feed();
    });
  await Promise.all(Array.from({ length: threads }, thread));
  return done;
}

function tableOf(done: readonly Done[]): Table {
  const table = new Map<string, Map<string, Cell>>();
  for (const { scenario, strategy, cell } of done) {
    const row = table.get(scenario) ?? new Map<string, Cell>();
    row.set(strategy, cell);
    table.set(scenario, row);
  }
  return table;
}

function printTable(chosen: readonly Scenario[], table: Table, seeds: number): void {
  console.log(
    'success % / p99 s to first content / upstream 429 per 100 requests / cost in micro-dollars per success\n',
  );
  for (const scenario of chosen) {
    const row = table.get(scenario.id);
    if (row === undefined) continue;
    const any = row.get(oursName);
    console.log(`${scenario.id}  ${scenario.title}  (${any?.requests ?? 0} requests)`);
    for (const strategy of strategies) {
      const cell = row.get(strategy);
      if (cell === undefined) continue;
      const long = (100 * cell.longSuccesses) / cell.longRequests;
      const goodput = cell.tokensServed / cell.tokensOffered;
      const theory = theoreticalShare(scenario, cell, seeds);
      console.log(
        [
          `   ${strategy.padEnd(20)}`,
          cell.successPercent.toFixed(2).padStart(7),
          (cell.p99Ms / 1_000).toFixed(2).padStart(7),
          cell.rateLimitedPerHundred.toFixed(2).padStart(8),
          cell.costMicroUsd.toFixed(0).padStart(6),
          `  p50 ${(cell.p50Ms / 1_000).toFixed(2)}`,
          `attempts ${(cell.attempts / cell.requests).toFixed(2)}`,
          `cache hits ${((100 * cell.cacheHits) / cell.cacheable).toFixed(0)} %`,
          `long ${long.toFixed(1)} %`,
          theory < 1 ? `goodput ${((100 * goodput) / theory).toFixed(1)} % of theory` : '',
        ].join(' '),
      );
    }
  }
}

function reportCost(): number {
  let isMissed = false;
  for (const { candidates, microseconds, limit } of measureDecisionCost()) {
    const verdict = microseconds <= limit ? 'ok' : 'MISSED';
    if (microseconds > limit) isMissed = true;
    console.log(
      `${String(candidates).padStart(4)} channels: ${microseconds.toFixed(2)} µs CPU per choice (at most ${limit}) ${verdict}`,
    );
  }
  return isMissed ? 1 : 0;
}

function plantOf(name: string | undefined): Plant {
  if (name === undefined) return 'none';
  if (name === 'cooldown-on-429') return name;
  throw new RangeError(`unknown plant ${name}; known: cooldown-on-429`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '20' },
      'first-seed': { type: 'string', default: '1' },
      only: { type: 'string' },
      plant: { type: 'string' },
      json: { type: 'string' },
      cost: { type: 'boolean', default: false },
    },
  });
  if (values.cost) return reportCost();
  const startedAt = performance.now();
  const settings: Settings = {
    seeds: Number(values.seeds),
    firstSeed: Number(values['first-seed']),
    plant: plantOf(values.plant),
  };
  const only = values.only?.split(',');
  const chosen = scenarios.filter(({ id }) => only === undefined || only.includes(id));
  const table = tableOf(await runAll(tasksOf(chosen), settings));
  printTable(chosen, table, settings.seeds);
  const reference = table.get(faultFree.id)?.get(oursName)?.p99Ms ?? NaN;
  const found = chosen.flatMap((scenario) => misses(scenario, table, reference, settings.seeds));
  console.log(
    `\nfault-free p99 ${(reference / 1_000).toFixed(2)} s; ${settings.seeds} seeds from ${settings.firstSeed}`,
  );
  if (values.json !== undefined) {
    const rows = [...table].map(([id, row]) => ({ id, row: Object.fromEntries(row) }));
    writeFileSync(values.json, `${JSON.stringify({ rows, misses: found }, null, 2)}\n`);
  }
  for (const miss of found) console.log(`MISSED  ${miss}`);
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  console.log(found.length === 0 ? `all thresholds met in ${seconds} s` : `failed in ${seconds} s`);
  return found.length === 0 ? 0 : 1;
}

if (isMainThread) {
  process.exitCode = await main();
} else {
  const settings = workerData as Settings;
  parentPort?.on('message', (task: Task) => parentPort?.postMessage(runTask(task, settings)));
}
