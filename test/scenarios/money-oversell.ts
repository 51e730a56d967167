/**
 * Many streams at once on a wallet that does not pay for all of them: the balance is never negative,
 * what can be afforded is not refused, and receipts, ledger and the vendors' own bill agree.
 */

import { rate } from '#metering';
import type { BillEntry, Rule } from '#simulator';
import type { Receipt } from '#ledger';
import { asObjects, seededRandom, type Random } from '#std';
import { clientDialects } from './money-dialects.ts';
import { recordOf, startRig, type Rig } from './rig.ts';

export type OversellReport = {
  readonly streams: number;
  readonly served: number;
  readonly lowered: number;
  readonly refusals: number;
  /** Refusals at whose moment the wallet had the least that the request needs. */
  readonly falseRefusals: number;
  readonly lowestAvailableNanoUsd: number;
  readonly looks: number;
  readonly receiptsNanoUsd: number;
  readonly ledgerNanoUsd: number;
  /** What the vendors bill, without the attempts that were left. */
  readonly vendorsNanoUsd: number;
  /** Attempts that were left because nothing came in time: a starved machine has them, and we bear their cost. */
  readonly leftAttempts: number;
  readonly leftNanoUsd: number;
  readonly revenueNanoUsd: number;
  readonly pendingNanoUsd: number;
  readonly differences: number;
};

const prices = {
  cheap: { input: '0.1', output: '0.4' },
  middle: { input: '1', output: '5' },
  dear: { input: '3', output: '15' },
} as const;

type Model = keyof typeof prices;

const models = Object.keys(prices) as Model[];

export async function runOversell(
  streams: number,
  balanceUsd: number,
  seed: number,
  rules: readonly Rule[] = [],
): Promise<OversellReport> {
  const random = seededRandom(seed);
  // One vendor model for each price, so that the vendor's bill says which price applies.
  const offers = Object.fromEntries(
    models.map((model) => [
      model,
      { name: `vendor-${model}`, prices: prices[model], output_tokens: 4_096 },
    ]),
  );
  const simulator = { paceMs: 2 };
  const rig = await startRig({
    balanceUsd,
    vendors: [
      { id: 'one', channel: { models: offers, abort_stops_billing: 'yes' }, simulator, rules },
      { id: 'two', channel: { models: offers, abort_stops_billing: 'no' }, simulator },
    ],
  });
  try {
    const watch = watchLedger(rig);
    const served = await Promise.all(
      Array.from({ length: streams }, (_, index) => askUntilServed(rig, index, random)),
    );
    return {
      streams,
      served: served.filter((answer) => answer.served).length,
      lowered: served.filter((answer) => answer.lowered).length,
      ...watch,
      ...(await balanceOfAll(rig, balanceUsd)),
    };
  } finally {
    await rig.close();
  }
}

const triesMax = 12;

async function askUntilServed(
  rig: Rig,
  index: number,
  random: Random,
): Promise<{ readonly served: boolean; readonly lowered: boolean }> {
  const client = clientDialects[index % clientDialects.length];
  const model = models[Math.floor(random() * models.length)] ?? 'cheap';
  const outputTokensMax = 50 + Math.floor(random() * 1_900);
  const question = `Tell ${index} in ${20 + Math.floor(random() * 180)} words`;
  for (let tries = 0; client && tries < triesMax; tries += 1) {
    const response = await rig.post(
      client.path(model, true),
      client.body(model, question, true, outputTokensMax),
    );
    await response.text();
    if (response.status === 200)
      return { served: true, lowered: response.headers.get('x-manifold-max-tokens') !== null };
    await new Promise((turn) => setTimeout(turn, 100 + random() * 400));
  }
  return { served: false, lowered: false };
}

type Watch = {
  refusals: number;
  falseRefusals: number;
  lowestAvailableNanoUsd: number;
  looks: number;
};

/** Looks at the wallet after every commit that concerns it, and judges every refusal. */
function watchLedger(rig: Rig): Watch {
  const { ledger } = rig.books;
  const watch: Watch = {
    refusals: 0,
    falseRefusals: 0,
    lowestAvailableNanoUsd: Number.MAX_SAFE_INTEGER,
    looks: 0,
  };
  const look = async (): Promise<number> => {
    const { availableNanoUsd, postedNanoUsd, pendingNanoUsd } = await ledger.balance(rig.walletId);
    watch.looks += 1;
    watch.lowestAvailableNanoUsd = Math.min(
      watch.lowestAvailableNanoUsd,
      availableNanoUsd,
      postedNanoUsd,
      postedNanoUsd - pendingNanoUsd,
    );
    return availableNanoUsd;
  };
  const reserve = ledger.reserve.bind(ledger);
  const settle = ledger.settle.bind(ledger);
  const extend = ledger.extend.bind(ledger);
  Object.assign(ledger, {
    reserve: async (request: Parameters<typeof reserve>[0]) => {
      const result = await reserve(request);
      await look();
      if (!result.ok && result.error === 'insufficient_balance') {
        watch.refusals += 1;
        if (result.availableNanoUsd >= (request.minimumNanoUsd ?? request.amountNanoUsd))
          watch.falseRefusals += 1;
      }
      return result;
    },
    settle: async (settlement: Parameters<typeof settle>[0]) => {
      const result = await settle(settlement);
      await look();
      return result;
    },
    extend: async (request: Parameters<typeof extend>[0]) => {
      const result = await extend(request);
      await look();
      return result;
    },
  });
  return watch;
}

async function balanceOfAll(rig: Rig, balanceUsd: number) {
  const { ledger } = rig.books;
  const receipts: Receipt[] = [];
  for (let before: string | undefined; ;) {
    const page = await ledger.statement({
      walletId: rig.walletId,
      limit: 500,
      ...(before === undefined ? {} : { before }),
    });
    receipts.push(...page.receipts.filter((receipt) => receipt.requestId !== undefined));
    before = page.next;
    if (before === undefined) break;
  }
  const { postedNanoUsd, pendingNanoUsd } = await ledger.balance(rig.walletId);
  const [revenue] = await ledger.accounts('revenue');
  return {
    receiptsNanoUsd: receipts.reduce((sum, receipt) => sum + receipt.chargeNanoUsd, 0),
    ledgerNanoUsd: Math.round(balanceUsd * 1e9) - postedNanoUsd,
    ...(await vendorsBill(rig, receipts)),
    revenueNanoUsd: Number((revenue?.creditsNanoUsd ?? 0n) - (revenue?.debitsNanoUsd ?? 0n)),
    pendingNanoUsd,
    differences: (await ledger.verify()).differenceCount,
  };
}

/**
 * What the vendors' own meters say, at the prices of the book. Set apart is only what the books themselves
 * know as a call that failed for want of an answer in time; any other call has to be in somebody's charge.
 */
async function vendorsBill(rig: Rig, receipts: readonly Receipt[]) {
  const sums = { vendorsNanoUsd: 0, leftAttempts: 0, leftNanoUsd: 0 };
  const left = await leftAttempts(rig, receipts);
  for (const vendor of Object.values(rig.vendors)) {
    for (const entry of vendor.bill.entries) {
      if (!left.has(entry.attemptId ?? '')) sums.vendorsNanoUsd += amountOf(entry);
      else {
        sums.leftAttempts += 1;
        sums.leftNanoUsd += amountOf(entry);
      }
    }
  }
  return sums;
}

async function leftAttempts(rig: Rig, receipts: readonly Receipt[]): Promise<ReadonlySet<string>> {
  const left = new Set<string>();
  for (const { requestId = '', attempts } of receipts) {
    const failed = attempts.filter(({ outcome }) => outcome === 'failed');
    if (failed.length === 0) continue;
    const trails = asObjects((await recordOf(rig, requestId)).detail['attempts']);
    for (const { attemptId } of failed) {
      const trail = trails.find((each) => each['attempt_id'] === attemptId);
      if (trail?.['error'] === 'upstream_timeout' && trail['first_content_ms'] === null)
        left.add(attemptId);
    }
  }
  return left;
}

function amountOf(entry: BillEntry): number {
  const units = prices[entry.model.replace('vendor-', '') as Model];
  const price = {
    version: '',
    price: { from: '2000-01-01', source: 'test', units },
    atMs: 0,
    factorMillionths: 1_000_000,
  };
  return rate(price, {
    inputTokens: entry.inputTokens,
    outputTokens: entry.outputTokens,
    reasoningTokens: entry.reasoningTokens,
  }).amountNanoUsd;
}
