/**
 * Faults planted in a copy of the journal; each must be found by the power cut test or by the tests
 * of the store (guards T-B2): `node test/crash/journal-mutants.ts`. Needs strace. Exits 1 when one
 * survives.
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
  /** Arguments of Node in the copy; it must fail. */
  readonly finds: readonly string[];
};

const powerCut = ['test/crash/ledger-power.ts', '150', '20261123', 'FULL', '2000'];
const storeTests = ['--test', 'src/store/sqlite.test.ts'];

const mutants: readonly Mutant[] = [
  {
    name: 'acknowledged before the frame is on the disk',
    file: 'src/store/journal.ts',
    from: '    await this.#write(segment, frame, offset);\n    segment.last',
    to: '    const late = Buffer.from(frame);\n    setTimeout(() => void this.#write(segment, late, offset).catch(() => {}), 20);\n    segment.last',
    finds: powerCut,
  },
  {
    name: 'a segment used again before the database is on the disk',
    file: 'src/store/sqlite-writer.ts',
    from: "      if (this.#options.synchronous !== 'OFF') await flushFile(this.#logFile());\n",
    to: '',
    finds: powerCut,
  },
  {
    name: 'frames repeated twice',
    file: 'src/store/sqlite-writer.ts',
    from: '      this.#writePosition(journal);\n      this.connection.commit();',
    to: '      this.connection.commit();',
    finds: storeTests,
  },
  {
    name: 'rows in the database without the position of the journal',
    file: 'src/store/sqlite-writer.ts',
    from: '    this.#overlay.writeAll(this.connection.repeat);\n    this.#writePosition(this.#journal);',
    to: '    this.#overlay.writeAll(this.connection.repeat);',
    finds: storeTests,
  },
  {
    name: 'a damaged frame taken for whole',
    file: 'src/store/frame.ts',
    from: 'return checksumOf(frame) === frame.readUInt32LE(checkedBytes);',
    to: 'return true;',
    finds: ['--test', 'src/store/journal.test.ts'],
  },
  {
    name: 'a load that does not see what waits',
    file: 'src/store/sqlite-writer.ts',
    from: '        this.#overlay.expose(command.load, command.keys, this.connection.repeat);\n',
    to: '',
    finds: ['--test', 'test/contract/ledger-sqlite.test.ts'],
  },
];

/** A change without effect: when this is "found", the copy does not run and nothing is proved. */
const controls: readonly Mutant[] = [powerCut, storeTests].map((finds) => ({
  name: 'control',
  file: 'src/store/journal.ts',
  from: 'const segmentsMax = 8;',
  to: 'const segmentsMax = 9;',
  finds,
}));

const root = resolve(import.meta.dirname, '../..');
for (const control of controls)
  if (runMutant(control)) throw new Error('the unchanged journal fails in the copy');
const survivors: string[] = [];
for (const mutant of mutants) {
  const start = performance.now();
  const found = runMutant(mutant);
  console.error(
    `${found ? 'found   ' : 'SURVIVED'} ${mutant.name} (${((performance.now() - start) / 1000).toFixed(1)} s)`,
  );
  if (!found) survivors.push(mutant.name);
}
console.log(
  JSON.stringify({
    test: 'T-B2 mutants',
    planted: mutants.length,
    found: mutants.length - survivors.length,
    survivors,
  }),
);
process.exitCode = survivors.length === 0 ? 0 : 1;

function runMutant(mutant: Mutant): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-mutant-'));
  try {
    const paths = [
      'package.json',
      'src/std',
      'src/store',
      'src/ledger',
      'test/contract',
      'test/crash',
    ];
    for (const path of paths) cpSync(join(root, path), join(folder, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const path = join(folder, mutant.file);
    const source = readFileSync(path, 'utf8');
    if (!source.includes(mutant.from)) throw new Error(`nothing to mutate for: ${mutant.name}`);
    writeFileSync(path, source.replace(mutant.from, mutant.to));
    const result = spawnSync(process.execPath, mutant.finds, {
      cwd: folder,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
      encoding: 'utf8',
      timeout: 120_000,
    });
    return result.status === 1 && /✖|not ok|"ok":false/.test(result.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
