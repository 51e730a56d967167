/** A ledger that promises everything and writes nothing: only for measuring what the rest costs, the request record included. */

import type { Books } from '#cli';
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

export function unbilled(books: Books): Books {
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
  return { ...books, ledger };
}
