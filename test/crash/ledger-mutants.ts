/**
 * Faults planted in a copy of the ledger; each must be found by the short model check or the text
 * cases (guards T-B3): `node test/crash/ledger-mutants.ts`. Exits 1 when one survives.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

type Mutant = {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
};

const mutants: readonly Mutant[] = [
  {
    name: 'the balance check forgets what is held',
    file: 'src/ledger/books.ts',
    from: 'wallet.credits - wallet.debits - wallet.pending : 0',
    to: 'wallet.credits - wallet.debits : 0',
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
    from: '  const repeated = findRepeated(books, receiptId, request.walletId, -request.amountNanoUsd);\n  if (repeated) return repeated;\n  const paid',
    to: '  const paid',
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
    from: 'epoch < ?',
    to: 'epoch <= ?',
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

/** A change without effect: when this is "found", the copy does not run and nothing is proved. */
const control: Mutant = {
  name: 'control',
  file: 'src/ledger/hold.ts',
  from: 'const attemptsMax = 64;',
  to: 'const attemptsMax = 65;',
};

const root = resolve(import.meta.dirname, '../..');
if (runMutant(control)) throw new Error('the unchanged ledger fails in the copy');
const survivors: string[] = [];
for (const mutant of mutants) {
  const start = performance.now();
  const killed = runMutant(mutant);
  console.error(
    `${killed ? 'found   ' : 'SURVIVED'} ${mutant.name} (${((performance.now() - start) / 1000).toFixed(1)} s)`,
  );
  if (!killed) survivors.push(mutant.name);
}
console.log(
  JSON.stringify({
    test: 'T-B3 mutants',
    planted: mutants.length,
    found: mutants.length - survivors.length,
    survivors,
  }),
);
process.exitCode = survivors.length === 0 ? 0 : 1;

function runMutant(mutant: Mutant): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-mutant-'));
  try {
    for (const path of ['package.json', 'src/std', 'src/store', 'src/ledger', 'test/contract']) {
      cpSync(join(root, path), join(folder, path), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const path = join(folder, mutant.file);
    const source = readFileSync(path, 'utf8');
    if (!source.includes(mutant.from)) throw new Error(`nothing to mutate for: ${mutant.name}`);
    writeFileSync(path, source.replace(mutant.from, mutant.to));
    const tests = ['test/contract/ledger-model-sqlite.test.ts'].map((name) => join(folder, name));
    const result = spawnSync(process.execPath, ['--test', ...tests], {
      cwd: folder,
      env: { ...process.env, MODEL_NO_SHRINK: '1', NODE_TEST_CONTEXT: undefined },
      encoding: 'utf8',
      timeout: 60_000,
    });
    return result.status === 1 && /✖|not ok/.test(result.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
