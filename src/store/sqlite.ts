import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { enqueue, type Queued } from './batch.ts';
import { MissingDatabaseError, StoreUnavailableError } from './contract.ts';
import type { Engine, Lane, SnapshotReader, Steps } from './engine.ts';
import { Gathering } from './gathering.ts';
import { concernsOneOperation, Connection, isFinal, unavailable } from './sqlite-connection.ts';
import { SqliteWriter, type Synchronous } from './sqlite-writer.ts';

export type SqliteOptions = {
  readonly path: string;
  readonly nodeId: string;
  readonly nowMs: number;
  /** `FULL` in service: NORMAL loses acknowledged commits in a power cut. `OFF` for models in tests. */
  readonly synchronous?: Synchronous;
  /** Pages of the write-ahead log before they are copied into the file, on another thread. Default 1000 (8 MiB). */
  readonly checkpointPages?: number;
  /** Operations in one batch. More lengthens the pause of the event loop. Default 128. */
  readonly batchMax?: number;
  /** Size of the journal's files. Default 8 MiB. */
  readonly journalSegmentBytes?: number;
  /** Told once, when nothing more can be written until the file is opened anew. */
  readonly onStop?: (reason: StoreUnavailableError) => void;
};

const segmentBytesDefault = 8_388_608;
const tickMs = 20;
/** Rows reach the database after this many ticks, if nobody asks for them before. */
const ticksToFlush = 10;
/** Operations that wait for others, at most: as many make a batch of their own. */
const patientMax = 64;

export async function openSqliteEngine(options: SqliteOptions): Promise<Engine> {
  let engine: SqliteEngine | undefined;
  refuseLostFile(options.path);
  const writer = new SqliteWriter({
    path: options.path,
    nodeId: options.nodeId,
    synchronous: options.synchronous ?? 'FULL',
    checkpointPages: options.checkpointPages,
    journalSegmentBytes: options.journalSegmentBytes ?? segmentBytesDefault,
    onFailure: (error) => engine?.fail(error),
  });
  try {
    const epoch = await writer.open(options.nowMs);
    const inMemory = options.path === ':memory:';
    const reader = inMemory ? writer.connection : new Connection(options.path, 'reader');
    engine = new SqliteEngine(options, { writer, reader, epoch });
    return engine;
  } catch (error) {
    await writer.close();
    throw error;
  }
}

/** SQLite would make a new file, and remove the log of the old one. Throws {@link MissingDatabaseError}. */
function refuseLostFile(path: string): void {
  if (path === ':memory:' || existsSync(path)) return;
  const name = basename(path);
  const leftOver = readdirSync(dirname(path)).filter(
    (file) =>
      file.startsWith(name) &&
      /^(-wal|\.journal-\d)$/.test(file.slice(name.length)) &&
      statSync(join(dirname(path), file)).size > 0,
  );
  if (leftOver.length > 0) throw new MissingDatabaseError(path, leftOver.sort());
}

/** The queue in front of the writer, and the reads beside it. One thing at a time, in order. */
class SqliteEngine implements Engine {
  readonly kind = 'sqlite';
  readonly nodeId: string;
  readonly epoch: number;
  readonly #options: SqliteOptions;
  readonly #batchMax: number;
  readonly #writer: SqliteWriter;
  readonly #reader: Connection;
  #queue: Queued[] = [];
  /** Operations that go with the next batch, or when the tick comes. */
  #patient: Queued[] = [];
  #patientDue = false;
  readonly #gathering = new Gathering(() => performance.now());
  /** What must not happen while a frame is on its way. */
  readonly #errands: (() => Promise<void>)[] = [];
  #working = false;
  failure: StoreUnavailableError | undefined;
  #idle: (() => void)[] = [];
  #tick: NodeJS.Timeout | undefined;
  #ticksHeld = 0;

  constructor(
    options: SqliteOptions,
    opened: { readonly writer: SqliteWriter; readonly reader: Connection; readonly epoch: number },
  ) {
    this.#options = options;
    this.nodeId = options.nodeId;
    this.epoch = opened.epoch;
    this.#batchMax = options.batchMax ?? 128;
    this.#writer = opened.writer;
    this.#reader = opened.reader;
  }

  get stateVersion(): string | undefined {
    return this.#writer.stateVersion;
  }

  submit<Operation, Result>(lane: Lane<Operation, Result>, operation: Operation): Promise<Result> {
    if (this.failure) return Promise.reject(this.failure);
    if (lane.patient !== true || this.#isInMemory) {
      const result = enqueue(this.#queue, lane, operation);
      this.#gathering.grown(this.#queue.length);
      this.#schedule();
      return result;
    }
    const result = enqueue(this.#patient, lane, operation);
    if (this.#patient.length >= patientMax) this.#hurryPatient();
    else this.#armTick();
    return result;
  }

  async read<R>(steps: () => Steps<R>): Promise<R> {
    try {
      if (this.#isInMemory) return this.#reader.drive(steps());
      if (this.#writer.held) return this.#writer.expose().drive(steps());
      if (this.#writer.isBehind(this.#reader)) await this.#errand(() => this.#writer.settle());
      return this.#reader.drive(steps());
    } catch (error) {
      throw this.#judge(error);
    }
  }

  async snapshot<R>(work: (reader: SnapshotReader) => Promise<R>): Promise<R> {
    if (this.#isInMemory) return work({ run: async (command) => this.#reader.run(command) });
    await this.#settle();
    const connection = new Connection(this.#options.path, 'reader');
    try {
      connection.database.exec('BEGIN');
      // The moment of the snapshot is that of its first read.
      connection.query('SELECT count(*) FROM nodes');
      return await work({ run: async (command) => connection.run(command) });
    } catch (error) {
      throw unavailable(error);
    } finally {
      connection.close();
    }
  }

  async checkStorage(): Promise<readonly string[]> {
    try {
      await this.#settle();
      const rows = this.#reader.query('PRAGMA integrity_check(100)');
      return rows.map((row) => String(row['integrity_check'])).filter((line) => line !== 'ok');
    } catch (error) {
      return [error instanceof Error ? error.message : 'integrity check failed'];
    }
  }

  async close(): Promise<void> {
    this.#hurryPatient();
    while (this.#working) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.failure ??= new StoreUnavailableError('store_unavailable', 'the store is closed');
    clearTimeout(this.#tick);
    try {
      this.#writer.flush();
    } catch {
      // The rows are durable in the journal; who opens the file next brings them to the database.
    }
    if (this.#reader !== this.#writer.connection) this.#reader.close();
    await this.#writer.close();
  }

  /** Something went wrong beside the queue. */
  fail(error: unknown): void {
    this.#judge(error);
  }

  get #isInMemory(): boolean {
    return this.#reader === this.#writer.connection;
  }

  #settle(): Promise<void> {
    return this.#isInMemory ? Promise.resolve() : this.#errand(() => this.#writer.settle());
  }

  /** Runs it when no frame is on its way. */
  async #errand(work: () => Promise<void>): Promise<void> {
    const outcome: { failure?: Error } = {};
    await new Promise<void>((resolve) => {
      this.#errands.push(async () => {
        try {
          await work();
        } catch (error) {
          const reason = this.#judge(error);
          outcome.failure = reason instanceof Error ? reason : new Error('unknown failure');
        }
        resolve();
      });
      this.#gathering.hurry();
      this.#schedule();
    });
    if (outcome.failure) throw outcome.failure;
  }

  #hurryPatient(): void {
    this.#patientDue = this.#patient.length > 0;
    if (this.#patientDue) this.#schedule();
  }

  /** After all input of this turn of the event loop was seen; no waiting beyond that. */
  #schedule(): void {
    if (this.#working) return;
    this.#working = true;
    setImmediate(() => void this.#work());
  }

  async #work(): Promise<void> {
    for (;;) {
      if (this.#errands.length === 0) await this.#gather();
      const errand = this.#errands.shift();
      const batch = errand ? [] : this.#nextBatch();
      if (errand) await errand();
      else if (batch.length === 0) break;
      else await this.#perform(batch);
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#working = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #gather(): Promise<void> {
    const patienceMs = this.#gathering.patienceMs(this.#queue.length);
    if (patienceMs > 0) {
      await this.#gathering.wait(patienceMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#gathering.taken(Math.min(this.#queue.length, this.#batchMax));
  }

  /** The next operations of one kind: those that go by the journal, or those that do not. */
  #nextBatch(): readonly Queued[] {
    const [first] = this.#queue;
    const journaled = first ? this.#writer.isJournaled(first) : this.#patientDue;
    let count = 0;
    for (const queued of this.#queue) {
      if (count === this.#batchMax || this.#writer.isJournaled(queued) !== journaled) break;
      count += 1;
    }
    const batch = this.#queue.splice(0, count);
    if (!journaled) return batch;
    batch.push(...this.#patient.splice(0, this.#batchMax - count));
    this.#patientDue &&= this.#patient.length > 0;
    return batch;
  }

  async #perform(batch: readonly Queued[]): Promise<void> {
    let results: readonly unknown[];
    try {
      if (this.failure) throw this.failure;
      await this.#writer.acquire();
      const [first] = batch;
      const journaled = first !== undefined && this.#writer.isJournaled(first);
      results = await (journaled ? this.#decideAndKeep(batch) : this.#writer.direct(batch));
    } catch (error) {
      if (batch.length > 1 && concernsOneOperation(error)) {
        for (const queued of batch) await this.#perform([queued]);
        return;
      }
      const refusal = this.#judge(error);
      for (const queued of batch) queued.reject(refusal);
      return;
    }
    for (let index = 0; index < batch.length; index += 1) batch[index]?.resolve(results[index]);
    this.#flush(() => this.#writer.flushIfFull());
    if (this.#writer.held) this.#armTick();
  }

  async #decideAndKeep(batch: readonly Queued[]): Promise<readonly unknown[]> {
    await this.#writer.makeRoom();
    const { results, entries } = this.#writer.decide(batch);
    await this.#writer.keep(entries);
    return results;
  }

  /** What fails here was acknowledged and is in the journal: it is tried again with the next batch. */
  #flush(flush: () => void): void {
    try {
      flush();
    } catch (error) {
      this.#judge(error);
    }
  }

  #armTick(): void {
    this.#tick ??= setTimeout(() => this.#onTick(), tickMs).unref();
  }

  #onTick(): void {
    this.#tick = undefined;
    this.#hurryPatient();
    if (!this.#writer.held) this.#ticksHeld = 0;
    else if ((this.#ticksHeld += 1) >= ticksToFlush || this.#writer.othersWait) {
      this.#ticksHeld = 0;
      void this.#errand(async () => this.#flush(() => this.#writer.flush()));
    }
    if (this.#writer.held || this.#patient.length > 0) this.#armTick();
  }

  /** The error as callers see it. Remembers the one after which nothing more may be written. */
  #judge(error: unknown): unknown {
    const refusal = unavailable(error);
    if (refusal instanceof StoreUnavailableError && isFinal(refusal) && !this.failure) {
      this.failure = refusal;
      this.#options.onStop?.(refusal);
    }
    return refusal;
  }
}
