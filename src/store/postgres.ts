import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { applyBatch, enqueue, type Queued } from './batch.ts';
import { StoreUnavailableError } from './contract.ts';
import type {
  Command,
  CommandResult,
  Engine,
  Lane,
  Row,
  SnapshotReader,
  Steps,
  Value,
  WriteStatement,
} from './engine.ts';
import { migrate } from './migrate.ts';
import { numberParameters, postgresLoad, postgresWrite } from './statements.ts';

export type PostgresOptions = {
  readonly url: string;
  readonly nodeId: string;
  readonly nowMs: number;
  /** Operations in one transaction. Default 512: a batch costs round trips, not pauses. */
  readonly batchMax?: number;
  readonly answerMsMax?: number;
};

const connectTimeoutMs = 5000;
/** A statement that takes longer is stuck behind a lock or a dead disk. */
const answerMsDefault = 15_000;
const readConnectionsMax = 4;
/** How long a database that restarts or moves is asked what became of a commit, and how often. */
const askMsMax = 10_000;
const askEveryMs = 100;
/** A batch that lost a deadlock or a serialization conflict is run again. */
const conflictRetriesMax = 5;
/** Any number, the same for all nodes: one of them migrates, the others wait. */
const migrationLock = 7_205_759_403;

export async function openPostgresEngine(options: PostgresOptions): Promise<Engine> {
  const { url, answerMsMax: answerMs = answerMsDefault } = options;
  const first = await Connection.open({ url, answerMs }, writeSession);
  let epoch: number;
  try {
    epoch = await first.transact('BEGIN', function* () {
      yield { run: 'query', sql: 'SELECT pg_advisory_xact_lock(?)', parameters: [migrationLock] };
      yield* migrate('postgres', options.nowMs);
      return yield* raiseEpoch(options.nodeId, options.nowMs);
    });
  } catch (error) {
    await first.close();
    throw error;
  }
  return new PostgresEngine(options, first, epoch);
}

/** One connection writes batch after batch, a few others read. */
class PostgresEngine implements Engine {
  readonly kind = 'postgres';
  readonly nodeId: string;
  readonly epoch: number;
  /** Other nodes may write at any time. */
  readonly stateVersion = undefined;
  readonly #place: Place;
  readonly #batchMax: number;
  readonly #readers: Pool;
  #writer: Connection | undefined;
  #queue: Queued[] = [];
  #running: Promise<void> | undefined;
  #failure: StoreUnavailableError | undefined;

  constructor(options: PostgresOptions, writer: Connection, epoch: number) {
    this.#place = { url: options.url, answerMs: options.answerMsMax ?? answerMsDefault };
    this.nodeId = options.nodeId;
    this.#batchMax = options.batchMax ?? 512;
    this.#writer = writer;
    this.epoch = epoch;
    this.#readers = new Pool(this.#place);
  }

  submit<Operation, Result>(lane: Lane<Operation, Result>, operation: Operation): Promise<Result> {
    if (this.#failure) return Promise.reject(this.#failure);
    const result = enqueue(this.#queue, lane, operation);
    this.#running ??= this.#work();
    return result;
  }

  read<R>(steps: () => Steps<R>): Promise<R> {
    return this.#readers.use((connection) => connection.drive(steps()));
  }

  snapshot<R>(work: (reader: SnapshotReader) => Promise<R>): Promise<R> {
    return this.#readers.use(async (connection) => {
      await connection.execute('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      try {
        return await work({ run: (command) => connection.run(command) });
      } finally {
        if (!connection.broken) await connection.execute('ROLLBACK');
      }
    });
  }

  /** PostgreSQL reports damage when it reads it (data checksums); there is no quick check of all. */
  checkStorage(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  async close(): Promise<void> {
    await this.#running;
    this.#failure ??= new StoreUnavailableError('store_unavailable', 'the store is closed');
    await this.#readers.close();
    await this.#writer?.close();
  }

  /** While one batch is on its way the next one gathers. */
  async #work(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, this.#batchMax);
      this.#queue = this.#queue.slice(batch.length);
      await this.#commit(batch, 0);
    }
    this.#running = undefined;
  }

  async #commit(batch: readonly Queued[], retries: number): Promise<void> {
    let results: readonly unknown[];
    try {
      if (this.#failure) throw this.#failure;
      results = await this.#transact(batch);
    } catch (error) {
      if (isConflict(error) && retries < conflictRetriesMax)
        return this.#commit(batch, retries + 1);
      if (batch.length > 1 && concernsOneOperation(error)) {
        for (const queued of batch) await this.#commit([queued], 0);
        return;
      }
      const refusal = unavailable(error);
      if (refusal instanceof StoreUnavailableError && refusal.code === 'store_fenced')
        this.#failure = refusal;
      for (const queued of batch) queued.reject(refusal);
      return;
    }
    for (const [index, queued] of batch.entries()) queued.resolve(results[index]);
  }

  /** When the connection breaks in the middle of COMMIT, the database is asked what became of it. */
  async #transact(batch: readonly Queued[]): Promise<readonly unknown[]> {
    const writer = await this.#connected();
    let transactionId: string | undefined;
    let results: readonly unknown[] | undefined;
    const steps = fenced(this.nodeId, this.epoch, batch, (id) => {
      transactionId = id;
    });
    try {
      await writer.transact('BEGIN', function* () {
        results = yield* steps;
        return results;
      });
    } catch (error) {
      if (!writer.broken) throw error;
      await this.#dropWriter();
      if (results === undefined || transactionId === undefined) throw error;
      if (!(await this.#wasCommitted(transactionId))) throw error;
    }
    if (results === undefined) throw new TypeError('a batch without results');
    return results;
  }

  async #connected(): Promise<Connection> {
    if (this.#writer?.broken === true) await this.#dropWriter();
    this.#writer ??= await Connection.open(this.#place, writeSession);
    return this.#writer;
  }

  async #dropWriter(): Promise<void> {
    await this.#writer?.close();
    this.#writer = undefined;
  }

  /** Not until it can be asked is it known: what was refused and yet happened would be a lost hold or charge. */
  async #wasCommitted(transactionId: string): Promise<boolean> {
    const untilMs = performance.now() + askMsMax;
    for (;;) {
      try {
        const status = await this.#statusOf(transactionId);
        // Its backend may not have noticed yet that nobody listens.
        if (status !== 'in progress') return status === 'committed';
        if (performance.now() >= untilMs) return false;
      } catch (error) {
        const isReached = this.#writer?.broken === false;
        if (isReached || performance.now() >= untilMs) throw error;
      }
      await pause(askEveryMs);
    }
  }

  async #statusOf(transactionId: string): Promise<unknown> {
    const writer = await this.#connected();
    const rows = await writer.run({
      run: 'query',
      sql: 'SELECT pg_xact_status(CAST(? AS xid8)) AS status',
      parameters: [transactionId],
    });
    return typeof rows === 'number' ? undefined : rows[0]?.['status'];
  }
}

/** Exact, or an error: a sum that passes the safe integers must be read as text. */
function readInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value))
    throw new RangeError(`the database holds an integer that is not exact here: ${text}`);
  return value;
}

const bigintType = 20;
const types: pg.CustomTypesConfig = {
  getTypeParser: (type: number, format?: string): ((text: string) => unknown) =>
    type === bigintType ? readInteger : readOther(type, format === 'binary' ? 'binary' : 'text'),
};

function readOther(type: number, format: 'text' | 'binary'): (text: string) => unknown {
  return pg.types.getTypeParser(type, format) as (text: string) => unknown;
}

/**
 * The writer only looks up keys. Its plans are made while tables are empty and then kept, so a
 * sequential scan must not be among them.
 */
const writeSession = 'SET synchronous_commit = on; SET enable_seqscan = off; SET jit = off';
const readSession = 'SET default_transaction_read_only = on';

/** Where the database is, and how long it may take to answer. */
type Place = { readonly url: string; readonly answerMs: number };

class Connection {
  readonly #client: pg.Client;
  readonly #names = new Map<string, string>();
  readonly #texts = new Map<unknown, string>();
  broken = false;

  static async open({ url, answerMs }: Place, session: string = readSession): Promise<Connection> {
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: connectTimeoutMs,
      statement_timeout: answerMs,
      // One that is too slow says so itself; one that says nothing cannot be reached.
      query_timeout: Math.ceil(answerMs * 1.3),
      application_name: 'manifold',
      types,
    });
    const connection = new Connection(client);
    try {
      await client.connect();
      await client.query(session);
    } catch (error) {
      await connection.close();
      throw unavailable(error);
    }
    return connection;
  }

  private constructor(client: pg.Client) {
    this.#client = client;
    client.on('error', () => {
      this.broken = true;
    });
    client.on('end', () => {
      this.broken = true;
    });
  }

  async transact<R>(begin: string, steps: () => Steps<R>): Promise<R> {
    try {
      await this.execute(begin);
      const result = await this.drive(steps());
      await this.execute('COMMIT');
      return result;
    } catch (error) {
      if (!this.broken) await this.execute('ROLLBACK').catch(() => (this.broken = true));
      throw error;
    }
  }

  async drive<R>(steps: Steps<R>): Promise<R> {
    let next = steps.next();
    while (next.done !== true) next = steps.next(await this.run(next.value));
    return next.value;
  }

  async execute(sql: string): Promise<void> {
    await this.#ask({ text: sql });
  }

  async run(command: Command): Promise<CommandResult> {
    switch (command.run) {
      case 'query':
        return (await this.#send(this.#text(command.sql, numberParameters), command.parameters))
          .rows as Row[];
      case 'change':
        return (
          (await this.#send(this.#text(command.sql, numberParameters), command.parameters))
            .rowCount ?? 0
        );
      case 'load':
        return (await this.#send(this.#text(command.load, postgresLoad), [command.keys]))
          .rows as Row[];
      case 'write':
        return (
          (
            await this.#send(
              this.#text(command.write, postgresWrite),
              columnsOf(command.write, command.rows),
            )
          ).rowCount ?? 0
        );
    }
  }

  async close(): Promise<void> {
    this.broken = true;
    await this.#client.end().catch(() => undefined);
  }

  /** Each text is prepared once per connection. Schema statements are many and used once. */
  #send(text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    if (text.startsWith('CREATE')) return this.#ask({ text });
    let name = this.#names.get(text);
    if (name === undefined && this.#names.size < 500) {
      name = `m${this.#names.size}`;
      this.#names.set(text, name);
    }
    return this.#ask({ text, values: [...values], ...(name === undefined ? {} : { name }) });
  }

  async #ask(question: pg.QueryConfig): Promise<pg.QueryResult> {
    try {
      return await this.#client.query(question);
    } catch (error) {
      // What comes after it would wait for the same answer.
      if (isTimeout(error)) this.broken = true;
      throw error;
    }
  }

  #text<Key>(key: Key, make: (key: Key) => string): string {
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    const text = make(key);
    if (this.#texts.size < 1000) this.#texts.set(key, text);
    return text;
  }
}

/** Read connections, opened when needed; one that fails is thrown away. */
class Pool {
  readonly #place: Place;
  readonly #idle: Connection[] = [];
  readonly #waiting: (() => void)[] = [];
  #open = 0;

  constructor(place: Place) {
    this.#place = place;
  }

  async use<R>(work: (connection: Connection) => Promise<R>): Promise<R> {
    while (this.#open >= readConnectionsMax && this.#idle.length === 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    let connection = this.#idle.pop();
    // It ended while nobody used it: the database was restarted, or something between grew tired of it.
    while (connection?.broken === true) {
      this.#open -= 1;
      connection = this.#idle.pop();
    }
    this.#open += connection ? 0 : 1;
    try {
      connection ??= await Connection.open(this.#place);
      return await work(connection);
    } catch (error) {
      throw unavailable(error);
    } finally {
      if (connection && !connection.broken) this.#idle.push(connection);
      else {
        this.#open -= 1;
        void connection?.close();
      }
      this.#waiting.shift()?.();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }
}

function columnsOf(
  write: WriteStatement,
  rows: readonly (readonly Value[])[],
): readonly (readonly Value[])[] {
  return write.columns.map((_, index) => rows.map((row) => row[index] ?? null));
}

function* raiseEpoch(nodeId: string, nowMs: number): Steps<number> {
  const rows = yield {
    run: 'query',
    sql: 'INSERT INTO nodes (node_id, epoch, started_at_ms) VALUES (?, 1, ?) ON CONFLICT (node_id) DO UPDATE SET epoch = nodes.epoch + 1, started_at_ms = excluded.started_at_ms RETURNING epoch',
    parameters: [nodeId, nowMs],
  };
  return typeof rows === 'number' ? 0 : Number(rows[0]?.['epoch']);
}

/** The share lock holds off whoever wants to raise the epoch until this batch is decided. */
function* fenced(
  nodeId: string,
  epoch: number,
  batch: readonly Queued[],
  began: (transactionId: string) => void,
): Steps<readonly unknown[]> {
  const rows = yield {
    run: 'query',
    sql: 'SELECT epoch, CAST(pg_current_xact_id() AS text) AS transaction_id FROM nodes WHERE node_id = ? FOR SHARE',
    parameters: [nodeId],
  };
  const row = typeof rows === 'number' ? undefined : rows[0];
  if (row?.['epoch'] !== epoch)
    throw new StoreUnavailableError('store_fenced', `a newer process writes as node ${nodeId}`);
  began(String(row['transaction_id']));
  return yield* applyBatch(batch);
}

/** SQLSTATE (https://www.postgresql.org/docs/15/errcodes-appendix.html) or a socket error's name. */
function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

function isConflict(error: unknown): boolean {
  const code = errorCode(error);
  return code === '40001' || code === '40P01';
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

/** A broken constraint or a bug in one operation must not fail the others of its batch. */
function concernsOneOperation(error: unknown): boolean {
  if (error instanceof StoreUnavailableError) return false;
  const code = errorCode(error);
  return code?.startsWith('23') ?? (error instanceof TypeError || error instanceof RangeError);
}

function unavailable(error: unknown): unknown {
  if (error instanceof StoreUnavailableError || concernsOneOperation(error)) return error;
  const reason = error instanceof Error ? error.message : 'unknown';
  return new StoreUnavailableError(
    'store_unavailable',
    `PostgreSQL could not do it (${errorCode(error) ?? 'no code'}): ${reason}`,
    error,
  );
}
