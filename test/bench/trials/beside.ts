/** What other load does to traffic beside it: W9, W10 and the control plane. */

import { randomBytes } from 'node:crypto';
import { trialStreams } from '../gateway-legs.ts';
import type { Leg } from '../leg.ts';
import { legStarters } from '../legs.ts';
import type { LoadJob, LoadResult } from '../load.ts';
import { pause } from '../programs.ts';
import { number, withInterval } from '../report.ts';
import { quantiles, watched } from '../rounds.ts';
import { interval, median, pairedDifference, pairedRatio } from '../statistics.ts';
import { clientPaths, modelOf, requestBytes, workloadOf } from '../workloads.ts';
import { steadyJob, warmUp, withGateway } from './gateway.ts';
import type { Finding, Trial, TrialContext } from './trial.ts';

const streams = trialStreams.beside;
const streamsAtOnce = 200;
const streamSeconds = (streams.shape.chunks * streams.shape.paceMs) / 1_000;

type Pair = {
  readonly alone: LoadResult;
  readonly beside: LoadResult;
  readonly other: LoadResult;
};

const sizes = (quick: boolean) => (quick ? { pairs: 1, seconds: 4 } : { pairs: 5, seconds: 12 });

/** 200 streams alone and then with other load, several times in turn; only gaps of that time count. */
async function streamPairs(
  { generator, beside, quick }: TrialContext,
  leg: Leg,
  otherLoad: (seconds: number) => LoadJob,
): Promise<readonly Pair[]> {
  const { pairs, seconds } = sizes(quick);
  const rate = streamsAtOnce / streamSeconds;
  const job = {
    ...steadyJob(leg, streams, rate, streamSeconds + seconds),
    gapsBetweenMs: [streamSeconds * 1_000, (streamSeconds + seconds) * 1_000] as const,
  };
  const found: Pair[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    const seed = pair + 1;
    const alone = await generator.run({ ...job, seed });
    const together = generator.run({ ...job, seed });
    await pause(streamSeconds * 1_000);
    const other = await beside.run({ ...otherLoad(seconds), seed });
    found.push({ alone, beside: await together, other });
  }
  return found;
}

function gapFindings(pairs: readonly Pair[], name: string): readonly Finding[] {
  const gaps = (pick: 'alone' | 'beside'): number[] =>
    pairs.map((pair) => quantiles(pair[pick].gapMs).p99);
  const failures = (pick: keyof Pair): string => {
    const kinds = pairs.flatMap((pair) => Object.keys(pair[pick].failureKinds));
    const count = pairs.reduce((sum, pair) => sum + pair[pick].failures, 0);
    return count === 0 ? '0' : `${count} (${[...new Set(kinds)].join(', ')})`;
  };
  const [alone, beside] = [gaps('alone'), gaps('beside')];
  return [
    {
      what: `${name}: gap p99 of ${streamsAtOnce} streams with a chunk every ${streams.shape.paceMs} ms, alone → beside`,
      value: `${number(median(alone), 1)} → ${number(median(beside), 1)} ms, ratio ${withInterval(pairedRatio(beside, alone), 2)}, ${pairs.length} pairs`,
    },
    {
      what: `${name}: failures`,
      value: `streams alone ${failures('alone')}, beside ${failures('beside')}, other load ${failures('other')}`,
    },
  ];
}

const floodPerSecond = 2_000;

export const invalidKeys: Trial = {
  id: 'W9',
  title: `${floodPerSecond} requests/s with invalid keys beside 200 streams`,
  run: (context) =>
    withGateway(context, 'w9', {}, async ({ leg }) => {
      const workload = workloadOf('W1');
      const body = workload.body(modelOf(workload), 'chat');
      const requests = Array.from({ length: 1_000 }, () =>
        requestBytes(
          clientPaths.chat,
          { authorization: `Bearer sk-${randomBytes(24).toString('base64url')}` },
          body,
        ),
      );
      const flood = (rate: number, count: number): LoadJob => ({
        ...steadyJob(leg, workload, rate, 1),
        requests,
        count,
        status: 401,
        marks: 0,
      });
      await warmUp(context, leg, streams);
      const count = context.quick ? 2_000 : 20_000;
      const jam = { ...flood(1, count), atOnce: 16, limitMs: 60_000 };
      await context.generator.run(jam);
      const { result, cpuMs } = await watched(leg.pid, () => context.generator.run(jam));
      const pairs = await streamPairs(context, leg, (seconds) =>
        flood(floodPerSecond, floodPerSecond * seconds),
      );
      return [
        {
          what: 'a refused request, 16 at once',
          value: `${number((cpuMs * 1_000) / result.answered, 0)} CPU µs, ${number(result.answered / (result.elapsedMs / 1_000), 0)}/s, ${result.failures} other answers`,
        },
        ...gapFindings(pairs, 'manifold'),
      ];
    }),
};

export const headOfLine: Trial = {
  id: 'W10',
  title: '1 MB pictures and 400 KB conversations, 5/s together, beside 200 streams',
  async run(context) {
    const findings: Finding[] = [];
    for (const id of ['node-dispatch', 'manifold']) {
      const leg = await legStarters[id]?.(id, context);
      if (leg === undefined || 'missing' in leg) continue;
      try {
        const big = ['W3', 'W4-messages'].map(workloadOf);
        for (const workload of [...big, streams]) await warmUp(context, leg, workload);
        const requests = big.map((workload) => leg.request(workload));
        const pairs = await streamPairs(context, leg, (seconds) => ({
          ...steadyJob(leg, workloadOf('W3'), 5, seconds),
          requests,
        }));
        findings.push(...gapFindings(pairs, id));
      } finally {
        await leg.stop();
      }
    }
    return findings;
  },
};

const operatorToken = 'operator-token-of-the-benchmark-only';
const operatorPaths = [
  '/admin/wallets/wallet_bench',
  '/admin/keys',
  '/admin/wallets/wallet_bench/statement?limit=50',
  '/admin/accounts',
];
const operatorRate = 50;

export const operatorLoad: Trial = {
  id: 'control',
  title: `the control API asked ${operatorRate} times a second beside small chats`,
  run: (context) =>
    withGateway(
      context,
      'control',
      { settings: { operator_token: operatorToken } },
      async ({ leg }) => {
        const workload = workloadOf('W1');
        await warmUp(context, leg, workload);
        const { pairs, seconds } = sizes(context.quick);
        const rate = 200;
        const chats = steadyJob(leg, workload, rate, seconds);
        const headers = { authorization: `Bearer ${operatorToken}` };
        const operator: LoadJob = {
          ...steadyJob(leg, workload, operatorRate, seconds),
          requests: operatorPaths.map((path) => requestBytes(path, headers, '', 'GET')),
          marks: 0,
        };
        await context.generator.run({ ...operator, count: operatorRate });
        const found: Pair[] = [];
        for (let pair = 0; pair < pairs; pair += 1) {
          const seed = pair + 1;
          const alone = await context.generator.run({ ...chats, seed });
          const [beside, other] = await Promise.all([
            context.generator.run({ ...chats, seed }),
            context.beside.run({ ...operator, seed }),
          ]);
          found.push({ alone, beside, other });
        }
        return operatorFindings(found, rate);
      },
    ),
};

function operatorFindings(pairs: readonly Pair[], rate: number): readonly Finding[] {
  const times = (pick: 'alone' | 'beside', quantile: 'p50' | 'p99'): number[] =>
    pairs.map((pair) => quantiles(pair[pick].totalMs)[quantile]);
  const line = (quantile: 'p50' | 'p99'): Finding => {
    const [alone, beside] = [times('alone', quantile), times('beside', quantile)];
    return {
      what: `${quantile} of small chats at ${rate}/s, alone → beside`,
      value: `${number(median(alone), 1)} → ${number(median(beside), 1)} ms, change ${withInterval(pairedDifference(beside, alone), 2)} ms, ${pairs.length} pairs`,
    };
  };
  const own = interval(pairs.map(({ other }) => quantiles(other.totalMs).p99));
  const failures = pairs.reduce(
    (sum, { alone, beside, other }) => sum + alone.failures + beside.failures + other.failures,
    0,
  );
  return [
    line('p50'),
    line('p99'),
    { what: 'p99 of the control API itself', value: `${withInterval(own, 0)} ms` },
    { what: 'failures', value: String(failures) },
  ];
}
