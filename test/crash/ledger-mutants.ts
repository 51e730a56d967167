/**
 * Faults planted in a copy of the ledger; each must be found by the short model check or the text
 * cases (guards T-B3): `node test/crash/ledger-mutants.ts`. Exits 1 when one survives.
 */

import { plant, type Change } from './mutants.ts';

const changes: readonly Change[] = [
  {
    name: 'the balance check forgets what is held',
    file: 'src/ledger/books.ts',
    from: 'wallet.posted - wallet.pending : 0',
    to: 'wallet.posted : 0',
  },
  {
    name: 'the hold is released without its extension',
    file: 'src/ledger/hold.ts',
    from: '  entry.amount += granted;',
    to: '  entry.amount += 0;',
  },
  {
    name: 'a charge may pass the hold',
    file: 'src/ledger/resolve.ts',
    from: 'Math.min(settlement.chargeNanoUsd, entry.amount)',
    to: 'settlement.chargeNanoUsd',
  },
  {
    name: 'a top-up event is not remembered',
    file: 'src/ledger/move.ts',
    from: '    lotKind: request.lotKind,\n  });\n  if (repeated) return repeated;\n  if (isTooMuch',
    to: '    lotKind: request.lotKind,\n  });\n  void repeated;\n  if (isTooMuch',
  },
  {
    name: 'a budget counts only what is spent',
    file: 'src/ledger/hold.ts',
    from: 'budget.spent + budget.pending',
    to: 'budget.spent',
  },
  {
    name: 'a refund ignores what is held',
    file: 'src/ledger/move.ts',
    from: 'Math.min(lot.remaining, available(wallet))',
    to: 'lot.remaining',
  },
  {
    name: 'paid money is spent first',
    file: 'src/ledger/books.ts',
    from: 'lotSpendingOrder.indexOf(left.kind) - lotSpendingOrder.indexOf(right.kind)',
    to: 'lotSpendingOrder.indexOf(right.kind) - lotSpendingOrder.indexOf(left.kind)',
  },
  {
    name: 'a void keeps the idempotency key',
    file: 'src/ledger/resolve.ts',
    from: 'request.releaseIdempotency !== false',
    to: 'request.releaseIdempotency === true',
  },
  {
    name: 'recovery takes the holds of the living',
    file: 'src/ledger/recover.ts',
    from: 'epoch: epoch - 1',
    to: 'epoch',
  },
  {
    name: 'an extension is granted twice',
    file: 'src/ledger/hold.ts',
    from: 'request.sequence <= entry.extension',
    to: 'request.sequence < entry.extension',
  },
  {
    name: 'yesterday pays for today',
    file: 'src/ledger/scopes.ts',
    from: "if (window === 'daily') return day;",
    to: "if (window === 'daily') return 0;",
  },
];

const control = {
  name: 'control',
  file: 'src/ledger/hold.ts',
  from: 'const attemptsMax = 64;',
  to: 'const attemptsMax = 65;',
};

const finds = ['--test', 'test/contract/ledger-model-sqlite.test.ts'];
plant(
  'T-B3 mutants',
  control,
  changes.map((change) => ({ ...change, finds })),
);
