/** W8: one upstream answer in ten fails before its content, and another channel takes over. */

import { number } from '../report.ts';
import { quantiles } from '../rounds.ts';
import { workloadOf } from '../workloads.ts';
import { steadyJob, warmUp, withGateway, withUpstream } from './gateway.ts';
import type { Finding, Trial, TrialContext } from './trial.ts';

const rates = { W1: 100, W2: 5 } as const;

export const upstreamFaults: Trial = {
  id: 'W8',
  title: 'one request in ten is refused, limited, cut or (streams) never answered; three channels',
  async run(context) {
    const findings: Finding[] = [];
    for (const words of [[], ['--tenth']]) {
      const name = words.length === 0 ? 'without faults' : 'with faults';
      findings.push(
        ...(await withUpstream(context, words, ({ port, report }) =>
          withGateway(
            context,
            `w8-${words.length}`,
            { upstreamPort: port, channelsEach: 3 },
            async ({ leg }) => {
              await warmUp(context, leg, workloadOf('W1'));
              const before = (await report()).asked;
              const lines = await ask(context, leg, name);
              const asked = (await report()).asked - before;
              const attempts = asked / lines.requests;
              const what = `${name}: attempts a request`;
              return [...lines.findings, { what, value: number(attempts, 3) }];
            },
          ),
        )),
      );
    }
    return findings;
  },
};

async function ask(
  { generator, beside, quick }: TrialContext,
  leg: Parameters<typeof steadyJob>[0],
  name: string,
): Promise<{ readonly findings: readonly Finding[]; readonly requests: number }> {
  const seconds = quick ? 5 : 60;
  const jobs = [
    steadyJob(leg, workloadOf('W1'), rates.W1, seconds),
    steadyJob(leg, workloadOf('W2'), rates.W2, seconds),
  ] as const;
  const [whole, stream] = await Promise.all([generator.run(jobs[0]), beside.run(jobs[1])]);
  const findings = [
    { kind: 'small chats', result: whole, times: quantiles(whole.totalMs) },
    { kind: 'streams', result: stream, times: quantiles(stream.firstContentMs) },
  ].map(({ kind, result, times }) => ({
    what: `${name}: ${kind}`,
    value: `${result.answered} of ${result.answered + result.failures} right (${number((result.answered / (result.answered + result.failures)) * 100, 3)} %), first content p50 ${number(times.p50, 1)}, p99 ${number(times.p99, 0)}, max ${number(times.max, 0)} ms${result.failures > 0 ? `, ${JSON.stringify(result.failureKinds)}` : ''}`,
  }));
  return { findings, requests: jobs[0].count + jobs[1].count };
}
