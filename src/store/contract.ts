/**
 * The store: one database (SQLite file or PostgreSQL), its migrations, one group-commit writer,
 * and small typed repositories. Domain rules live in the modules that use it.
 *
 * All writes queued in one turn of the event loop share one disk flush. A write's promise resolves
 * only when it is durable. Reads see what is durable.
 */

import type { JsonObject, NanoUsd } from '#std';
import type { Engine } from './engine.ts';

/** Nothing was written: disk full, database gone, or this process was replaced by a newer one. */
export class StoreUnavailableError extends Error {
  readonly code: 'store_unavailable' | 'store_fenced';
  constructor(code: 'store_unavailable' | 'store_fenced', message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'StoreUnavailableError';
    this.code = code;
  }
}

/** The database has a schema that this program does not know yet: it is not touched. */
export class NewerDatabaseError extends Error {
  constructor(found: number, known: number) {
    super(`the database is of a newer version (migration ${found}, known up to ${known})`);
    this.name = 'NewerDatabaseError';
  }
}

/** The database file is gone, while what belongs to it lies there still: no other is made in its place. */
export class MissingDatabaseError extends Error {
  readonly path: string;
  readonly leftOver: readonly string[];

  constructor(path: string, leftOver: readonly string[]) {
    super(`${path} is missing, but ${leftOver.join(', ')} belong to it`);
    this.name = 'MissingDatabaseError';
    this.path = path;
    this.leftOver = leftOver;
  }
}

/** An API key as stored. The secret itself is never stored, only its keyed digest. */
export type KeyRecord = {
  readonly keyId: string;
  /** Keyed digest of the whole secret, hexadecimal; unique. */
  readonly digest: string;
  readonly lastFour: string;
  readonly name: string;
  readonly walletId: string;
  readonly projectId: string | null;
  /** Limits as `access` defines them: models, budgets, RPM, TPM, concurrency, IP ranges, switches. */
  readonly limits: JsonObject;
  readonly metadata: JsonObject;
  readonly createdAtMs: number;
  /** Of the key, never of money. */
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
};

export type KeyFilter = {
  readonly walletId?: string;
  readonly projectId?: string;
  readonly before?: string;
  readonly limit?: number;
};

export type KeyRepository = {
  findByDigest(digest: string): Promise<KeyRecord | undefined>;
  get(keyId: string): Promise<KeyRecord | undefined>;
  /** Newest first. `before` is the id of the last one seen. Limit default 100, at most 1,000. */
  list(filter: KeyFilter): Promise<readonly KeyRecord[]>;
  /** Inserts or replaces by `keyId`. Rejects when another key has the digest. */
  put(record: KeyRecord): Promise<void>;
};

/** A versioned JSON document: users, wallets' owners, projects, channels, models, settings, jobs… */
export type StoredDocument<T extends JsonObject = JsonObject> = {
  readonly id: string;
  /** What it belongs to (wallet, user); `''` for none. */
  readonly parent: string;
  readonly body: T;
  /** 1 when created, +1 per write. */
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
};

export type PutResult =
  | { readonly ok: true; readonly version: number }
  | { readonly ok: false; readonly error: 'version_conflict'; readonly version: number };

export type Collection<T extends JsonObject = JsonObject> = {
  get(id: string): Promise<StoredDocument<T> | undefined>;
  /** Ordered by id. `after` is the id of the last one seen. Limit default 100, at most 1,000. */
  list(filter?: {
    readonly parent?: string;
    readonly after?: string;
    readonly limit?: number;
  }): Promise<readonly StoredDocument<T>[]>;
  /** `expectedVersion` 0: must not exist; `undefined`: whatever is there; else compare and set. */
  put(
    id: string,
    body: T,
    options?: { readonly parent?: string; readonly expectedVersion?: number },
  ): Promise<PutResult>;
  /** `false` when it was not there. */
  remove(id: string): Promise<boolean>;
};

/** One row of the request log. No prompts, no secrets. Times in ms since the epoch. */
export type RequestRecord = {
  readonly requestId: string;
  readonly walletId: string;
  readonly keyId: string;
  readonly projectId: string | null;
  readonly createdAtMs: number;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
  readonly status: number;
  readonly errorCode: string | null;
  readonly dialect: string;
  readonly operation: string;
  readonly model: string;
  readonly channelId: string | null;
  readonly chargeNanoUsd: NanoUsd;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly streamed: boolean;
  /** Attempts, losses, timings, usage, policy: what the waterfall shows. */
  readonly detail: JsonObject;
};

export type RequestQuery = {
  readonly walletId?: string;
  readonly keyId?: string;
  readonly projectId?: string;
  readonly model?: string;
  readonly channelId?: string;
  readonly errorsOnly?: boolean;
  readonly fromMs?: number;
  readonly untilMs?: number;
  /** Newest first; the `next` of the last page. */
  readonly before?: string;
  readonly limit?: number;
  /** Rows to look at for one page where no index helps. Default 5,000. */
  readonly looksMax?: number;
};

export type RequestPage = {
  readonly records: readonly RequestRecord[];
  /** Where to go on. A page may be short, or empty, and not the last: then little of it was wanted. */
  readonly next: string | undefined;
};

export type RequestTotals = {
  /** Start of the bucket. */
  readonly atMs: number;
  readonly model: string;
  readonly requests: number;
  readonly errors: number;
  /** Sums over all wallets may pass the safe integers: `bigint`. */
  readonly chargeNanoUsd: bigint;
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
};

export type RequestRepository = {
  /**
   * Shares the flush of the next ledger writes, which it may wait for a moment. Safe to repeat. While the
   * database is away up to 16 MiB wait in memory; rejects for what has no room there.
   */
  append(record: RequestRecord): Promise<void>;
  get(requestId: string): Promise<RequestRecord | undefined>;
  list(query: RequestQuery): Promise<RequestPage>;
  /** Sums per bucket and model. */
  totals(
    query: Omit<RequestQuery, 'before' | 'limit' | 'looksMax'> & { readonly bucketMs: number },
  ): Promise<readonly RequestTotals[]>;
  /** Deletes records older than the moment, at most `limit`; the ledger keeps its own. */
  prune(beforeMs: number, limit: number): Promise<number>;
};

/** Bytes kept for a while: answers for idempotent repeats, opaque response state, files. */
export type BlobRepository = {
  /**
   * Writes or replaces. Refused (`false`) when the body is larger than one may be; where the
   * namespace would pass its byte bound, those go that expire first.
   */
  put(entry: {
    readonly namespace: string;
    readonly id: string;
    readonly owner: string;
    readonly body: Uint8Array;
    readonly expiresAtMs: number;
    readonly detail?: JsonObject;
  }): Promise<boolean>;
  /** `undefined` when absent, expired, or owned by another. */
  get(
    namespace: string,
    id: string,
    owner: string,
  ): Promise<
    | { readonly body: Uint8Array; readonly detail: JsonObject; readonly expiresAtMs: number }
    | undefined
  >;
  remove(namespace: string, id: string, owner: string): Promise<boolean>;
  /** Drops what has expired, at most `limit`. */
  sweep(limit: number): Promise<number>;
};

export type AuditEntry = {
  readonly auditId: string;
  readonly createdAtMs: number;
  readonly actor: string;
  /** Noun-verb: `key.create`, `wallet.refund`. */
  readonly action: string;
  readonly target: string;
  readonly detail: JsonObject;
};

export type AuditRepository = {
  append(entry: AuditEntry): Promise<void>;
  /** Newest first. */
  list(query: {
    readonly actor?: string;
    readonly target?: string;
    readonly before?: string;
    readonly limit?: number;
  }): Promise<readonly AuditEntry[]>;
};

export type Store = {
  readonly kind: 'sqlite' | 'postgres';
  /** For modules with tables of their own (the ledger). */
  readonly engine: Engine;
  readonly keys: KeyRepository;
  readonly requests: RequestRepository;
  readonly blobs: BlobRepository;
  readonly audit: AuditRepository;
  /** A named set of versioned documents. Names: lower case, digits, `_`. */
  collection<T extends JsonObject = JsonObject>(name: string): Collection<T>;
  readonly projects: Collection;
  readonly channels: Collection;
  readonly users: Collection;
  readonly settings: Collection;
  /** Rejects with StoreUnavailableError when nothing more can be written before the process starts anew. */
  checkWritable(): Promise<void>;
  /** Resolves when all that was queued is durable, then closes. */
  close(): Promise<void>;
};
