/** W11: clients that leave in the middle of a stream, and clients that stop reading. */

import { openBooks } from '#cli';
import { readConfig, trialStreams } from '../gateway-legs.ts';
import { costOfTree } from '../process-cost.ts';
import { pause } from '../programs.ts';
import { number } from '../report.ts';
import { quantiles, watched } from '../rounds.ts';
import { percentile } from '../statistics.ts';
import { steadyJob, warmUp, withGateway, withUpstream } from './gateway.ts';
import type { Trial } from './trial.ts';

const leavingShare = 0.3;
const streams = trialStreams.beside;

export const leavingClients: Trial = {
  id: 'W11',
  title: 'three clients in ten leave in the middle of their stream',
  run: (context) =>
    withUpstream(context, ['--watch'], ({ port, report }) => {
      const rate = 20;
      const seconds = context.quick ? 4 : 40;
      let configFile = '';
      return withGateway(context, 'w11', { upstreamPort: port }, async (gateway) => {
        ({ configFile } = gateway);
        const { leg } = gateway;
        await warmUp(context, leg, { ...streams, warmUp: { ...streams.warmUp, count: 48 } });
        const filesBefore = costOfTree(leg.pid ?? 0).openFiles;
        const leaving = { share: leavingShare, afterMarks: 50 };
        const result = await context.generator.run({
          ...steadyJob(leg, streams, rate, seconds),
          leaving,
        });
        await pause(2_000);
        const { closed, openSockets } = await report();
        const closedAt = new Map(closed);
        const delays = result.left.flatMap(([request, leftAtMs]) => {
          const at = closedAt.get(request);
          return at === undefined ? [] : [at - leftAtMs];
        });
        const never = result.left.length - delays.length;
        return {
          result,
          delays,
          never,
          openSockets,
          files: [filesBefore, costOfTree(leg.pid ?? 0).openFiles] as const,
        };
      }).then(async ({ result, delays, never, openSockets, files }) => {
        const books = await openBooks(readConfig(configFile), 'checker');
        const page = await books.ledger.statement({ walletId: 'wallet_bench', limit: 100 });
        const verified = await books.ledger.verify();
        await books.store.close();
        const partial = page.receipts.filter(({ usageSource }) => usageSource === 'estimated');
        return [
          {
            what: 'streams',
            value: `${result.answered} read to the end, ${result.left.length} left after 50 chunks, ${result.failures} failed`,
          },
          {
            what: 'from the client leaving to the upstream connection closed',
            value: `p50 ${number(percentile(delays, 0.5), 1)}, p99 ${number(percentile(delays, 0.99), 1)}, max ${number(percentile(delays, 1), 1)} ms`,
          },
          {
            what: 'upstream connections of left streams still open after two seconds',
            value: String(never),
            wrong: never > 0,
          },
          {
            what: 'connections kept for the next request; open files before → after',
            value: `${openSockets}; ${files[0]} → ${files[1]}`,
          },
          {
            what: 'of the last 100 receipts, billed by an estimate of what had arrived',
            value: `${partial.length}, ${partial.filter(({ chargeNanoUsd }) => chargeNanoUsd > 0).length} of them with a charge; ${verified.differenceCount} differences in the books`,
            wrong: !verified.ok,
          },
        ];
      });
    }),
};

const slowCount = 20;
const flood = trialStreams.flood;

export const slowReaders: Trial = {
  id: 'W11-slow',
  title: `${slowCount} readers of 10 MB who stop for five seconds, beside 100 streams`,
  run: (context) =>
    withGateway(context, 'w11-slow', {}, async ({ leg }) => {
      await warmUp(context, leg, streams);
      const rate = 12.5;
      const job = {
        ...steadyJob(leg, streams, rate, 16),
        gapsBetweenMs: [8_000, 16_000] as const,
      };
      const alone = await watched(leg.pid, () => context.generator.run(job));
      let slow = { answered: 0, failures: 0 };
      const beside = await watched(leg.pid, async () => {
        const together = context.generator.run(job);
        await pause(8_000);
        slow = await context.beside.run({
          ...steadyJob(leg, flood, slowCount, 1),
          slow: { share: 1, pauseMs: 5_000 },
        });
        return together;
      });
      const gaps = [alone, beside].map(({ result }) => number(quantiles(result.gapMs).p99, 1));
      return [
        {
          what: 'slow readers with the whole answer',
          value: `${slow.answered} of ${slowCount}`,
          wrong: slow.answered < slowCount,
        },
        {
          what: 'most memory, alone → beside',
          value: `${number(alone.rssBytes / 2 ** 20, 0)} → ${number(beside.rssBytes / 2 ** 20, 0)} MiB (they had ${slowCount * 10} MB to read)`,
        },
        { what: 'gap p99 of the other streams, alone → beside', value: `${gaps.join(' → ')} ms` },
        {
          what: 'failures of the other streams',
          value: [alone, beside]
            .map(({ result }) => `${result.failures} ${JSON.stringify(result.failureKinds)}`)
            .join(' → '),
        },
      ];
    }),
};
