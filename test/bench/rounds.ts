/** One workload over all legs: warmed up, then round after round in a new order each time. */

import path from 'node:path';
import type { Leg } from './legs.ts';
import type { LoadJob, LoadResult } from './load.ts';
import { costOfTree, processorTimes } from './process-cost.ts';
import { pause, processors, startPinned, stop, type Started } from './programs.ts';
import { percentile, seededRandom } from './statistics.ts';
import { requestBytes, type Workload } from './workloads.ts';

export type Measurement = {
  readonly workload: string;
  readonly leg: string;
  readonly round: number;
  readonly answered: number;
  readonly marks: number;
  readonly failures: number;
  readonly firstFailure: string;
  readonly elapsedMs: number;
  /** CPU time of the leg's process tree, per request or per chunk; NaN for the direct leg. */
  readonly cpuMicroseconds: number;
  readonly rssBytes: number;
  readonly firstContentMs: Quantiles;
  readonly totalMs: Quantiles;
  readonly gapMs: Quantiles;
  readonly lagMs: Quantiles;
  /** Share of the leg's processor that others used during the round. */
  readonly othersShare: number;
  readonly stolenShare: number;
};

export type Quantiles = { readonly p50: number; readonly p99: number; readonly max: number };

export type RoundSettings = {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpFactor: number;
  readonly seed: number;
};

/** The generator's process, one run at a time. */
export class LoadGenerator {
  readonly #started: Started;

  constructor(root: string) {
    this.#started = startPinned(
      [process.execPath, path.join(root, 'test', 'bench', 'load-process.ts')],
      processors.rig,
      {},
      true,
    );
  }

  run(job: LoadJob): Promise<LoadResult> {
    const { process: child } = this.#started;
    return new Promise((resolve, reject) => {
      const died = (): void =>
        reject(new Error(`the load generator ended: ${this.#started.output()}`));
      child.once('exit', died);
      child.once('message', (result) => {
        child.off('exit', died);
        resolve(result as LoadResult);
      });
      child.send(job);
    });
  }

  close(): Promise<void> {
    return stop(this.#started);
  }
}

export async function measureWorkload(
  generator: LoadGenerator,
  workload: Workload,
  legs: readonly Leg[],
  settings: RoundSettings,
  onRound: (measurement: Measurement) => void,
): Promise<void> {
  const random = seededRandom(settings.seed);
  const jobs = new Map(legs.map((leg) => [leg, jobOf(workload, leg, settings)]));
  for (const [leg, job] of jobs) {
    const { count, rate } = workload.warmUp;
    const slow = leg.id === 'portkey' || leg.id === 'litellm';
    const warm = {
      count: Math.max(1, Math.round(count * settings.warmUpFactor * (slow ? 0.3 : 1))),
      rate: slow ? rate * 0.3 : rate,
    };
    const result = await generator.run({ ...job, ...warm, seed: 1 });
    if (result.failures > 0)
      process.stderr.write(
        `${workload.id} ${leg.id}: ${result.failures} failures while warming up: ${result.firstFailure}\n`,
      );
  }
  for (let round = 0; round < settings.rounds; round += 1) {
    for (const leg of shuffled(legs, random)) {
      const job = jobs.get(leg);
      if (job)
        onRound(
          await measure(generator, workload, leg, { ...job, seed: settings.seed + round }, round),
        );
    }
  }
}

function jobOf(workload: Workload, leg: Leg, settings: RoundSettings): LoadJob {
  const answerMs = workload.shape.chunks * workload.shape.paceMs;
  return {
    port: leg.port,
    request: requestBytes('/v1/chat/completions', leg.headers(workload), leg.body(workload)),
    rate: workload.rate,
    count: Math.max(3, Math.round(workload.rate * settings.seconds)),
    seed: 0,
    marks: Math.max(1, workload.shape.chunks),
    limitMs: settings.seconds * 1_000 + answerMs + 60_000,
  };
}

async function measure(
  generator: LoadGenerator,
  workload: Workload,
  leg: Leg,
  job: LoadJob,
  round: number,
): Promise<Measurement> {
  await pause(50);
  const before = leg.pid === undefined ? undefined : costOfTree(leg.pid);
  const processorBefore = processorTimes(processors.subject);
  const sampler = new RssSampler(leg.pid);
  const result = await generator.run(job);
  // What was put off until after the answer belongs to it too.
  await pause(100);
  const processorAfter = processorTimes(processors.subject);
  const after = leg.pid === undefined ? undefined : costOfTree(leg.pid);
  const ownMs = after && before ? after.cpuMs - before.cpuMs : 0;
  const units = workload.per === 'request' ? result.answered : result.marks;
  return {
    workload: workload.id,
    leg: leg.id,
    round,
    answered: result.answered,
    marks: result.marks,
    failures: result.failures,
    firstFailure: result.firstFailure,
    elapsedMs: result.elapsedMs,
    cpuMicroseconds: after ? (ownMs * 1_000) / units : NaN,
    rssBytes: sampler.end(),
    firstContentMs: quantiles(result.firstContentMs),
    totalMs: quantiles(result.totalMs),
    gapMs: quantiles(result.gapMs),
    lagMs: quantiles(result.lagMs),
    othersShare: Math.max(
      0,
      (processorAfter.busyMs - processorBefore.busyMs - ownMs) / result.elapsedMs,
    ),
    stolenShare: (processorAfter.stolenMs - processorBefore.stolenMs) / result.elapsedMs,
  };
}

/** The most memory the tree had, looked at four times a second. */
class RssSampler {
  readonly #pid: number | undefined;
  readonly #timer: NodeJS.Timeout;
  #most = 0;

  constructor(pid: number | undefined) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#look(), 250);
  }

  #look(): void {
    if (this.#pid !== undefined) this.#most = Math.max(this.#most, costOfTree(this.#pid).rssBytes);
  }

  end(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.#most;
  }
}

function quantiles(values: ArrayLike<number>): Quantiles {
  return {
    p50: percentile(values, 0.5),
    p99: percentile(values, 0.99),
    max: percentile(values, 1),
  };
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const result = [...values];
  for (let index = result.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    const value = result[index] as T;
    result[index] = result[other] as T;
    result[other] = value;
  }
  return result;
}
