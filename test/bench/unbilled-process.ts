/**
 * The same gateway with a ledger that promises everything and writes nothing: its distance to the
 * real one is what durable billing costs. Only for measuring; the program has no such switch.
 *
 *   node test/bench/unbilled-process.ts CONFIG_FILE      prints its port on the first line
 */

import { readFileSync } from 'node:fs';
import { configSchema, createRuntime, openBooks, type Books } from '#cli';
import { createGateway } from '#gateway';
import { receiptIdOf, type Hold, type Ledger, type Receipt, type Settlement } from '#ledger';
import { zeroNanoUsd } from '#std';

function holdOf(request: Parameters<Ledger['reserve']>[0]): Hold {
  const { requestId, walletId, amountNanoUsd, expiresAtMs } = request;
  return {
    requestId,
    walletId,
    amountNanoUsd,
    state: 'open',
    lifetime: 'process',
    scopes: [],
    createdAtMs: 0,
    expiresAtMs,
    context: {},
  };
}

function receiptOf(settlement: Settlement): Receipt {
  const { requestId, chargeNanoUsd, usage, usageSource, priceVersion, formula, lines } = settlement;
  return {
    receiptId: receiptIdOf(requestId),
    kind: 'usage',
    walletId: undefined,
    requestId,
    createdAtMs: 0,
    chargeNanoUsd,
    ratedNanoUsd: chargeNanoUsd,
    holdNanoUsd: chargeNanoUsd,
    balanceAfterNanoUsd: zeroNanoUsd,
    attempts: [],
    postedAttemptId: undefined,
    usage,
    usageSource,
    priceVersion,
    formula,
    lines,
    losses: [],
    lots: [],
    transfers: [],
    detail: {},
    chainNumber: 0,
    sequence: 0,
    previousHash: '',
    hash: '',
  };
}

function unbilled(books: Books): Books {
  const ledger = Object.create(books.ledger, {
    reserve: {
      value: (request: Parameters<Ledger['reserve']>[0]) =>
        Promise.resolve({ ok: true, hold: holdOf(request), repeated: false }),
    },
    settle: {
      value: (settlement: Settlement) =>
        Promise.resolve({ ok: true, receipt: receiptOf(settlement), repeated: false }),
    },
    void: { value: () => Promise.resolve({ ok: true }) },
  }) as Ledger;
  const requests = Object.create(books.store.requests, {
    append: { value: () => Promise.resolve() },
  }) as Books['store']['requests'];
  const store = Object.create(books.store, { requests: { value: requests } }) as Books['store'];
  return { ...books, ledger, store };
}

const config = configSchema.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
const books = await openBooks(config);
const runtime = await createRuntime({ config, environment: {}, books: unbilled(books), extra: [] });
const front = createGateway({
  services: runtime.services,
  listener: { host: '127.0.0.1', port: 0 },
  limits: { bodyBytesMax: config.limits.body_bytes, heldBytesMax: config.limits.held_bytes },
});
const { port } = await front.listen();
process.stdout.write(`${port}\n`);
process.once('SIGTERM', () => process.exit(0));
