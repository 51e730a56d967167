/**
 * The one who writes a SQLite file. Batches of journaled lanes are decided in memory, made durable
 * in the journal, and reach the database in larger portions; all others are transactions of their
 * own. Between two portions it holds SQLite's write lock, so that what it decides stays true.
 */

import { closeSync, openSync } from 'node:fs';
import { applyBatch, type Queued } from './batch.ts';
import { StoreUnavailableError } from './contract.ts';
import type { Command, CommandResult, Row, Steps, Value } from './engine.ts';
import { FrameReader, FrameWriter, type Entry } from './frame.ts';
import { flushFile, Journal, type Place } from './journal.ts';
import { Checkpointer } from './checkpointer.ts';
import { migrate } from './migrate.ts';
import { Overlay } from './overlay.ts';
import {
  Connection,
  FinalStoreError,
  isConstraint,
  isOfSqlite,
  pageBytes,
} from './sqlite-connection.ts';
import { watchFile } from './same-file.ts';
import { WriteLock } from './write-lock.ts';

export type Synchronous = 'FULL' | 'NORMAL' | 'OFF';

export type SqliteWriterOptions = {
  readonly path: string;
  readonly nodeId: string;
  readonly synchronous: Synchronous;
  readonly checkpointPages: number | undefined;
  readonly journalSegmentBytes: number;
  /** A checkpoint on the other thread failed. */
  readonly onFailure: (error: unknown) => void;
};

type Decision = { readonly results: readonly unknown[]; readonly entries: readonly Entry[] };

export class SqliteWriter {
  readonly connection: Connection;
  readonly #options: SqliteWriterOptions;
  readonly #lock: WriteLock;
  /** None in memory, where nothing is durable. */
  readonly #journal: Journal | undefined;
  readonly #overlay = new Overlay();
  readonly #frame = new FrameWriter();
  #epoch = 0;
  #held = false;
  /** Rows were written since the lock was taken, or frames were appended. */
  #dirty = false;
  /** `PRAGMA data_version` when the position of the journal was known. */
  #version: number | undefined;
  #rollbacks = 0;
  /** Where the journal of the last commit ends. */
  #committed = 1;
  #yields = false;
  /** Until the frame has landed, the lock must not be given away. */
  #inFlight = false;
  /** Rows could not be brought to the transaction: it must end, and the journal be read again. */
  #lost = false;
  #growRefused = false;
  #releasing = false;
  /** Opened for its flushes only; SQLite has its own. */
  #log: number | undefined;
  readonly #checkpointer: Checkpointer | undefined;
  readonly #checkFile: (() => void) | undefined;

  constructor(options: SqliteWriterOptions) {
    this.#options = options;
    const { path, synchronous } = options;
    // What a commit must survive is in the journal, or flushed here before it is acknowledged.
    const mode = synchronous === 'OFF' ? 'OFF' : 'NORMAL';
    const pages = options.checkpointPages ?? checkpointPagesDefault;
    this.connection = new Connection(path, mode, pages * ownCheckpointFactor);
    this.#lock = new WriteLock(this.connection, path);
    if (path === ':memory:') return;
    this.#checkFile = watchFile(path);
    this.#checkpointer = new Checkpointer(
      { path, synchronous: mode },
      pages * pageBytes,
      options.onFailure,
    );
    this.#journal = new Journal({
      path: `${path}.journal`,
      flushed: synchronous === 'FULL',
      segmentBytes: options.journalSegmentBytes,
    });
  }

  /** The schema, then a new life of this node: older processes under its name are fenced. */
  async open(nowMs: number): Promise<number> {
    await this.#takeLock();
    // A file whose journal was never applied may be of an older version: its frames come first.
    const known = this.connection.query(
      "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'journal_position'",
    );
    if (known.length > 0 && this.#repeatFrames()) await this.#takeLock();
    this.#epoch = this.connection.finish(start(this.#options.nodeId, nowMs));
    // Frames are of use only to a database that knows where they begin.
    await this.#flushLog();
    return this.#epoch;
  }

  get held(): boolean {
    return this.#held;
  }

  get stateVersion(): string | undefined {
    return this.#version === undefined ? undefined : `${this.#version}.${this.#rollbacks}`;
  }

  get othersWait(): boolean {
    return this.#lock.othersWait();
  }

  isJournaled(queued: Queued): boolean {
    return this.#journal !== undefined && queued.lane.journaled === true;
  }

  /** Until the next flush nobody else writes, and all that was acknowledged before is known. */
  async acquire(): Promise<void> {
    while (!this.#held) {
      if (this.#yields) await this.#lock.letOthersGo();
      this.#yields = false;
      await this.#takeLock();
      try {
        if (this.#catchUp()) continue;
      } catch (error) {
        this.#abandon();
        throw error;
      }
      this.#held = true;
      this.#frame.forget();
    }
  }

  /** What the batch does, in memory. Throws what the lanes throw; nothing has happened then. */
  decide(batch: readonly Queued[]): Decision {
    const entries: Entry[] = [];
    try {
      return { results: this.#drive(applyBatch(batch), entries), entries };
    } catch (error) {
      // What was kept from this batch in memory must not be believed.
      this.#rollbacks += 1;
      if (!isOfSqlite(error)) throw error;
      this.#abandon();
      throw brokenRule(error);
    }
  }

  /** Resolves when it is durable; after a failure nothing of it has happened. */
  async keep(entries: readonly Entry[]): Promise<void> {
    const journal = this.#journal;
    if (!journal || entries.length === 0) return;
    try {
      for (const entry of entries) this.#frame.add(entry);
      if (!journal.fits(this.#frame.byteLength)) await this.#keepInDatabase(entries);
      else await this.#keepInJournal(journal, entries);
    } catch (error) {
      this.#frame.forget();
      this.#rollbacks += 1;
      throw error;
    } finally {
      this.#frame.clear();
    }
  }

  flushIfFull(): void {
    if (this.#overlay.full || this.#overlay.urgent) this.flush();
  }

  /** Room for the next batch, made while nothing waits to be flushed. */
  async makeRoom(): Promise<void> {
    const journal = this.#journal;
    if (!journal || !journal.short) return;
    if (journal.canRelease) {
      if (!this.#releasing && journal.safe < this.#committed - 1) void this.#release(journal);
      return;
    }
    if (this.#growRefused) return;
    try {
      await journal.grow();
    } catch {
      // Without room the database takes the rows itself, and says so when it cannot.
      this.#growRefused = true;
    }
  }

  /** Other lanes: one transaction, durable when this resolves. */
  async direct(batch: readonly Queued[]): Promise<readonly unknown[]> {
    if (this.#dirty) {
      this.flush();
      await this.acquire();
    }
    let results: readonly unknown[];
    try {
      results = this.connection.finish(applyBatch(batch));
    } catch (error) {
      this.#rollbacks += 1;
      throw error;
    } finally {
      this.#held = false;
      this.#yields = this.#lock.othersWait();
    }
    await this.#flushLog();
    this.#checkpointer?.committed(directBytes);
    return results;
  }

  /** Gives the database what it lacks, and the lock to whoever waits for it. */
  flush(): void {
    if (!this.#held) return;
    try {
      this.#writeRows();
      this.connection.commit();
    } catch (error) {
      this.#abandon();
      throw brokenRule(error);
    }
    if (this.#journal) this.#committed = this.#journal.place.sequence;
    this.#checkpointer?.committed(0);
    this.#held = false;
    this.#dirty = false;
    this.#growRefused = false;
    this.#yields = this.#lock.othersWait();
  }

  /** Everything acknowledged is committed, by whomever it was. */
  async settle(): Promise<void> {
    if (!this.#journal) return;
    await this.acquire();
    this.flush();
  }

  /** Whether a process holds rows back that `reader` cannot see. */
  isBehind(reader: Connection): boolean {
    if (!this.#journal) return false;
    const [row] = reader.query(positionSql);
    return row !== undefined && this.#journal.read(placeOf(row)) !== undefined;
  }

  /** For reads while the lock is held: they see what is acknowledged. */
  expose(): Connection {
    try {
      if (this.#lost)
        throw new StoreUnavailableError('store_unavailable', 'the rows have to be read again');
      this.#overlay.writeAll(this.connection.repeat);
      return this.connection;
    } catch (error) {
      this.#lost = true;
      if (!this.#inFlight) this.#abandon();
      throw brokenRule(error);
    }
  }

  async close(): Promise<void> {
    await this.#checkpointer?.close();
    this.connection.close();
    this.#journal?.close();
    if (this.#log !== undefined) closeSync(this.#log);
    this.#log = undefined;
  }

  async #takeLock(): Promise<void> {
    if (!this.#lock.tryTake()) await this.#lock.take();
  }

  /** `true` when the transaction ended and must be begun again. */
  #catchUp(): boolean {
    this.#checkFile?.();
    const [row] = this.connection.query('PRAGMA data_version');
    const version = Number(row?.['data_version']);
    if (version !== this.#version) {
      // A process that was replaced under its own name must not write any more. Who replaces it has
      // committed, so the question is asked only when somebody else has written.
      const [node] = this.connection.query(epochSql, this.#options.nodeId);
      if (node?.['epoch'] !== this.#epoch)
        throw new StoreUnavailableError(
          'store_fenced',
          `a newer process writes as node ${this.#options.nodeId}`,
        );
      this.#seek();
      this.#version = version;
    }
    return this.#journal?.read() !== undefined && this.#repeatFrames();
  }

  #seek(): void {
    const [row] = this.connection.query(positionSql);
    if (!row || !this.#journal) return;
    this.#journal.seek(placeOf(row));
    this.#committed = this.#journal.place.sequence;
  }

  /** What a process left in the journal when it died. Commits, and says whether there was any. */
  #repeatFrames(): boolean {
    const journal = this.#journal;
    if (!journal) return false;
    this.#seek();
    const reader = new FrameReader();
    let found = journal.read();
    if (!found) return false;
    try {
      for (; found; found = journal.read(found.next)) {
        for (const entry of reader.read(found.frame)) this.connection.repeat(entry);
        journal.place = found.next;
      }
      this.#writePosition(journal);
      this.connection.commit();
    } catch (error) {
      this.#abandon();
      throw brokenRule(error);
    }
    journal.seek(journal.place);
    this.#committed = journal.place.sequence;
    this.#rollbacks += 1;
    return true;
  }

  #drive<R>(steps: Steps<R>, entries: Entry[]): R {
    let next = steps.next();
    while (next.done !== true) next = steps.next(this.#answer(next.value, entries));
    return next.value;
  }

  /** Loads see what is acknowledged; writes are kept for the journal. */
  #answer(command: Command, entries: Entry[]): CommandResult {
    switch (command.run) {
      case 'load':
        this.#overlay.expose(command.load, command.keys, this.connection.repeat);
        return this.connection.run(command);
      case 'query':
        this.#overlay.writeAll(this.connection.repeat);
        return this.connection.run(command);
      case 'write':
        for (const row of command.rows) requireExact(command.write.table, row);
        entries.push({ kind: 'rows', write: command.write, rows: command.rows });
        return command.rows.length;
      case 'change':
        entries.push({ kind: 'change', sql: command.sql, parameters: command.parameters });
        return 0;
    }
  }

  async #keepInJournal(journal: Journal, entries: readonly Entry[]): Promise<void> {
    const { sequence, previous } = journal.place;
    const { bytes, checksum } = this.#frame.finish(sequence, previous);
    this.#inFlight = true;
    try {
      const appended = journal.append(bytes, checksum);
      this.#checkpointer?.written(bytes.length);
      this.#useIdleTime();
      await appended;
    } catch (error) {
      await journal.withdraw(bytes).catch(() => undefined);
      if (this.#lost) this.#abandon();
      throw error;
    } finally {
      this.#inFlight = false;
    }
    const lockKept = this.connection.database.isTransaction;
    if (lockKept && !this.#lost) {
      this.#dirty = true;
      for (const entry of entries) this.#overlay.merge(entry);
      return;
    }
    // The frame is in the journal and is read from there. Without the lock somebody may have been
    // faster in the same place: then nobody can tell.
    this.#abandon();
    if (!lockKept)
      throw new StoreUnavailableError('store_unavailable', 'the write lock was lost on the way');
  }

  /** While a frame is on its way to the disk. */
  #useIdleTime(): void {
    try {
      this.#overlay.writeGroups(this.connection.repeat);
    } catch {
      this.#lost = true;
    }
  }

  /** A frame that has no room: the whole portion is committed and flushed instead. */
  async #keepInDatabase(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) this.#overlay.merge(entry);
    this.#dirty = true;
    this.flush();
    await this.#flushLog();
  }

  #writeRows(): void {
    if (!this.#dirty || !this.#journal) return;
    this.#overlay.writeAll(this.connection.repeat);
    this.#writePosition(this.#journal);
  }

  #writePosition({ place }: Journal): void {
    this.connection.run({
      run: 'change',
      sql: 'UPDATE journal_position SET sequence = ?, segment = ?, byte_offset = ?, previous = ?',
      parameters: [place.sequence, place.segment, place.offset, place.previous],
    });
  }

  /** The transaction is lost. What was acknowledged is in the journal and is read from there again. */
  #abandon(): void {
    this.connection.rollBack();
    this.#overlay.clear();
    this.#held = false;
    this.#dirty = false;
    this.#lost = false;
    this.#version = undefined;
    this.#rollbacks += 1;
  }

  /** Once the database is on the disk up to its last commit, older segments are free. */
  async #release(journal: Journal): Promise<void> {
    const sequence = this.#committed;
    this.#releasing = true;
    try {
      if (this.#options.synchronous !== 'OFF') await flushFile(this.#logFile());
      journal.release(sequence);
    } catch {
      // The segments stay; the next attempt is made when room is asked for again.
      return;
    } finally {
      this.#releasing = false;
    }
  }

  async #flushLog(): Promise<void> {
    if (!this.#journal || this.#options.synchronous !== 'FULL') return;
    try {
      await flushFile(this.#logFile());
    } catch (error) {
      throw new FinalStoreError(
        'store_unavailable',
        'the database could not be flushed; what was written last may be lost',
        error,
      );
    }
  }

  #logFile(): number {
    this.#log ??= openSync(`${this.#options.path}-wal`, 'r+');
    return this.#log;
  }
}

const checkpointPagesDefault = 1000;
/** SQLite's own checkpoint comes after so many times the pages, in case the other thread's are not enough. */
const ownCheckpointFactor = 8;
/** Of a transaction that goes by no journal; a guess. */
const directBytes = 65_536;

const epochSql = 'SELECT epoch FROM nodes WHERE node_id = ?';
const positionSql = 'SELECT sequence, segment, byte_offset, previous FROM journal_position';

function placeOf(row: Row): Place {
  return {
    sequence: Number(row['sequence']),
    segment: Number(row['segment']),
    offset: Number(row['byte_offset']),
    previous: Number(row['previous']),
  };
}

/** A column of integers refuses another number, and after the acknowledgement that would be the end. */
function requireExact(table: string, row: readonly Value[]): void {
  for (const value of row)
    if (typeof value === 'number' && !Number.isSafeInteger(value))
      throw new RangeError(`a row of ${table} has the number ${value}, which is no exact integer`);
}

/** The rows were acknowledged: that the database refuses them is an error of ours, and the end. */
function brokenRule(error: unknown): unknown {
  if (!isConstraint(error)) return error;
  const reason = error instanceof Error ? error.message : 'unknown';
  return new FinalStoreError(
    'store_unavailable',
    `acknowledged rows break a rule of the database (${reason}); nothing more is written`,
    error,
  );
}

function* start(nodeId: string, nowMs: number): Steps<number> {
  yield* migrate('sqlite', nowMs);
  yield {
    run: 'change',
    sql: 'INSERT INTO nodes (node_id, epoch, started_at_ms) VALUES (?, 1, ?) ON CONFLICT (node_id) DO UPDATE SET epoch = nodes.epoch + 1, started_at_ms = excluded.started_at_ms',
    parameters: [nodeId, nowMs],
  };
  const rows = yield { run: 'query', sql: epochSql, parameters: [nodeId] };
  return typeof rows === 'number' ? 0 : Number(rows[0]?.['epoch']);
}
