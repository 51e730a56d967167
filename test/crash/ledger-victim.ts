/**
 * The process that T-B1 and T-B2 kill: streams that reserve, call a "vendor" (the parent, by a line
 * on file descriptor 3), settle, and tell the "client". Arguments: URL, streams, seed, requests (0:
 * without end), fault (`none`, `send_early`, `ack_early`), synchronous, pages between checkpoints,
 * bytes of the files of the journal.
 *
 * Lines: `ready MS HOLDS`, `sent ATTEMPT REQUEST COST LOOKUP`, `ack REQUEST CHARGE`, `ask ATTEMPT`.
 */

import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { nanoUsd, seededRandom, systemClock, zeroNanoUsd } from '#std';
import { openLedger, type AttemptOutcome, type LookUpAnswer } from '#ledger';
import { openStore } from '#store';

const [
  url = '',
  streamsText = '60',
  seedText = '1',
  requestsText = '0',
  fault = 'none',
  synchronous = 'FULL',
  checkpointPages = '4000',
  journalSegmentBytes = '8388608',
] = process.argv.slice(2);
const random = seededRandom(Number(seedText));
const run = `${process.pid}_${seedText}`;
const wallets = 20;
/** A planted fault shows only when the flush takes as long as on a slow disk. */
const plantedDelayMs = 20;

const store = await openStore({
  url,
  clock: systemClock,
  synchronous: synchronous === 'NORMAL' ? 'NORMAL' : 'FULL',
  checkpointPages: Number(checkpointPages),
  journalSegmentBytes: Number(journalSegmentBytes),
});
const ledger = openLedger({ store, clock: systemClock });

const waiting = new Map<string, (answer: string) => void>();
createInterface({ input: process.stdin }).on('line', (line) => {
  const [attemptId = '', answer = ''] = line.split(' ');
  waiting.get(attemptId)?.(answer);
  waiting.delete(attemptId);
});

function say(line: string): void {
  writeSync(3, `${line}\n`);
}

const recoveryStart = performance.now();
const recovered = await ledger.recover({
  lookUp: async (open): Promise<LookUpAnswer> => {
    const answer = await new Promise<string>((resolve) => {
      waiting.set(open.attemptId, resolve);
      say(`ask ${open.attemptId}`);
    });
    if (answer === 'none') return { found: 'never_arrived' };
    const cost = nanoUsd(Number(answer));
    return {
      found: 'billed',
      costNanoUsd: cost,
      settlement: { ...bill(cost), usageSource: 'lookup' },
    };
  },
});
say(
  `recovered ${(performance.now() - recoveryStart).toFixed(1)} ${recovered.holdsFound} ${recovered.lostNanoUsd}`,
);
for (let index = 0; index < wallets; index += 1) {
  await ledger.credit({
    walletId: `w${index}`,
    amountNanoUsd: nanoUsd(4_000_000_000_000),
    lotKind: 'paid',
    source: 'test',
    eventId: `once-${index}`,
    actor: 'test',
  });
}
say('ready');
void recovered.background.then(({ settled, voided }) => say(`looked_up ${settled} ${voided}`));

let made = 0;
const requestsMax = Number(requestsText) || Infinity;
await Promise.all(Array.from({ length: Number(streamsText) }, stream));
await recovered.background;
await store.close();
process.exit(0);

async function stream(): Promise<void> {
  while (made < requestsMax) {
    made += 1;
    await request(`r_${run}_${String(made).padStart(8, '0')}`);
  }
}

function bill(cost: ReturnType<typeof nanoUsd>) {
  return {
    chargeNanoUsd: cost,
    usage: {},
    usageSource: 'provider' as const,
    priceVersion: 'v1',
    formula: 'cost',
    lines: [],
  };
}

/** 10 % of first attempts fail, 15 % are cut by the client, 10 % end without usage. */
async function request(requestId: string): Promise<void> {
  const bound = nanoUsd(1000 + Math.floor(random() * 100_000));
  const walletId = `w${Math.floor(random() * wallets)}`;
  const lookUp = random() < 0.5;
  const attemptId = `a1_${requestId}`;
  const intent = (id: string) => ({
    attemptId: id,
    channelId: lookUp ? 'known' : 'blind',
    providerId: 'vendor',
    priceVersion: 'v1',
    boundNanoUsd: bound,
    canLookUp: lookUp,
  });
  const reserve = () =>
    ledger.reserve({
      requestId,
      walletId,
      amountNanoUsd: bound,
      scopes: [{ kind: 'key', id: walletId, window: 'monthly', limitNanoUsd: null }],
      attempt: intent(attemptId),
      expiresAtMs: systemClock.now() + 600_000,
    });
  const outcomes: AttemptOutcome[] = [];
  let current = attemptId;
  const first = random();
  if (fault === 'send_early') {
    say(`sent ${current} ${requestId} ${Math.floor(bound / 2)} ${lookUp ? 1 : 0}`);
    await sleep(plantedDelayMs);
  }
  const reserved = await reserve();
  if (!reserved.ok) throw new Error(reserved.error);
  if (first < 0.1) {
    outcomes.push({ attemptId: current, outcome: 'failed', costNanoUsd: zeroNanoUsd });
    current = `a2_${requestId}`;
    const further = await ledger.attempt(requestId, intent(current), outcomes[0]);
    if (!further.ok) throw new Error(further.error);
  }
  const cost = nanoUsd(Math.floor(bound / 2));
  if (fault !== 'send_early') say(`sent ${current} ${requestId} ${cost} ${lookUp ? 1 : 0}`);
  await sleep(random() * 15);
  outcomes.push({
    attemptId: current,
    outcome: random() < 0.15 ? 'aborted' : 'succeeded',
    costNanoUsd: cost,
  });
  if (fault === 'ack_early') {
    say(`ack ${requestId} ${cost}`);
    await sleep(plantedDelayMs);
  }
  const settled = await ledger.settle({
    ...bill(cost),
    requestId,
    attempts: outcomes,
    postedAttemptId: current,
    usageSource: random() < 0.1 ? 'estimated' : 'provider',
  });
  if (!settled.ok) throw new Error(settled.error);
  if (fault !== 'ack_early') say(`ack ${requestId} ${settled.receipt.chargeNanoUsd}`);
}
