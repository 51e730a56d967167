import assert from 'node:assert/strict';
import fs, {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { MissingDatabaseError, StoreUnavailableError } from './contract.ts';
import { write, query, type Engine, type Lane, type WriteStatement } from './engine.ts';
import { openSqliteEngine, type SqliteOptions } from './sqlite.ts';

const text = (name: string) => ({ name, type: 'text' }) as const;
const integer = (name: string) => ({ name, type: 'integer' }) as const;

const accounts: WriteStatement = {
  action: 'insert',
  table: 'accounts',
  columns: [text('account_id'), integer('debits_nano_usd'), integer('credits_nano_usd')],
  conflict: { keys: ['account_id'], action: 'add', added: ['debits_nano_usd', 'credits_nano_usd'] },
};

/** Adding is the write that must not happen twice. */
const counting: Lane<number, number> = {
  name: 'counting',
  journaled: true,
  *apply(amounts) {
    const sum = amounts.reduce((all, amount) => all + amount, 0);
    yield* write(accounts, [['sum', sum, 0]]);
    return amounts;
  },
};

const direct: Lane<number, number> = { name: 'direct', apply: counting.apply };

function sumOf(engine: Engine): Promise<number> {
  return engine.read(function* () {
    const rows = yield* query('SELECT debits_nano_usd AS debits FROM accounts', []);
    return Number(rows[0]?.['debits'] ?? 0);
  });
}

type Place = {
  readonly path: string;
  open(more?: Partial<SqliteOptions>): Promise<Engine>;
  /** The files as they are now, in another place, as after a crash. */
  copy(): Place;
};

async function inFolder(work: (place: Place) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-sqlite-'));
  const engines: Engine[] = [];
  let copies = 0;
  const place = (path: string): Place => ({
    path,
    async open(more = {}) {
      const engine = await openSqliteEngine({ path, nodeId: 'main', nowMs: 1, ...more });
      engines.push(engine);
      return engine;
    },
    copy() {
      copies += 1;
      const target = `copy${copies}`;
      for (const name of readdirSync(folder).filter((each) => each.startsWith('first.db')))
        if (!name.endsWith('-shm'))
          copyFileSync(join(folder, name), join(folder, name.replace('first', target)));
      return place(join(folder, `${target}.db`));
    },
  });
  try {
    await work(place(join(folder, 'first.db')));
  } finally {
    for (const engine of engines) await engine.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

test('what was acknowledged and not yet in the database is there after a crash, once', () =>
  inFolder(async ({ open, copy }) => {
    const engine = await open();
    for (let count = 0; count < 10; count += 1) await engine.submit(counting, 1);
    const crashed = copy();
    for (let life = 0; life < 3; life += 1) {
      const again = await crashed.open();
      assert.equal(await sumOf(again), 10);
      await again.close();
    }
    const working = await crashed.open();
    await working.submit(counting, 5);
    assert.equal(await sumOf(working), 15);
  }));

test('a file with the smaller pages of earlier versions stays as it is and is used', () =>
  inFolder(async ({ path, open }) => {
    const earlier = new DatabaseSync(path);
    earlier.exec(
      'PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; CREATE TABLE other (id TEXT)',
    );
    earlier.close();
    const engine = await open();
    for (let count = 0; count < 10; count += 1) await engine.submit(counting, 1);
    assert.equal(await sumOf(engine), 10);
    assert.deepEqual(await engine.checkStorage(), []);
    const pages = await engine.read(() => query('PRAGMA page_size', []));
    assert.equal(pages[0]?.['page_size'], 4096);
  }));

test('a crash at any moment between acknowledgements loses and repeats nothing', () =>
  inFolder(async ({ open, copy }) => {
    const engine = await open({ journalSegmentBytes: 4096 });
    const crashes: (readonly [Place, number])[] = [];
    let sum = 0;
    for (let count = 1; count <= 60; count += 1) {
      await engine.submit(count % 7 === 0 ? direct : counting, count);
      sum += count;
      if (count % 5 === 0) crashes.push([copy(), sum]);
    }
    for (const [crashed, expected] of crashes)
      assert.equal(await sumOf(await crashed.open()), expected);
  }));

test('reads see what was acknowledged, also those of another process', () =>
  inFolder(async ({ open }) => {
    const engine = await open();
    await engine.submit(counting, 1);
    assert.equal(await sumOf(engine), 1);
    const other = await open({ nodeId: 'other' });
    await engine.submit(counting, 2);
    assert.equal(await sumOf(other), 3);
    await other.submit(counting, 4);
    assert.equal(await sumOf(engine), 7);
    const seen = await engine.snapshot(async (reader) =>
      reader.run({
        run: 'query',
        sql: 'SELECT debits_nano_usd AS debits FROM accounts',
        parameters: [],
      }),
    );
    assert.equal(typeof seen === 'number' ? 0 : seen[0]?.['debits'], 7);
  }));

test('two processes that write all the time both get their turn', () =>
  inFolder(async ({ open, path }) => {
    const engines = [await open(), await open({ nodeId: 'other' })];
    const done = await Promise.all(
      engines.map(async (engine) => {
        for (let count = 0; count < 50; count += 1) await engine.submit(counting, 1);
        return true;
      }),
    );
    assert.deepEqual(done, [true, true]);
    assert.equal(await sumOf(engines[0] as Engine), 100);
    assert.equal(existsSync(`${path}.waiting`), false);
  }));

test('a mark of a process that died does not keep the writer waiting', () =>
  inFolder(async ({ open, path }) => {
    const engine = await open();
    writeFileSync(`${path}.waiting`, '');
    for (let count = 0; count < 3; count += 1) await engine.submit(direct, 1);
    assert.equal(await sumOf(engine), 3);
    assert.equal(existsSync(`${path}.waiting`), false);
  }));

test('acknowledged rows that the database refuses stop the writer, and say so', () =>
  inFolder(async ({ open }) => {
    const reasons: string[] = [];
    const engine = await open({ onStop: (reason) => reasons.push(reason.message) });
    await engine.submit(counting, 1);
    await engine.submit(counting, -100);
    await assert.rejects(sumOf(engine), /break a rule/);
    await assert.rejects(engine.submit(counting, 1), /break a rule/);
    assert.equal(reasons.length, 1);
    await assert.rejects(open({ nodeId: 'other' }), /break a rule/);
  }));

for (const [name, change] of [
  ['deleted', (path: string) => rmSync(path)],
  ['replaced', (path: string) => renameSync(copyOf(path), path)],
] as const)
  test(`a database file that is ${name} under its writer is not written any more, and that is said`, () =>
    inFolder(async ({ path, open }) => {
      const reasons: string[] = [];
      const engine = await open({ onStop: (reason) => reasons.push(reason.message) });
      assert.equal(await engine.submit(counting, 1), 1);
      await engine.submit(direct, 1);
      change(path);
      await assert.rejects(engine.submit(counting, 1), /deleted or replaced/);
      await assert.rejects(engine.submit(direct, 1), /deleted or replaced/);
      assert.equal(reasons.length, 1);
    }));

test('a database file that is lost is not begun anew while what belongs to it is there', () =>
  inFolder(async ({ path, open }) => {
    const engine = await open();
    await engine.submit(counting, 1);
    await engine.close();
    renameSync(path, `${path}.lost`);
    await assert.rejects(open(), (error) => {
      assert.ok(error instanceof MissingDatabaseError, String(error));
      assert.deepEqual(error.leftOver, [`${basename(path)}.journal-0`]);
      return true;
    });
    await assert.rejects(open({ nodeId: 'other' }), MissingDatabaseError);
    renameSync(`${path}.lost`, path);
    assert.equal(await sumOf(await open()), 1);
  }));

function copyOf(path: string): string {
  copyFileSync(path, `${path}.copy`);
  return `${path}.copy`;
}

test('a number that no column takes is refused before it is acknowledged, alone', () =>
  inFolder(async ({ open }) => {
    const engine = await open();
    await engine.submit(counting, 1);
    const results = await Promise.allSettled(
      [0.5, 2, Number.MAX_SAFE_INTEGER + 1].map((amount) => engine.submit(counting, amount)),
    );
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled', 'rejected'],
    );
    assert.equal(await sumOf(engine), 3);
    await engine.submit(direct, 1);
    await engine.close();
    assert.equal(await sumOf(await open()), 4);
  }));

test('operations that can wait go with others, and not later than at the end', () =>
  inFolder(async ({ open }) => {
    const engine = await open();
    const patient: Lane<number, number> = { ...counting, name: 'patient', patient: true };
    const order: string[] = [];
    const waiting = engine.submit(patient, 1).then(() => order.push('patient'));
    await engine.submit(counting, 1).then(() => order.push('first'));
    await waiting;
    assert.deepEqual(order.sort(), ['first', 'patient']);
    const last = engine.submit(patient, 1);
    await engine.close();
    assert.equal(await last, 1);
    assert.equal(await sumOf(await open()), 3);
  }));

test('a batch that throws in memory fails alone', () =>
  inFolder(async ({ open }) => {
    const engine = await open();
    const throwing: Lane<number, number> = {
      ...counting,
      name: 'throwing',
      *apply(amounts) {
        if (amounts.includes(13)) throw new RangeError('unlucky');
        return yield* counting.apply(amounts);
      },
    };
    const results = await Promise.allSettled([1, 13, 2].map((n) => engine.submit(throwing, n)));
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(await sumOf(engine), 3);
  }));

/** The next writes to a file of the journal end like this, as on a full or broken disk. */
function failWrites(code: string, times: number): () => void {
  let left = times;
  const { write: real, writeSync: realSync } = fs;
  const failure = (): Error =>
    Object.assign(new Error(`${code}: the disk says no`), { code, syscall: 'write' });
  const failing = (...words: Parameters<typeof real>): void => {
    if ((left -= 1) < 0) {
      Reflect.apply(real, fs, words);
      return;
    }
    const done = words.at(-1) as (error: Error) => void;
    setImmediate(() => done(failure()));
  };
  const failingSync = (...words: Parameters<typeof realSync>): number => {
    if ((left -= 1) < 0) return Reflect.apply(realSync, fs, words);
    throw failure();
  };
  Object.assign(fs, { write: failing, writeSync: failingSync });
  syncBuiltinESMExports();
  return () => {
    Object.assign(fs, { write: real, writeSync: realSync });
    syncBuiltinESMExports();
  };
}

for (const code of ['ENOSPC', 'EIO']) {
  test(`a frame that ends in ${code} is refused, and nothing of it comes back`, () =>
    inFolder(async ({ open, copy }) => {
      const engine = await open();
      await engine.submit(counting, 1);
      // The frame, and what makes it unreadable.
      const mend = failWrites(code, 2);
      try {
        await assert.rejects(engine.submit(counting, 100), StoreUnavailableError);
        const crashed = copy();
        assert.equal(await engine.submit(counting, 2), 2);
        assert.equal(await sumOf(engine), 3);
        assert.equal(await sumOf(await crashed.open()), 1);
      } finally {
        mend();
      }
    }));

  test(`a journal that cannot grow because of ${code} leaves the work to the database`, () =>
    inFolder(async ({ open, copy }) => {
      const mend = failWrites(code, 1);
      try {
        const engine = await open();
        assert.equal(await engine.submit(counting, 1), 1);
        const crashed = copy();
        assert.equal(await engine.submit(counting, 2), 2);
        assert.equal(await sumOf(engine), 3);
        assert.equal(await sumOf(await crashed.open()), 1);
      } finally {
        mend();
      }
    }));
}
