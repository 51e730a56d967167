/** What durable billing takes of the throughput: both programs are up, and take turns. */

import type { Leg } from '../leg.ts';
import { legStarters } from '../legs.ts';
import { number, withInterval } from '../report.ts';
import { watched } from '../rounds.ts';
import { interval, pairedDifference, pairedRatio } from '../statistics.ts';
import { workloadOf } from '../workloads.ts';
import { steadyJob } from './gateway.ts';
import type { Finding, Trial, TrialContext } from './trial.ts';

const atOnce = 100;
const limitMs = 120_000;

type Readings = {
  readonly perSecond: number[];
  readonly cpuMicroseconds: number[];
};

export const billingTax: Trial = {
  id: 'tax',
  title: `small chats, ${atOnce} at once, with the ledger and without`,
  async run(context) {
    const legs: Leg[] = [];
    try {
      for (const id of ['manifold', 'manifold-unbilled']) {
        const leg = await legStarters[id]?.(id, context);
        if (leg && !('missing' in leg)) legs.push(leg);
      }
      return await compare(context, legs);
    } finally {
      for (const leg of legs) await leg.stop();
    }
  },
};

async function compare(context: TrialContext, legs: readonly Leg[]): Promise<readonly Finding[]> {
  const { pairs, count, warmUp } = context.quick
    ? { pairs: 3, count: 500, warmUp: 2_000 }
    : { pairs: 24, count: 4_000, warmUp: 40_000 };
  let failures = 0;
  const read = async (leg: Leg, requests: number) => {
    const job = { ...steadyJob(leg, workloadOf('W1'), 1, 1), atOnce, count: requests, limitMs };
    const { result, cpuMs } = await watched(leg.pid, () => context.generator.run(job));
    failures += result.failures;
    return {
      perSecond: (result.answered * 1_000) / result.elapsedMs,
      cpuMicroseconds: (cpuMs * 1_000) / result.answered,
    };
  };
  const readings = new Map<Leg, Readings>();
  for (const leg of legs) {
    await read(leg, warmUp);
    readings.set(leg, { perSecond: [], cpuMicroseconds: [] });
  }
  for (let pair = 0; pair < pairs; pair += 1)
    for (const leg of pair % 2 === 0 ? legs : legs.toReversed()) {
      const { perSecond, cpuMicroseconds } = await read(leg, count);
      readings.get(leg)?.perSecond.push(perSecond);
      readings.get(leg)?.cpuMicroseconds.push(cpuMicroseconds);
    }
  const [billed, unbilled] = [...readings.values()];
  if (!billed || !unbilled) return [{ what: 'a leg', value: 'is missing', wrong: true }];
  return [...findingsOf(billed, unbilled), { what: 'failures', value: String(failures) }];
}

function findingsOf(billed: Readings, unbilled: Readings): readonly Finding[] {
  const taken = pairedRatio(billed.perSecond, unbilled.perSecond);
  const percent = (share: number): string => number((1 - share) * 100, 1);
  return [
    {
      what: 'requests/s with and without',
      value: `${withInterval(interval(billed.perSecond), 0)} and ${withInterval(interval(unbilled.perSecond), 0)}`,
    },
    {
      what: `what billing takes of the throughput (${billed.perSecond.length} pairs)`,
      value: `${percent(taken.median)} % [${percent(taken.high)}, ${percent(taken.low)}]`,
    },
    {
      what: 'CPU µs a request with and without, and the difference',
      value: `${withInterval(interval(billed.cpuMicroseconds), 0)} and ${withInterval(interval(unbilled.cpuMicroseconds), 0)}, ${withInterval(pairedDifference(billed.cpuMicroseconds, unbilled.cpuMicroseconds), 0)}`,
    },
  ];
}
