/**
 * Rows that are durable in the journal and not in the database yet. Several writes to one row
 * become one, and a row that is inserted and deleted in between never gets there.
 */

import { insertedAtOnce } from './statements.ts';
import type { LoadStatement, Value, WriteStatement } from './engine.ts';
import type { Entry } from './frame.ts';

/** The writes that one row waits for, the last one first. */
type Waiting = {
  readonly write: WriteStatement;
  readonly values: Value[];
  readonly earlier: Waiting | undefined;
};

export type RunEntry = (entry: Entry) => void;

/** Bound of the time that writing them takes, and of the memory they hold. */
const rowsMax = 4096;

export class Overlay {
  /** By table and by key, which is the first column of every statement. */
  readonly #merged = new Map<string, Map<Value, Waiting>>();
  /** Rows that nothing changes later: kept as they came. */
  readonly #appended = new Map<WriteStatement, (readonly Value[])[]>();
  #changes: Extract<Entry, { kind: 'change' }>[] = [];

  get full(): boolean {
    let rows = 0;
    for (const table of this.#merged.values()) rows += table.size;
    for (const waiting of this.#appended.values()) rows += waiting.length;
    return rows >= rowsMax;
  }

  /** Statements of another kind wait for the rows before them, and nothing may overtake them. */
  get urgent(): boolean {
    return this.#changes.length > 0;
  }

  merge(entry: Entry): void {
    if (entry.kind === 'change') {
      this.#changes.push(entry);
      return;
    }
    if (entry.write.action === 'insert' && entry.write.appends === true) {
      const waiting = this.#appended.get(entry.write);
      if (!waiting) this.#appended.set(entry.write, [...entry.rows]);
      else for (const row of entry.rows) waiting.push(row);
      return;
    }
    const { write, rows } = entry;
    let table = this.#merged.get(write.table);
    if (!table) this.#merged.set(write.table, (table = new Map<Value, Waiting>()));
    for (const row of rows) mergeRow(table, write, row);
  }

  /** Rows that wait for nothing: written while the disk is busy with something else. */
  writeAppended(run: RunEntry): void {
    for (const [write, rows] of this.#appended) run({ kind: 'rows', write, rows });
    this.#appended.clear();
  }

  /** The same, but for a rest that is better written together with later ones. */
  writeGroups(run: RunEntry): void {
    for (const [write, rows] of this.#appended) {
      const count = rows.length - (rows.length % insertedAtOnce);
      if (count > 0) run({ kind: 'rows', write, rows: rows.splice(0, count) });
    }
  }

  /** Brings to the database what a load must see. */
  expose(load: LoadStatement, keys: readonly string[], run: RunEntry): void {
    for (const { table } of this.#appended.keys())
      if (table === load.table) this.writeAppended(run);
    const table = this.#merged.get(load.table);
    if (!table) return;
    if (!isByKey(table, load)) {
      this.#merged.delete(load.table);
      writeTable(table, run);
      return;
    }
    for (const key of keys) {
      const waiting = table.get(key);
      if (!waiting) continue;
      table.delete(key);
      for (const step of inOrder(waiting)) run(step);
    }
  }

  /** All that waits, in an order that gives what the writes one by one would have given. */
  writeAll(run: RunEntry): void {
    this.writeAppended(run);
    for (const table of this.#merged.values()) writeTable(table, run);
    this.#merged.clear();
    for (const change of this.#changes) run(change);
    this.#changes = [];
  }

  clear(): void {
    this.#merged.clear();
    this.#appended.clear();
    this.#changes = [];
  }
}

function isByKey(table: ReadonlyMap<Value, Waiting>, load: LoadStatement): boolean {
  for (const { write } of table.values()) return write.columns[0]?.name === load.column;
  return true;
}

/** Rows of one statement together, as long as they are the only write of their row. */
function writeTable(table: ReadonlyMap<Value, Waiting>, run: RunEntry): void {
  const groups = new Map<WriteStatement, (readonly Value[])[]>();
  for (const waiting of table.values()) {
    if (waiting.earlier) for (const step of inOrder(waiting)) run(step);
    else {
      const rows = groups.get(waiting.write);
      if (rows) rows.push(waiting.values);
      else groups.set(waiting.write, [waiting.values]);
    }
  }
  for (const [write, rows] of groups) run({ kind: 'rows', write, rows });
}

function inOrder(waiting: Waiting): readonly Entry[] {
  const steps: Entry[] = [];
  for (let step: Waiting | undefined = waiting; step; step = step.earlier)
    steps.push({ kind: 'rows', write: step.write, rows: [step.values] });
  return steps.reverse();
}

function mergeRow(table: Map<Value, Waiting>, write: WriteStatement, row: readonly Value[]): void {
  const key = row[0] ?? null;
  const before = table.get(key);
  if (!before) {
    table.set(key, { write, values: [...row], earlier: undefined });
    return;
  }
  if (write.action === 'delete') {
    // An insert that says nothing of conflicts had no row before it.
    const gone = before.write.action === 'insert' && !before.write.conflict;
    if (!gone) table.set(key, { write, values: [...row], earlier: before.earlier });
    else if (before.earlier) table.set(key, before.earlier);
    else table.delete(key);
    return;
  }
  if (combine(before.write, before.values, write, row)) return;
  table.set(key, { write, values: [...row], earlier: before });
}

/** Changes `values` to what both writes give together; `false` when one write cannot say it. */
function combine(
  first: WriteStatement,
  values: Value[],
  second: WriteStatement,
  row: readonly Value[],
): boolean {
  const { adds, replaces } = placesOf(first, second);
  if (adds) return addAll(values, row, adds);
  if (!replaces) return false;
  for (let index = 0; index < row.length; index += 1)
    values[replaces[index] ?? 0] = row[index] ?? null;
  return true;
}

/** Sums beyond the exact integers are left to the database. */
function addAll(values: Value[], row: readonly Value[], { to, from }: Sums): boolean {
  for (let index = 0; index < to.length; index += 1) {
    const there = values[to[index] ?? 0];
    const more = row[from[index] ?? 0];
    if (typeof there !== 'number' || typeof more !== 'number') return false;
    if (!Number.isSafeInteger(there + more)) return false;
  }
  for (let index = 0; index < to.length; index += 1) {
    const place = to[index] ?? 0;
    values[place] = Number(values[place]) + Number(row[from[index] ?? 0]);
  }
  return true;
}

/** From which columns of the second write to which of the first. */
type Sums = { readonly to: readonly number[]; readonly from: readonly number[] };

type Places = {
  readonly first: WriteStatement;
  readonly second: WriteStatement;
  readonly adds: Sums | undefined;
  readonly replaces: readonly number[] | undefined;
};

const known = new WeakMap<WriteStatement, WeakMap<WriteStatement, Places>>();
/** Rows of one statement follow each other, so the last answer is mostly the next one too. */
let last: Places | undefined;

function placesOf(first: WriteStatement, second: WriteStatement): Places {
  if (last && last.first === first && last.second === second) return last;
  let bySecond = known.get(first);
  if (!bySecond) known.set(first, (bySecond = new WeakMap<WriteStatement, Places>()));
  let places = bySecond.get(second);
  if (!places) {
    const adds = addedPlaces(first, second);
    const replaces = adds ? undefined : replacedPlaces(first, second);
    bySecond.set(second, (places = { first, second, adds, replaces }));
  }
  last = places;
  return places;
}

function addedPlaces(first: WriteStatement, second: WriteStatement): Sums | undefined {
  const names = addedNames(second);
  if (!names) return undefined;
  // After `set` or a plain insert the value is known; after other sums it is one more summand.
  const sums = addedNames(first);
  if (sums && !names.every((name) => sums.includes(name))) return undefined;
  // A row that may be missing is made by the first write only where that is its business.
  if (second.action === 'insert' && first !== second) return undefined;
  const to = names.map((name) => placeOf(first, name));
  const from = names.map((name) => placeOf(second, name));
  const ignored = first.action === 'insert' && first.conflict?.action === 'ignore';
  return to.every((place) => place > 0) && !ignored ? { to, from } : undefined;
}

/** Where each column of the second write is in the first, when it only replaces values. */
function replacedPlaces(
  first: WriteStatement,
  second: WriteStatement,
): readonly number[] | undefined {
  const replaces =
    second.action === 'set' ||
    (second.action === 'insert' && second.conflict?.action === 'replace');
  if (!replaces) return undefined;
  if (second.action === 'insert' && first !== second) return undefined;
  if (
    first.action === 'insert'
      ? first.conflict && first.conflict.action !== 'replace'
      : first.action !== 'set'
  )
    return undefined;
  const places = second.columns.map((column) => placeOf(first, column.name));
  return places.every((place) => place >= 0) ? places : undefined;
}

function addedNames(write: WriteStatement): readonly string[] | undefined {
  if (write.action === 'add') return write.columns.slice(1).map((column) => column.name);
  if (write.action !== 'insert' || write.conflict?.action !== 'add') return undefined;
  return write.conflict.added ?? [];
}

function placeOf(write: WriteStatement, name: string): number {
  return write.columns.findIndex((column) => column.name === name);
}
