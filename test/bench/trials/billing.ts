/**
 * W7: small chats and streams with a thousand keys of which one asks a third of
 * the time; then `kill -9` at a moment drawn by lot, a restart, and the books compared with
 * what the clients saw. `npm run test:crash gateway-kill` does it hundreds of times with vendors that
 * bill by themselves; this is the same under load.
 */

import { openBooks } from '#cli';
import type { Receipt } from '#ledger';
import { readConfig, startServer } from '../gateway-legs.ts';
import type { LoadResult } from '../load.ts';
import { pause, stop } from '../programs.ts';
import { number } from '../report.ts';
import { workloadOf } from '../workloads.ts';
import { steadyJob, warmUp, withGateway } from './gateway.ts';
import type { Finding, Trial, TrialContext } from './trial.ts';

const rates = { W1: 150, W2: 5 } as const;

type Life = {
  readonly whole: LoadResult;
  readonly stream: LoadResult;
  /** Asked before the load began: what warmed the gateway up. */
  readonly warmed: number;
  readonly configFile: string;
};

export const billingProof: Trial = {
  id: 'W7',
  title: 'a thousand keys, then kill -9, then the books',
  async run(context) {
    const seconds = context.quick ? 4 : 30;
    const killAtMs = seconds * 1_000 * (0.5 + Math.random() / 2);
    const keys = context.quick ? 50 : 1_000;
    const life = await withGateway(context, 'w7', { keys }, async (gateway) => {
      const { leg, started, configFile } = gateway;
      const warmed = await warmUp(context, leg, { ...workloadOf('W1'), warmUp: warm });
      const all = Array.from({ length: keys }, (_, index) => (index % 3 === 0 ? 0 : index));
      const job = (id: 'W1' | 'W2') => {
        const workload = workloadOf(id);
        const requests = all.map((index) => leg.request(workload, index));
        return { ...steadyJob(leg, workload, rates[id], seconds), requests };
      };
      const both = Promise.all([context.generator.run(job('W1')), context.beside.run(job('W2'))]);
      await pause(killAtMs);
      started.process.kill('SIGKILL');
      const [whole, stream] = await both;
      return { whole, stream, warmed: warmed.answered, configFile } satisfies Life;
    });
    return [
      { what: 'killed after', value: `${number(killAtMs / 1_000, 1)} s of load with ${keys} keys` },
      ...(await recovered(context, life)),
    ];
  },
};

const warm = { count: 500, atOnce: 8, limitMs: 30_000 };

async function recovered({ root }: TrialContext, life: Life): Promise<readonly Finding[]> {
  const began = performance.now();
  const { started } = await startServer(root, life.configFile);
  const readyMs = performance.now() - began;
  await stop(started);
  const books = await openBooks(readConfig(life.configFile), 'checker');
  try {
    const verified = await books.ledger.verify();
    const receipts: Receipt[] = [];
    for (let before: string | undefined, more = true; more;) {
      const query = { walletId: 'wallet_bench', limit: 100, ...(before ? { before } : {}) };
      const page = await books.ledger.statement(query);
      receipts.push(...page.receipts);
      before = page.next;
      more = before !== undefined;
    }
    const { pendingNanoUsd } = await books.ledger.balance('wallet_bench');
    return [
      { what: 'restart with recovery', value: `${number(readyMs, 0)} ms until it listens` },
      ...compare(life, receipts),
      {
        what: 'money still held',
        value: `${pendingNanoUsd} nano-dollars`,
        wrong: pendingNanoUsd !== 0,
      },
      {
        what: 'books computed again',
        value: `${verified.receipts} receipts, ${verified.transfers} transfers, ${verified.differenceCount} differences`,
        wrong: !verified.ok,
      },
    ];
  } finally {
    await books.store.close();
  }
}

/** What the clients saw against what was charged. */
function compare({ whole, stream, warmed }: Life, all: readonly Receipt[]): readonly Finding[] {
  const charged = all.filter(({ kind, chargeNanoUsd }) => kind === 'usage' && chargeNanoUsd > 0);
  const requests = new Set(charged.map(({ requestId }) => requestId));
  const seen = warmed + whole.answered + stream.answered;
  const charges = new Map<number, number>();
  for (const { chargeNanoUsd } of charged)
    charges.set(chargeNanoUsd, (charges.get(chargeNanoUsd) ?? 0) + 1);
  return [
    {
      what: 'answers that clients saw to the end; requests charged',
      value: `${seen}; ${requests.size} (${requests.size - seen} were charged and not seen: the client was cut off after the settlement)`,
      wrong: requests.size < seen,
    },
    {
      what: 'charges beyond one for a request',
      value: String(charged.length - requests.size),
      wrong: charged.length > requests.size,
    },
    {
      what: 'different amounts',
      value: [...charges].map(([amount, count]) => `${count} × ${amount} nano-dollars`).join(', '),
    },
  ];
}
