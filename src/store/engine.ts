/**
 * What a database must be able to do for the modules above it: run batches of operations, each
 * batch wholly or not at all and durable, and read what is.
 *
 * The logic of a batch is written once, as a generator that yields commands. SQLite answers them
 * at once, PostgreSQL over the network; the logic does not know which.
 */

import type { StoreUnavailableError } from './contract.ts';

export type Value = string | number | null | Uint8Array;
export type Row = { readonly [column: string]: Value };

export type ColumnType = 'text' | 'integer' | 'bytes';

/** Rows whose `column` is one of the keys. `lock` keeps other writers away until the commit. */
export type LoadStatement = {
  readonly table: string;
  readonly column: string;
  readonly columns: readonly string[];
  readonly where?: string;
  /** Whether a key may have several rows. */
  readonly many?: boolean;
  readonly lock?: boolean;
};

export type ColumnWrite = {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable?: boolean;
};

/** One statement for many rows; each row lists its values in the order of the columns. */
export type WriteStatement =
  | {
      readonly action: 'insert';
      readonly table: string;
      readonly columns: readonly ColumnWrite[];
      /** `fail` by default. `add` adds the columns named in `added` to the row that is there. */
      readonly conflict?: {
        readonly keys: readonly string[];
        readonly action: 'ignore' | 'replace' | 'add';
        readonly added?: readonly string[];
      };
      /** No later statement touches these rows, so they need not wait to become one with others. */
      readonly appends?: true;
    }
  /** The first column is the key; the others are set, or added to what is there. */
  | {
      readonly action: 'set' | 'add';
      readonly table: string;
      readonly columns: readonly ColumnWrite[];
    }
  /** The only column is the key. */
  | { readonly action: 'delete'; readonly table: string; readonly columns: readonly ColumnWrite[] };

export type Command =
  /** SQL with `?` for each parameter. */
  | { readonly run: 'query'; readonly sql: string; readonly parameters: readonly Value[] }
  | { readonly run: 'change'; readonly sql: string; readonly parameters: readonly Value[] }
  | { readonly run: 'load'; readonly load: LoadStatement; readonly keys: readonly string[] }
  | {
      readonly run: 'write';
      readonly write: WriteStatement;
      readonly rows: readonly (readonly Value[])[];
    };

/** Rows of `query` and `load`, the number of changed rows of `change` and `write`. */
export type CommandResult = readonly Row[] | number;

export type Steps<R> = Generator<Command, R, CommandResult>;

/** A kind of operation. `apply` may run again on the same operations after a rollback. */
export type Lane<Operation, Result> = {
  readonly name: string;
  /**
   * Where the engine has a journal, its rows may be durable there before they reach the database.
   * Such a lane loads what it needs before it writes, reads no result of `change`, names the primary
   * key first in every statement that is not `appends`, and never breaks a rule of the database.
   */
  readonly journaled?: true;
  /** Its operations may wait a moment for others to share their flush. */
  readonly patient?: true;
  /** One result for each operation, in order. Throwing rolls back all of them. */
  apply(operations: readonly Operation[]): Steps<readonly Result[]>;
};

export type SnapshotReader = { run(command: Command): Promise<CommandResult> };

export type Engine = {
  readonly kind: 'sqlite' | 'postgres';
  readonly nodeId: string;
  /** Raised each time a process starts under this node id; older processes are fenced. */
  readonly epoch: number;
  /**
   * Read while a lane applies: as long as it says the same, nobody else has written and nothing was
   * rolled back since, so rows read or written before are still right. `undefined`: never known.
   */
  readonly stateVersion: string | undefined;
  /** Why nothing more can be written before the database is opened anew. */
  readonly failure: StoreUnavailableError | undefined;
  /** Queues; resolves when this operation is durable. */
  submit<Operation, Result>(lane: Lane<Operation, Result>, operation: Operation): Promise<Result>;
  /** Short reads of what is durable: they see every operation that was acknowledged before. */
  read<R>(steps: () => Steps<R>): Promise<R>;
  /** Long reads of one moment's state; others go on meanwhile. */
  snapshot<R>(work: (reader: SnapshotReader) => Promise<R>): Promise<R>;
  /** Damage that the database itself finds; empty when there is none. */
  checkStorage(): Promise<readonly string[]>;
  close(): Promise<void>;
};

export function* query(sql: string, parameters: readonly Value[]): Steps<readonly Row[]> {
  return rowsOf(yield { run: 'query', sql, parameters });
}

export function* load(statement: LoadStatement, keys: readonly string[]): Steps<readonly Row[]> {
  if (keys.length === 0) return [];
  return rowsOf(yield { run: 'load', load: statement, keys });
}

export function* write(
  statement: WriteStatement,
  rows: readonly (readonly Value[])[],
): Steps<number> {
  if (rows.length === 0) return 0;
  return countOf(yield { run: 'write', write: statement, rows });
}

export function* change(sql: string, parameters: readonly Value[]): Steps<number> {
  return countOf(yield { run: 'change', sql, parameters });
}

export function rowsOf(result: CommandResult): readonly Row[] {
  if (typeof result === 'number') throw new TypeError('expected rows');
  return result;
}

export function countOf(result: CommandResult): number {
  if (typeof result !== 'number') throw new TypeError('expected a count');
  return result;
}

/** Readers of columns; a wrong type means a damaged database or a wrong query, never user input. */
export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`column ${column} is not text`);
  return value;
}

export function integerOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`column ${column} is not an integer`);
  return value;
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : textOf(row, column);
}

export function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integerOf(row, column);
}

export function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw new TypeError(`column ${column} is not bytes`);
  return value;
}
