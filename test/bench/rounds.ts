/** One workload over all legs: warmed up, then round after round in a new order each time. */

import { hash } from 'node:crypto';
import type { LoadGenerator } from './generator.ts';
import type { Leg } from './leg.ts';
import type { LoadJob, LoadResult } from './load.ts';
import { costOfTree, processorTimes } from './process-cost.ts';
import { pause, processors } from './programs.ts';
import { unitLeg } from './report.ts';
import { percentile, seededRandom } from './statistics.ts';
import type { Workload } from './workloads.ts';

export type Measurement = {
  readonly workload: string;
  readonly leg: string;
  /** Requests a second that were offered. */
  readonly rate: number;
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
  /** What disturbed the round; such rounds count only where there are too few undisturbed ones. */
  readonly disturbances: readonly string[];
};

export type Quantiles = {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
};

export type RoundSettings = {
  readonly rounds: number;
  readonly seconds: number;
  readonly seed: number;
  /** Instead of the workload's own rates. */
  readonly rate: number | undefined;
  /** Longest warm-up of one leg. */
  readonly warmUpMs: number;
  /** When no further round begins, by `performance.now`; two rounds are measured in any case. */
  readonly endsAtMs: number;
};

/** What a leg showed while it was warmed up. */
export type Capacity = {
  readonly leg: string;
  /** Requests a second when the next one follows the last. */
  readonly perSecond: number;
  /** More than that was not offered, because streams take their time. */
  readonly offered: number;
};

type Entry = { readonly leg: Leg; readonly rate: number };

/** The share of what a leg can bear at which it is asked, so that queues do not build up. */
const loadShare = 0.6;
const roundsMin = 2;

export async function measureWorkload(
  generator: LoadGenerator,
  workload: Workload,
  legs: readonly Leg[],
  settings: RoundSettings,
  tell: {
    readonly warm: (capacity: Capacity) => void;
    readonly round: (measurement: Measurement) => void;
  },
  /** What was found out in earlier workloads; a proxy is asked the same in several of them. */
  known: Map<string, Capacity>,
): Promise<void> {
  const random = seededRandom(settings.seed);
  const entries: Entry[] = [];
  for (const leg of legs) {
    const question = `${leg.id} ${hash('sha256', leg.request(workload))}`;
    const capacity =
      known.get(question) ?? (await warmUp(generator, workload, leg, settings.warmUpMs));
    known.set(question, capacity);
    tell.warm(capacity);
    entries.push({ leg, rate: settings.rate ?? rateFor(workload, capacity) });
  }
  const all = withFloors(entries);
  for (let round = 0; round < settings.rounds; round += 1) {
    if (round >= roundsMin && performance.now() > settings.endsAtMs) return;
    for (const entry of shuffled(all, random))
      tell.round(await measure(generator, workload, entry, settings, round));
  }
}

/** The floor at every rate that any leg is asked at, so that each is compared with its like. */
export function withFloors(entries: readonly Entry[]): readonly Entry[] {
  const rates = new Set(entries.map(({ rate }) => rate));
  const floors = entries.filter(({ leg }) => leg.id === 'direct' || leg.id === unitLeg);
  const more = floors.flatMap(({ leg, rate }) =>
    [...rates].filter((each) => each !== rate).map((each) => ({ leg, rate: each })),
  );
  return [...entries, ...more];
}

/** The first rate of the workload that leaves room; the last one when none does. */
export function rateFor({ rates }: Pick<Workload, 'rates'>, capacity: Capacity): number {
  const { perSecond, offered } = capacity;
  // A leg that kept up with everything offered has shown no limit.
  const bearable = perSecond >= offered * 0.85 ? offered : perSecond * loadShare;
  return rates.find((rate) => rate <= bearable) ?? rates.at(-1) ?? 1;
}

async function warmUp(
  generator: LoadGenerator,
  workload: Workload,
  leg: Leg,
  warmUpMs: number,
): Promise<Capacity> {
  const { count, atOnce } = workload.warmUp;
  const limitMs = Math.min(workload.warmUp.limitMs, warmUpMs);
  const job = { ...jobOf(workload, leg), rate: 0, atOnce, limitMs, seed: 1 };
  if (leg.warmsUp) {
    const result = await generator.run({ ...job, count });
    if (result.failures > 0)
      process.stderr.write(
        `${workload.id} ${leg.id}: failures while warming up: ${JSON.stringify(result.failureKinds)}\n`,
      );
    if (result.answered < count)
      process.stderr.write(
        `${workload.id} ${leg.id}: warmed up with ${result.answered} of ${count} requests in ${limitMs / 1_000} s\n`,
      );
  }
  const tried = await generator.run({ ...job, count: Math.max(atOnce * 2, count / 10) });
  const streamSeconds = (workload.shape.chunks * workload.shape.paceMs) / 1_000;
  return {
    leg: leg.id,
    perSecond: tried.answered / (tried.elapsedMs / 1_000),
    offered: streamSeconds === 0 ? Infinity : atOnce / streamSeconds,
  };
}

function jobOf(
  workload: Workload,
  leg: Leg,
): Pick<LoadJob, 'port' | 'requests' | 'mark' | 'marks'> {
  return {
    port: leg.port,
    requests: [leg.request(workload)],
    mark: leg.mark(workload),
    marks: Math.max(1, workload.shape.chunks),
  };
}

async function measure(
  generator: LoadGenerator,
  workload: Workload,
  { leg, rate }: Entry,
  { seconds, seed }: RoundSettings,
  round: number,
): Promise<Measurement> {
  const streamMs = workload.shape.chunks * workload.shape.paceMs;
  const job = {
    ...jobOf(workload, leg),
    rate,
    count: Math.max(3, Math.round(rate * seconds)),
    seed: seed + round,
    limitMs: seconds * 1_000 + streamMs + 60_000,
  };
  const { result, cpuMs, ...rest } = await watched(leg.pid, () => generator.run(job));
  const units = workload.per === 'request' ? result.answered : result.marks;
  const measurement = {
    workload: workload.id,
    leg: leg.id,
    rate,
    round,
    answered: result.answered,
    marks: result.marks,
    failures: result.failures,
    firstFailure: result.firstFailure,
    elapsedMs: result.elapsedMs,
    cpuMicroseconds: leg.pid === undefined ? NaN : (cpuMs * 1_000) / units,
    firstContentMs: quantiles(result.firstContentMs),
    totalMs: quantiles(result.totalMs),
    gapMs: quantiles(result.gapMs),
    lagMs: quantiles(result.lagMs),
    ...rest,
  };
  const generatorShare = result.generatorCpuMs / result.elapsedMs;
  return { ...measurement, disturbances: disturbancesOf(measurement, generatorShare) };
}

type Disturbed = Pick<Measurement, 'failures' | 'othersShare' | 'stolenShare' | 'lagMs'>;

export function disturbancesOf(
  { failures, othersShare, stolenShare, lagMs }: Disturbed,
  generatorShare: number,
): readonly string[] {
  return [
    ...(failures > 0 ? ['failures'] : []),
    ...(othersShare > 0.05 ? ['other programs'] : []),
    ...(stolenShare > 0.01 ? ['stolen time'] : []),
    // The timer of the generator wakes it every millisecond.
    ...(lagMs.p99 > 2 ? ['late generator'] : []),
    ...(generatorShare > 0.8 ? ['busy generator'] : []),
  ];
}

export type Watched = {
  readonly result: LoadResult;
  /** CPU time of the process tree. */
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly othersShare: number;
  readonly stolenShare: number;
};

/** Runs a load and says what it cost the tree of `pid`. */
export async function watched(
  pid: number | undefined,
  load: () => Promise<LoadResult>,
): Promise<Watched> {
  await pause(50);
  const before = pid === undefined ? undefined : costOfTree(pid);
  const processorBefore = processorTimes(processors.subject);
  const began = performance.now();
  const sampler = new RssSampler(pid);
  const result = await load();
  // What was put off until after the answer belongs to it too.
  await pause(100);
  const elapsedMs = performance.now() - began;
  const processorAfter = processorTimes(processors.subject);
  const after = pid === undefined ? undefined : costOfTree(pid);
  const cpuMs = after && before ? after.cpuMs - before.cpuMs : 0;
  const busyMs = processorAfter.busyMs - processorBefore.busyMs;
  return {
    result,
    cpuMs,
    rssBytes: sampler.end(),
    othersShare: Math.max(0, (busyMs - cpuMs) / elapsedMs),
    stolenShare: (processorAfter.stolenMs - processorBefore.stolenMs) / elapsedMs,
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

export function quantiles(values: ArrayLike<number>): Quantiles {
  return {
    p50: percentile(values, 0.5),
    p99: percentile(values, 0.99),
    p999: percentile(values, 0.999),
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
