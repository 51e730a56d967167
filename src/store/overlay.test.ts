import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CommandResult, LoadStatement, Value, WriteStatement } from './engine.ts';
import type { Entry } from './frame.ts';
import { Overlay } from './overlay.ts';
import { Connection } from './sqlite-connection.ts';

const text = (name: string) => ({ name, type: 'text' }) as const;
const integer = (name: string) => ({ name, type: 'integer' }) as const;
const table = 'things';
const columns = [text('thing_id'), integer('spent'), integer('held'), text('note')];
const added = ['spent', 'held'];

const statements = {
  insert: { action: 'insert', table, columns },
  ignore: { action: 'insert', table, columns, conflict: { keys: ['thing_id'], action: 'ignore' } },
  replace: {
    action: 'insert',
    table,
    columns,
    conflict: { keys: ['thing_id'], action: 'replace' },
  },
  upsert: {
    action: 'insert',
    table,
    columns,
    conflict: { keys: ['thing_id'], action: 'add', added },
  },
  set: { action: 'set', table, columns },
  setNote: { action: 'set', table, columns: [text('thing_id'), text('note')] },
  add: { action: 'add', table, columns: columns.slice(0, 3) },
  addSpent: { action: 'add', table, columns: columns.slice(0, 2) },
  delete: { action: 'delete', table, columns: columns.slice(0, 1) },
} as const satisfies Record<string, WriteStatement>;

const appended: WriteStatement = {
  action: 'insert',
  table: 'events',
  columns: [integer('event_id'), text('body')],
  appends: true,
};

type Step =
  | {
      readonly do: keyof typeof statements;
      readonly key: string;
      readonly values: readonly [number, number, string];
    }
  | { readonly do: 'append' | 'writeAll' | 'writeAppended' | 'loadByNote' }
  | { readonly do: 'loadByKey'; readonly key: string };

const keys = fc.constantFrom('a', 'b', 'c');
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constantFrom(...(Object.keys(statements) as (keyof typeof statements)[])),
        key: keys,
        values: fc.tuple(
          fc.integer({ min: -5, max: 5 }),
          fc.integer({ min: 0, max: 2 ** 46 }),
          fc.constantFrom('x', 'y'),
        ),
      }),
    },
    fc.record({
      do: fc.constantFrom('append', 'writeAll', 'writeAppended', 'loadByNote' as const),
    }),
    fc.record({ do: fc.constant('loadByKey' as const), key: keys }),
  ),
  { maxLength: 60 },
);

const byKey: LoadStatement = {
  table,
  column: 'thing_id',
  columns: ['thing_id', 'spent', 'held', 'note'],
};
const byNote: LoadStatement = { ...byKey, column: 'note', many: true };

function database(): Connection {
  const connection = new Connection(':memory:', 'OFF');
  connection.database.exec(
    'CREATE TABLE things (thing_id TEXT PRIMARY KEY, spent INTEGER NOT NULL, held INTEGER NOT NULL, note TEXT NOT NULL) STRICT; CREATE TABLE events (event_id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT',
  );
  return connection;
}

function entryOf(step: Step, made: number): Entry | undefined {
  if (step.do === 'append')
    return { kind: 'rows', write: appended, rows: [[made, `event ${made}`]] };
  if (!('values' in step)) return undefined;
  const write = statements[step.do];
  const all: Record<string, Value> = {
    thing_id: step.key,
    spent: step.values[0],
    held: step.values[1],
    note: step.values[2],
  };
  const row = write.columns.map((column) => all[column.name] ?? null);
  return { kind: 'rows', write, rows: [row] };
}

function rowsOf(connection: Connection): unknown {
  return [
    connection.query(
      'SELECT thing_id, CAST(spent AS TEXT) AS spent, CAST(held AS TEXT) AS held, note FROM things ORDER BY thing_id',
    ),
    connection.query('SELECT * FROM events ORDER BY event_id'),
  ].map((rows) => rows.map((row) => ({ ...row })));
}

test('what the overlay writes is what the writes one by one would have written', () => {
  fc.assert(
    fc.property(steps, (program) => {
      const [direct, merged] = [database(), database()];
      const overlay = new Overlay();
      const load = (statement: LoadStatement, key: string): void => {
        overlay.expose(statement, [key], merged.repeat);
        const command = { run: 'load', load: statement, keys: [key] } as const;
        assert.deepEqual(sorted(merged.run(command)), sorted(direct.run(command)));
      };
      let made = 0;
      for (const step of program) {
        if (step.do === 'writeAll') overlay.writeAll(merged.repeat);
        else if (step.do === 'writeAppended') overlay.writeAppended(merged.repeat);
        else if (step.do === 'loadByNote') load(byNote, 'x');
        else if (step.do === 'loadByKey') load(byKey, step.key);
        const entry = entryOf(step, (made += 1));
        if (!entry || (step.do === 'insert' && isThere(direct, step.key))) continue;
        direct.repeat(entry);
        overlay.merge(entry);
      }
      overlay.writeAll(merged.repeat);
      assert.deepEqual(rowsOf(merged), rowsOf(direct));
      direct.close();
      merged.close();
    }),
    { numRuns: 200, interruptAfterTimeLimit: 20_000 },
  );
});

function sorted(rows: CommandResult): readonly string[] {
  return typeof rows === 'number' ? [] : rows.map((row) => JSON.stringify(row)).sort();
}

function isThere(connection: Connection, key: string): boolean {
  return connection.query('SELECT 1 FROM things WHERE thing_id = ?', key).length > 0;
}

test('a row that is inserted and deleted in between never reaches the database', () => {
  const overlay = new Overlay();
  const seen: Entry[] = [];
  const row = (write: WriteStatement, values: readonly Value[]): void =>
    overlay.merge({ kind: 'rows', write, rows: [values] });
  row(statements.insert, ['a', 1, 2, 'x']);
  row(statements.setNote, ['a', 'y']);
  row(statements.delete, ['a']);
  row(statements.add, ['b', 1, 2]);
  row(statements.add, ['b', 3, -2]);
  overlay.writeAll((entry) => seen.push(entry));
  assert.deepEqual(seen, [{ kind: 'rows', write: statements.add, rows: [['b', 4, 0]] }]);
});

test('sums beyond the exact integers are left to the database', () => {
  const overlay = new Overlay();
  const seen: Entry[] = [];
  for (let times = 0; times < 2; times += 1)
    overlay.merge({
      kind: 'rows',
      write: statements.add,
      rows: [['a', Number.MAX_SAFE_INTEGER, 0]],
    });
  overlay.writeAll((entry) => seen.push(entry));
  assert.equal(seen.length, 2);
});
