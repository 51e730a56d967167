/**
 * Faults planted in a copy of the journal; each must be found by the power cut test or by the tests
 * of the store (guards T-B2): `node test/crash/journal-mutants.ts`. Needs strace. Exits 1 when one
 * survives.
 */

import { plant, type Mutant } from './mutants.ts';

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

const control = {
  name: 'control',
  file: 'src/store/journal.ts',
  from: 'const segmentsMax = 8;',
  to: 'const segmentsMax = 9;',
};

plant('T-B2 mutants', control, mutants);
