/** One connection to a SQLite file: commands as statements, transactions, and what its errors mean. */

import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { StoreUnavailableError } from './contract.ts';
import type { Command, CommandResult, Row, Steps, Value, WriteStatement } from './engine.ts';
import type { Entry } from './frame.ts';
import { insertedAtOnce, sqliteLoad, sqliteWrite } from './statements.ts';

/** Result codes of sqlite3 (https://www.sqlite.org/rescode.html), primary part. */
const resultCode = { busy: 5, corrupt: 11, constraint: 19, notADatabase: 26 } as const;
/** SQLITE_IOERR_FSYNC and SQLITE_IOERR_DIR_FSYNC: what was written before may be gone from the disk. */
const failedFlush: readonly number[] = [1034, 1290];

export type ConnectionMode = 'NORMAL' | 'OFF' | 'reader';

/** Another writer is waited for by the one who asks, not inside of SQLite where everything stands still. */
const readTimeoutMs = 5000;

/**
 * Of files made from now on; older ones keep their 4096. Most of what is written are receipts of 1 KB, one after
 * the other, and each page costs two calls to write it to the log, one to read it and one to copy it.
 */
export const pageBytes = 8192;

export class Connection {
  readonly database: DatabaseSync;
  readonly #statements = new Map<unknown, StatementSync>();
  #inserts = new WeakMap<WriteStatement, StatementSync>();

  /** @param checkpointPages pages of the log after which a commit copies them; SQLite's 1,000 unless told */
  constructor(path: string, mode: ConnectionMode, checkpointPages = 1000) {
    this.database = new DatabaseSync(path, { timeout: readTimeoutMs, readOnly: mode === 'reader' });
    this.database.exec(
      'PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY',
    );
    if (mode === 'reader') return;
    this.database.exec(
      `PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = WAL; PRAGMA synchronous = ${mode}; PRAGMA wal_autocheckpoint = ${checkpointPages}; PRAGMA journal_size_limit = 67108864; PRAGMA busy_timeout = 0`,
    );
  }

  /** `false` when another connection writes. */
  begin(): boolean {
    try {
      this.database.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if (((errorCode(error) ?? 0) & 0xff) === resultCode.busy) return false;
      throw error;
    }
  }

  commit(): void {
    this.database.exec('COMMIT');
  }

  rollBack(): void {
    if (this.database.isTransaction) this.database.exec('ROLLBACK');
  }

  /** All of it or nothing, in a transaction that was begun. */
  finish<R>(steps: Steps<R>): R {
    try {
      const result = this.drive(steps);
      this.commit();
      return result;
    } catch (error) {
      this.rollBack();
      throw error;
    }
  }

  drive<R>(steps: Steps<R>): R {
    let next = steps.next();
    while (next.done !== true) next = steps.next(this.run(next.value));
    return next.value;
  }

  run(command: Command): CommandResult {
    switch (command.run) {
      case 'query':
        return this.query(command.sql, ...command.parameters);
      case 'change':
        return Number(this.#prepare(command.sql, command.sql).run(...command.parameters).changes);
      case 'load':
        return this.#load(command);
      case 'write':
        return this.#write(command);
    }
  }

  query(
    sql: string,
    ...parameters: Extract<Command, { run: 'query' }>['parameters']
  ): readonly Row[] {
    return this.#prepare(sql, sql).all(...parameters) as Row[];
  }

  /** A bound method: the overlay and the replay of the journal write with it. */
  readonly repeat = (entry: Entry): void => {
    if (entry.kind === 'rows') this.#write(entry);
    else this.#prepare(entry.sql, entry.sql).run(...entry.parameters);
  };

  close(): void {
    this.#statements.clear();
    this.#inserts = new WeakMap();
    if (this.database.isOpen) this.database.close();
  }

  #load(command: Extract<Command, { run: 'load' }>): readonly Row[] {
    const statement =
      this.#statements.get(command.load) ?? this.#prepare(command.load, sqliteLoad(command.load));
    const rows: Row[] = [];
    for (const key of command.keys) {
      if (command.load.many) for (const row of statement.all(key)) rows.push(row as Row);
      else {
        const row = statement.get(key);
        if (row) rows.push(row as Row);
      }
    }
    return rows;
  }

  #write({ write, rows }: Pick<Extract<Command, { run: 'write' }>, 'write' | 'rows'>): number {
    let changes = 0;
    let next = 0;
    if (write.action === 'insert')
      for (; next + insertedAtOnce <= rows.length; next += insertedAtOnce)
        changes += this.#insertMany(write, rows.slice(next, next + insertedAtOnce));
    if (next === rows.length) return changes;
    const statement = this.#statements.get(write) ?? this.#prepare(write, sqliteWrite(write));
    for (; next < rows.length; next += 1)
      changes += Number(statement.run(...(rows[next] ?? [])).changes);
    return changes;
  }

  #insertMany(
    write: Extract<WriteStatement, { action: 'insert' }>,
    rows: readonly (readonly Value[])[],
  ): number {
    let statement = this.#inserts.get(write);
    if (!statement) {
      statement = this.database.prepare(sqliteWrite(write, insertedAtOnce));
      this.#inserts.set(write, statement);
    }
    return Number(statement.run(...rows.flat()).changes);
  }

  #prepare(key: unknown, sql: string): StatementSync {
    const known = this.#statements.get(key);
    if (known) return known;
    if (this.#statements.size >= 500) this.#statements.clear();
    const statement = this.database.prepare(sql);
    this.#statements.set(key, statement);
    return statement;
  }
}

function errorCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code : undefined;
}

/** After this one nothing more is written until the file is opened anew. */
export class FinalStoreError extends StoreUnavailableError {}

export function isOfSqlite(error: unknown): boolean {
  return errorCode(error) !== undefined;
}

export function isConstraint(error: unknown): boolean {
  return ((errorCode(error) ?? 0) & 0xff) === resultCode.constraint;
}

/** A broken constraint or a bug in one operation must not fail the others of its batch. */
export function concernsOneOperation(error: unknown): boolean {
  if (error instanceof StoreUnavailableError) return false;
  return errorCode(error) === undefined || isConstraint(error);
}

export function unavailable(error: unknown): unknown {
  if (error instanceof StoreUnavailableError) return error;
  const reason = error instanceof Error ? error.message : 'unknown';
  const code = errorCode(error);
  if (code !== undefined && !isConstraint(error))
    return new StoreUnavailableError(
      'store_unavailable',
      `SQLite could not do it (${code}): ${reason}`,
      error,
    );
  if (error instanceof Error && 'syscall' in error)
    return new StoreUnavailableError(
      'store_unavailable',
      `a file of the store failed: ${reason}`,
      error,
    );
  return error;
}

/** After these no later success could be trusted before the file was opened anew. */
export function isFinal(refusal: StoreUnavailableError): boolean {
  if (refusal.code === 'store_fenced' || refusal instanceof FinalStoreError) return true;
  const code = errorCode(refusal.cause);
  if (code === undefined) return false;
  return (
    failedFlush.includes(code) ||
    (code & 0xff) === resultCode.corrupt ||
    (code & 0xff) === resultCode.notADatabase
  );
}
