import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { applyBatch, enqueue, type Queued } from './batch.ts';
import { StoreUnavailableError } from './contract.ts';
import type { Command, CommandResult, Engine, Lane, Row, SnapshotReader, Steps } from './engine.ts';
import { sqliteLoad, sqliteWrite } from './statements.ts';
import { migrate } from './migrate.ts';

export type SqliteOptions = {
  readonly path: string;
  readonly nodeId: string;
  readonly nowMs: number;
  /** `FULL` in service: NORMAL loses acknowledged commits in a power cut. `OFF` for models in tests. */
  readonly synchronous?: 'FULL' | 'NORMAL' | 'OFF';
  /** Pages of the write-ahead log before it is copied into the file. Default 4000 (16 MiB). */
  readonly checkpointPages?: number;
  /** Operations in one transaction. More lengthens the pause of the event loop. Default 128. */
  readonly batchMax?: number;
};

/** Result codes of sqlite3 (https://www.sqlite.org/rescode.html), primary part. */
const resultCode = {
  full: 13,
  ioError: 10,
  corrupt: 11,
  notADatabase: 26,
  constraint: 19,
} as const;
/** SQLITE_IOERR_FSYNC and SQLITE_IOERR_DIR_FSYNC: what was written before may be gone from the disk. */
const failedFlush: readonly number[] = [1034, 1290];

export function openSqliteEngine(options: SqliteOptions): Engine {
  return new SqliteEngine(options);
}

/** One connection writes, in the order of the queue; another one reads. */
class SqliteEngine implements Engine {
  readonly kind = 'sqlite';
  readonly nodeId: string;
  readonly epoch: number;
  stateVersion: string | undefined;
  #rollbacks = 0;
  readonly #path: string;
  readonly #batchMax: number;
  readonly #writer: Connection;
  readonly #reader: Connection;
  #queue: Queued[] = [];
  #scheduled = false;
  #failure: StoreUnavailableError | undefined;
  #idle: (() => void)[] = [];

  constructor(options: SqliteOptions) {
    this.#path = options.path;
    this.nodeId = options.nodeId;
    this.#batchMax = options.batchMax ?? 128;
    this.#writer = new Connection(
      options.path,
      options.synchronous ?? 'FULL',
      options.checkpointPages,
    );
    this.#writer.transact(migrate('sqlite', options.nowMs));
    this.epoch = this.#writer.transact(raiseEpoch(options.nodeId, options.nowMs));
    this.#reader =
      options.path === ':memory:' ? this.#writer : new Connection(options.path, 'reader');
  }

  submit<Operation, Result>(lane: Lane<Operation, Result>, operation: Operation): Promise<Result> {
    if (this.#failure) return Promise.reject(this.#failure);
    const result = enqueue(this.#queue, lane, operation);
    this.#schedule();
    return result;
  }

  async read<R>(steps: () => Steps<R>): Promise<R> {
    try {
      return this.#reader.drive(steps());
    } catch (error) {
      throw unavailable(error);
    }
  }

  async snapshot<R>(work: (reader: SnapshotReader) => Promise<R>): Promise<R> {
    const connection =
      this.#path === ':memory:' ? this.#writer : new Connection(this.#path, 'reader');
    if (connection !== this.#writer) connection.database.exec('BEGIN');
    try {
      return await work({ run: async (command) => connection.run(command) });
    } catch (error) {
      throw unavailable(error);
    } finally {
      if (connection !== this.#writer) connection.close();
    }
  }

  async checkStorage(): Promise<readonly string[]> {
    try {
      const rows = this.#reader.run({
        run: 'query',
        sql: 'PRAGMA integrity_check(100)',
        parameters: [],
      });
      if (typeof rows === 'number') return [];
      return rows.map((row) => String(row['integrity_check'])).filter((line) => line !== 'ok');
    } catch (error) {
      return [error instanceof Error ? error.message : 'integrity check failed'];
    }
  }

  async close(): Promise<void> {
    while (this.#scheduled) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#failure ??= new StoreUnavailableError('store_unavailable', 'the store is closed');
    if (this.#reader !== this.#writer) this.#reader.close();
    this.#writer.close();
  }

  /** After all input of this turn of the event loop was seen; no waiting beyond that. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    const batch = this.#queue.slice(0, this.#batchMax);
    this.#queue = this.#queue.length > batch.length ? this.#queue.slice(batch.length) : [];
    this.#scheduled = false;
    this.#commit(batch);
    if (this.#queue.length > 0) this.#schedule();
    else for (const resolve of this.#idle.splice(0)) resolve();
  }

  /**
   * A process that was replaced under its own name must not write any more. Who replaces it has
   * committed, so the question is asked only when somebody else has written.
   */
  *#fenced(batch: readonly Queued[]): Steps<readonly unknown[]> {
    const versions = yield { run: 'query', sql: dataVersionSql, parameters: [] };
    const version = `${typeof versions === 'number' ? '' : String(versions[0]?.['data_version'])}.${this.#rollbacks}`;
    if (version !== this.stateVersion) {
      const rows = yield { run: 'query', sql: epochSql, parameters: [this.nodeId] };
      if (typeof rows === 'number' || rows[0]?.['epoch'] !== this.epoch) {
        throw new StoreUnavailableError(
          'store_fenced',
          `a newer process writes as node ${this.nodeId}`,
        );
      }
      this.stateVersion = version;
    }
    return yield* applyBatch(batch);
  }

  #commit(batch: readonly Queued[]): void {
    let results: readonly unknown[];
    try {
      if (this.#failure) throw this.#failure;
      results = this.#writer.transact(this.#fenced(batch));
    } catch (error) {
      this.#rollbacks += 1;
      if (batch.length > 1 && concernsOneOperation(error)) {
        for (const queued of batch) this.#commit([queued]);
        return;
      }
      const refusal = unavailable(error);
      if (refusal instanceof StoreUnavailableError && isFinal(refusal)) this.#failure = refusal;
      for (const queued of batch) queued.reject(refusal);
      return;
    }
    for (const [index, queued] of batch.entries()) queued.resolve(results[index]);
  }
}

/** Changes when another connection has committed (https://www.sqlite.org/pragma.html#pragma_data_version). */
const dataVersionSql = 'PRAGMA data_version';

class Connection {
  readonly database: DatabaseSync;
  readonly #statements = new Map<unknown, StatementSync>();

  constructor(path: string, mode: 'FULL' | 'NORMAL' | 'OFF' | 'reader', checkpointPages = 4000) {
    this.database = new DatabaseSync(path, { timeout: 5000, readOnly: mode === 'reader' });
    this.database.exec(
      'PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY',
    );
    if (mode === 'reader') return;
    this.database.exec(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${mode}; PRAGMA wal_autocheckpoint = ${checkpointPages}; PRAGMA journal_size_limit = 67108864`,
    );
  }

  /** IMMEDIATE: a second process waits at the start, not in the middle. */
  transact<R>(steps: Steps<R>): R {
    this.database.exec('BEGIN IMMEDIATE');
    try {
      const result = this.drive(steps);
      this.database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.database.isTransaction) this.database.exec('ROLLBACK');
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
        return this.#prepare(command.sql, command.sql).all(...command.parameters) as Row[];
      case 'change':
        return Number(this.#prepare(command.sql, command.sql).run(...command.parameters).changes);
      case 'load':
        return this.#load(command);
      case 'write':
        return this.#write(command);
    }
  }

  close(): void {
    this.#statements.clear();
    if (this.database.isOpen) this.database.close();
  }

  #load(command: Extract<Command, { run: 'load' }>): readonly Row[] {
    const statement =
      this.#cached(command.load) ?? this.#prepare(command.load, sqliteLoad(command.load));
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

  #write(command: Extract<Command, { run: 'write' }>): number {
    const { write, rows } = command;
    const statement = this.#cached(write) ?? this.#prepare(write, sqliteWrite(write));
    let changes = 0;
    for (const row of rows) changes += Number(statement.run(...row).changes);
    return changes;
  }

  #cached(key: unknown): StatementSync | undefined {
    return this.#statements.get(key);
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

const epochSql = 'SELECT epoch FROM nodes WHERE node_id = ?';

function* raiseEpoch(nodeId: string, nowMs: number): Steps<number> {
  yield {
    run: 'change',
    sql: 'INSERT INTO nodes (node_id, epoch, started_at_ms) VALUES (?, 1, ?) ON CONFLICT (node_id) DO UPDATE SET epoch = nodes.epoch + 1, started_at_ms = excluded.started_at_ms',
    parameters: [nodeId, nowMs],
  };
  const rows = yield { run: 'query', sql: epochSql, parameters: [nodeId] };
  return typeof rows === 'number' ? 0 : Number(rows[0]?.['epoch']);
}

function errorCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code : undefined;
}

/** A broken constraint or a bug in one operation must not fail the others of its batch. */
function concernsOneOperation(error: unknown): boolean {
  if (error instanceof StoreUnavailableError) return false;
  const code = errorCode(error);
  return code === undefined || (code & 0xff) === resultCode.constraint;
}

function unavailable(error: unknown): unknown {
  const code = errorCode(error);
  if (error instanceof StoreUnavailableError || code === undefined) return error;
  if ((code & 0xff) === resultCode.constraint) return error;
  const reason = error instanceof Error ? error.message : 'unknown';
  return new StoreUnavailableError(
    'store_unavailable',
    `SQLite could not do it (${code}): ${reason}`,
    error,
  );
}

/** After these no later success could be trusted before the file was opened anew. */
function isFinal(refusal: StoreUnavailableError): boolean {
  if (refusal.code === 'store_fenced') return true;
  const code = errorCode(refusal.cause);
  if (code === undefined) return false;
  return (
    failedFlush.includes(code) ||
    (code & 0xff) === resultCode.corrupt ||
    (code & 0xff) === resultCode.notADatabase
  );
}
