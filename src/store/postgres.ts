import { setTimeout as pause } from 'node:timers/promises';
import { applyBatch, enqueue, type Queued } from './batch.ts';
import { StoreUnavailableError } from './contract.ts';
import type { Engine, Lane, SnapshotReader, Steps } from './engine.ts';
import { migrate } from './migrate.ts';
import {
  concernsOneOperation,
  Connection,
  errorCode,
  Pool,
  unavailable,
  writeSession,
  type Place,
} from './postgres-connection.ts';

export type PostgresOptions = {
  readonly url: string;
  readonly nodeId: string;
  readonly nowMs: number;
  /** Operations in one transaction. Default 512: a batch costs round trips, not pauses. */
  readonly batchMax?: number;
  readonly answerMsMax?: number;
};

/** A statement that takes longer is stuck behind a lock or a dead disk. */
const answerMsDefault = 15_000;
/** How long a database that restarts or moves is asked what became of a commit, and how often. */
const askMsMax = 10_000;
const askEveryMs = 100;
/** A batch that lost a deadlock, a serialization conflict or a race for a key is run again. */
const conflictRetriesMax = 5;
/** Any number, the same for all nodes: one of them migrates, the others wait. */
const migrationLock = 7_205_759_403;

export async function openPostgresEngine(options: PostgresOptions): Promise<Engine> {
  const { url, answerMsMax: answerMs = answerMsDefault } = options;
  const place = { url, answerMs };
  const first = await Connection.open(place, writeSession(place));
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
  failure: StoreUnavailableError | undefined;

  constructor(options: PostgresOptions, writer: Connection, epoch: number) {
    this.#place = { url: options.url, answerMs: options.answerMsMax ?? answerMsDefault };
    this.nodeId = options.nodeId;
    this.#batchMax = options.batchMax ?? 512;
    this.#writer = writer;
    this.epoch = epoch;
    this.#readers = new Pool(this.#place);
  }

  submit<Operation, Result>(lane: Lane<Operation, Result>, operation: Operation): Promise<Result> {
    if (this.failure) return Promise.reject(this.failure);
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
    this.failure ??= new StoreUnavailableError('store_unavailable', 'the store is closed');
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
      if (this.failure) throw this.failure;
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
        this.failure = refusal;
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
    this.#writer ??= await Connection.open(this.#place, writeSession(this.#place));
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

/** Also a row that another node has made at the same moment: the second look finds it. */
function isConflict(error: unknown): boolean {
  const code = errorCode(error);
  return code === '40001' || code === '40P01' || code === '23505';
}
