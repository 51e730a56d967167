/** Connections to PostgreSQL: one that writes, a few that read, and what their failures mean. */

import pg from 'pg';
import { StoreUnavailableError } from './contract.ts';
import type { Command, CommandResult, Row, Steps, Value, WriteStatement } from './engine.ts';
import { numberParameters, postgresLoad, postgresWrite } from './statements.ts';

const connectTimeoutMs = 5000;
/** How long a connection is quiet before it is asked whether the other end is there. */
const quietMs = 10_000;
const readConnectionsMax = 4;

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
export function writeSession({ answerMs }: Place): string {
  // A batch that stands still, its process stopped or out of reach, gives its locks back.
  const stillMs = Math.ceil(answerMs / 3);
  return `SET synchronous_commit = on; SET enable_seqscan = off; SET jit = off; SET idle_in_transaction_session_timeout = ${stillMs}`;
}
const readSession = 'SET default_transaction_read_only = on';

/** Where the database is, and how long it may take to answer. */
export type Place = { readonly url: string; readonly answerMs: number };

export class Connection {
  readonly #client: pg.Client;
  readonly #names = new Map<string, string>();
  readonly #texts = new Map<unknown, string>();
  broken = false;

  static async open({ url, answerMs }: Place, session: string = readSession): Promise<Connection> {
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: Math.min(connectTimeoutMs, answerMs),
      keepAlive: true,
      keepAliveInitialDelayMillis: quietMs,
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
      // What comes after it would wait for the same answer, or be refused as well.
      if (isTimeout(error) || errorCode(error) === readOnly) this.broken = true;
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

type Waiting = { resolve(): void; reject(reason: Error): void };

/** Read connections, opened when needed; one that fails is thrown away. */
export class Pool {
  readonly #place: Place;
  readonly #idle: Connection[] = [];
  readonly #waiting = new Set<Waiting>();
  #open = 0;

  constructor(place: Place) {
    this.#place = place;
  }

  async use<R>(work: (connection: Connection) => Promise<R>): Promise<R> {
    while (this.#open >= readConnectionsMax && this.#idle.length === 0) await this.#turn();
    let connection = this.#idle.pop();
    // It ended while nobody used it: the database was restarted, or something between grew tired of it.
    while (connection?.broken === true) {
      this.#open -= 1;
      connection = this.#idle.pop();
    }
    this.#open += connection ? 0 : 1;
    try {
      connection ??= await this.#connect();
      return await work(connection);
    } catch (error) {
      throw unavailable(error);
    } finally {
      if (connection && !connection.broken) this.#idle.push(connection);
      else {
        this.#open -= 1;
        void connection?.close();
        // What happened to one has probably happened to those that nobody uses.
        this.#open -= this.#idle.length;
        void this.close();
      }
      const [next] = this.#waiting;
      next?.resolve();
    }
  }

  /** Where one cannot get in, the others need not try one after the other. */
  async #connect(): Promise<Connection> {
    try {
      return await Connection.open(this.#place);
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      for (const waiting of this.#waiting) waiting.reject(reason);
      throw error;
    }
  }

  /** Resolves when somebody is done with a connection, and rejects when that takes longer than an answer may. */
  #turn(): Promise<void> {
    const { answerMs } = this.#place;
    return new Promise((resolve, reject) => {
      const end = (done: () => void): void => {
        clearTimeout(late);
        this.#waiting.delete(waiting);
        done();
      };
      const waiting: Waiting = {
        resolve: () => end(resolve),
        reject: (reason) => end(() => reject(reason)),
      };
      const late = setTimeout(() => {
        const words = `no connection to PostgreSQL was free for ${answerMs} ms`;
        waiting.reject(new StoreUnavailableError('store_unavailable', words));
      }, answerMs);
      this.#waiting.add(waiting);
    });
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

/** SQLSTATE (https://www.postgresql.org/docs/15/errcodes-appendix.html) or a socket error's name. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** A standby, or one that was made so: who connects anew may find the one that writes. */
const readOnly = '25006';

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

/** Data that cannot be stored, a broken constraint, something larger than PostgreSQL's limits. */
const ofOneOperation = ['22', '23', '54'];

/** Such a fault, or a bug, in one operation must not fail the others of its batch. */
export function concernsOneOperation(error: unknown): boolean {
  if (error instanceof StoreUnavailableError) return false;
  const code = errorCode(error);
  if (code !== undefined) return ofOneOperation.includes(code.slice(0, 2));
  return error instanceof TypeError || error instanceof RangeError;
}

export function unavailable(error: unknown): unknown {
  if (error instanceof StoreUnavailableError || concernsOneOperation(error)) return error;
  const reason = error instanceof Error ? error.message : 'unknown';
  return new StoreUnavailableError(
    'store_unavailable',
    `PostgreSQL could not do it (${errorCode(error) ?? 'no code'}): ${reason}`,
    error,
  );
}
