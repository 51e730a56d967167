/** Faults planted one by one in a copy of the store and the ledger, to see that the tests find each. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** A piece of a file of the source, and what is put in its place. */
export type Change = {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
};

export type Mutant = Change & {
  /** Arguments of Node in the copy; it must fail. */
  readonly finds: readonly string[];
};

const limitMs = 120_000;
const root = resolve(import.meta.dirname, '../..');
/** What the programs and tests that look for the faults need. */
const copied = [
  'package.json',
  'src/std',
  'src/store',
  'src/ledger',
  'test/contract',
  'test/crash',
  'test/support',
];

/**
 * Plants every mutant and prints what became of it; the process exits with 1 when one survives. The
 * control is a change without effect: when it is "found", the copy does not run and nothing is proved.
 */
export function plant(test: string, control: Change, mutants: readonly Mutant[]): void {
  const ways = new Map(mutants.map(({ finds }) => [finds.join(' '), finds]));
  for (const [words, finds] of ways)
    if (isFound({ ...control, finds })) throw new Error(`the unchanged copy fails: node ${words}`);
  const survivors: string[] = [];
  for (const mutant of mutants) {
    const start = performance.now();
    const found = isFound(mutant);
    console.error(
      `${found ? 'found   ' : 'SURVIVED'} ${mutant.name} (${((performance.now() - start) / 1000).toFixed(1)} s)`,
    );
    if (!found) survivors.push(mutant.name);
  }
  console.log(
    JSON.stringify({
      test,
      planted: mutants.length,
      found: mutants.length - survivors.length,
      survivors,
    }),
  );
  process.exitCode = survivors.length === 0 ? 0 : 1;
}

function isFound(mutant: Mutant): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-mutant-'));
  try {
    for (const path of copied) cpSync(join(root, path), join(folder, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const path = join(folder, mutant.file);
    const source = readFileSync(path, 'utf8');
    if (!source.includes(mutant.from)) throw new Error(`nothing to mutate for: ${mutant.name}`);
    writeFileSync(path, source.replace(mutant.from, mutant.to));
    const result = spawnSync(process.execPath, mutant.finds, {
      cwd: folder,
      env: { ...process.env, MODEL_NO_SHRINK: '1', NODE_TEST_CONTEXT: undefined },
      encoding: 'utf8',
      timeout: limitMs,
    });
    return result.status === 1 && /✖|not ok|"ok":false/.test(result.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
