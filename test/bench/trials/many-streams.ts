/** W6: thousands of slow streams at once. */

import { trialStreams } from '../gateway-legs.ts';
import type { Leg } from '../leg.ts';
import { legStarters } from '../legs.ts';
import { costOfTree } from '../process-cost.ts';
import { number } from '../report.ts';
import { quantiles, watched } from '../rounds.ts';
import { steadyJob } from './gateway.ts';
import type { Finding, Trial, TrialContext } from './trial.ts';

const workload = trialStreams.minute;
const openedPerSecond = 500;

export const manyStreams: Trial = {
  id: 'W6',
  title: '5,000 streams at once, two chunks a second each, for a minute',
  async run(context) {
    const findings: Finding[] = [];
    // The direct leg has no process to look at, and the others would need twice the sockets.
    for (const id of context.legs.filter((each) => each !== 'direct')) {
      const leg = await legStarters[id]?.(id, context);
      if (leg === undefined || 'missing' in leg) {
        findings.push({ what: id, value: `NOT MEASURED: ${leg?.missing ?? 'no such leg'}` });
        continue;
      }
      try {
        findings.push({ what: id, value: await openStreams(context, leg) });
      } finally {
        await leg.stop();
      }
    }
    return findings;
  },
};

async function openStreams({ generator, quick }: TrialContext, leg: Leg): Promise<string> {
  const streams = quick ? 500 : 5_000;
  // A few first, so that code and pools are there before memory is compared.
  await generator.run(steadyJob(leg, trialStreams.beside, 20, 2));
  const before = costOfTree(leg.pid ?? 0).rssBytes;
  const job = steadyJob(leg, workload, openedPerSecond, streams / openedPerSecond);
  const openMs = (streams / openedPerSecond) * 1_000;
  const streamMs = workload.shape.chunks * workload.shape.paceMs;
  const gapsBetweenMs = [openMs + 1_000, streamMs] as const;
  const { result, cpuMs, rssBytes } = await watched(leg.pid, () =>
    generator.run({ ...job, gapsBetweenMs }),
  );
  const gap = quantiles(result.gapMs);
  const lost = streams * workload.shape.chunks - result.marks;
  const perStream = (rssBytes - before) / streams / 1_024;
  return [
    `${result.answered} of ${streams} streams, ${result.failures} failed, ${lost} chunks lost`,
    `RSS ${number(rssBytes / 2 ** 20, 0)} MiB at most, ${number(perStream, 1)} KiB a stream`,
    `${number((cpuMs * 1_000) / result.marks, 1)} CPU µs a chunk`,
    `gap beyond the pace p50 ${number(gap.p50 - workload.shape.paceMs, 1)} ms, p99 ${number(gap.p99 - workload.shape.paceMs, 1)} ms`,
    `first content p99 ${number(quantiles(result.firstContentMs).p99, 0)} ms`,
    ...(result.failures > 0 ? [JSON.stringify(result.failureKinds)] : []),
  ].join('; ');
}
