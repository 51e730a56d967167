import type { JsonObject } from '#std';
import type { BlobRepository } from '../contract.ts';
import type { Engine, Lane, LoadStatement, Steps, WriteStatement } from '../engine.ts';
import { bytesOf, change, integerOf, load, query, textOf, write } from '../engine.ts';
import { objectOf } from './json.ts';

export type BlobBounds = {
  /** One body. Default 16 MiB. */
  readonly bodyBytesMax: number;
  /** All rows of one namespace. Default 1 GiB. */
  readonly namespaceBytesMax: number;
};

/** What a row takes beside its body: its names, and its places in indexes. */
export const blobRowBytes = 200;

export const blobBoundsDefault: BlobBounds = {
  bodyBytesMax: 16 * 2 ** 20,
  namespaceBytesMax: 2 ** 30,
};

const byKey: LoadStatement = {
  table: 'blobs',
  column: 'blob_id',
  columns: ['blob_id', 'owner', 'byte_count'],
};
const bytesByNamespace: LoadStatement = {
  table: 'blob_bytes',
  column: 'namespace',
  columns: ['namespace', 'byte_count'],
  lock: true,
};

const putBlobs: WriteStatement = {
  action: 'insert',
  table: 'blobs',
  columns: [
    { name: 'blob_id', type: 'text' },
    { name: 'namespace', type: 'text' },
    { name: 'owner', type: 'text' },
    { name: 'body', type: 'bytes' },
    { name: 'byte_count', type: 'integer' },
    { name: 'detail', type: 'text' },
    { name: 'expires_at_ms', type: 'integer' },
  ],
  conflict: { keys: ['blob_id'], action: 'replace' },
};

const removeBlobs: WriteStatement = {
  action: 'delete',
  table: 'blobs',
  columns: [{ name: 'blob_id', type: 'text' }],
};

type Entry = Parameters<BlobRepository['put']>[0];
type Operation =
  | { readonly kind: 'put'; readonly entry: Entry; readonly nowMs: number }
  | {
      readonly kind: 'remove';
      readonly namespace: string;
      readonly id: string;
      readonly owner: string;
    }
  | { readonly kind: 'sweep'; readonly limit: number; readonly nowMs: number };

export function createBlobRepository(
  engine: Engine,
  now: () => number,
  bounds: BlobBounds,
): BlobRepository {
  const lane: Lane<Operation, number> = {
    name: 'blobs',
    *apply(operations) {
      const results: number[] = [];
      for (const operation of operations) results.push(yield* perform(operation, bounds));
      return results;
    },
  };
  return {
    put: async (entry) => {
      if (entry.body.byteLength > bounds.bodyBytesMax || isNoId(entry.id)) return false;
      return (await engine.submit(lane, { kind: 'put', entry, nowMs: now() })) === 1;
    },
    get: async (namespace, id, owner) =>
      isNoId(id) ? undefined : engine.read(() => readBlob(blobKey(namespace, id), owner, now())),
    remove: async (namespace, id, owner) =>
      !isNoId(id) && (await engine.submit(lane, { kind: 'remove', namespace, id, owner })) === 1,
    sweep: (limit) => engine.submit(lane, { kind: 'sweep', limit, nowMs: now() }),
  };
}

/** Ids come from outside, and PostgreSQL has no text with a zero character. */
function isNoId(id: string): boolean {
  return id.includes('\0');
}

/** Namespaces are our own words without space. */
function blobKey(namespace: string, id: string): string {
  return `${namespace} ${id}`;
}

type Body = {
  readonly body: Uint8Array;
  readonly detail: JsonObject;
  readonly expiresAtMs: number;
};

function* readBlob(key: string, owner: string, nowMs: number): Steps<Body | undefined> {
  const [row] = yield* query(
    'SELECT body, detail, expires_at_ms FROM blobs WHERE blob_id = ? AND owner = ? AND expires_at_ms > ?',
    [key, owner, nowMs],
  );
  return row
    ? {
        body: bytesOf(row, 'body'),
        detail: objectOf(row, 'detail'),
        expiresAtMs: integerOf(row, 'expires_at_ms'),
      }
    : undefined;
}

function* perform(operation: Operation, bounds: BlobBounds): Steps<number> {
  switch (operation.kind) {
    case 'put':
      return yield* put(operation.entry, operation.nowMs, bounds);
    case 'remove':
      return yield* remove(operation.namespace, operation.id, operation.owner);
    case 'sweep':
      return yield* sweep(operation.limit, operation.nowMs);
  }
}

const sweepBeforeEviction = 1_000;
/** Rows that are dropped with one look, and looks for one row that is put. */
const evictedAtOnce = 100;
const evictionsMax = 64;
/** More is dropped than has to be, so that not every row needs room made for it. */
const evictedShare = 1 / 64;

function* put(entry: Entry, nowMs: number, bounds: BlobBounds): Steps<number> {
  const key = blobKey(entry.namespace, entry.id);
  const [known] = yield* load(byKey, [key]);
  if (known && textOf(known, 'owner') !== entry.owner) return 0;
  const bytes = entry.body.byteLength + blobRowBytes;
  const added = bytes - (known ? integerOf(known, 'byte_count') : 0);
  if (!(yield* makeRoom(entry.namespace, key, added, nowMs, bounds.namespaceBytesMax))) return 0;
  yield* write(putBlobs, [
    [
      key,
      entry.namespace,
      entry.owner,
      entry.body,
      bytes,
      JSON.stringify(entry.detail ?? {}),
      entry.expiresAtMs,
    ],
  ]);
  yield* addBytes(entry.namespace, entry.owner, added);
  return 1;
}

/**
 * Drops what has expired, then the oldest rows of whoever has most: what is new is the likeliest to be asked for, and
 * nobody loses rows because another one has many.
 */
function* makeRoom(
  namespace: string,
  key: string,
  added: number,
  nowMs: number,
  bytesMax: number,
): Steps<boolean> {
  for (let turn = 0; turn <= evictionsMax; turn += 1) {
    const excess = (yield* bytesOfNamespace(namespace)) + added - bytesMax;
    if (excess <= 0) return true;
    if (turn === 0) yield* sweep(sweepBeforeEviction, nowMs);
    else if ((yield* evict(namespace, key, excess + bytesMax * evictedShare)) === 0) return false;
  }
  return false;
}

/** Frees about `wanted` bytes, without the row of `key`; the number of rows. */
function* evict(namespace: string, key: string, wanted: number): Steps<number> {
  const [largest] = yield* query(
    'SELECT owner FROM blob_owners WHERE namespace = ? ORDER BY byte_count DESC, owner LIMIT 1',
    [namespace],
  );
  if (!largest) return 0;
  const owner = textOf(largest, 'owner');
  const rows = yield* query(
    `SELECT blob_id, byte_count FROM blobs WHERE namespace = ? AND owner = ? AND blob_id <> ? ORDER BY expires_at_ms, blob_id LIMIT ${evictedAtOnce}`,
    [namespace, owner, key],
  );
  const evicted: string[] = [];
  let freed = 0;
  for (const row of rows) {
    if (freed >= wanted) break;
    evicted.push(textOf(row, 'blob_id'));
    freed += integerOf(row, 'byte_count');
  }
  yield* write(
    removeBlobs,
    evicted.map((blobId) => [blobId]),
  );
  if (freed > 0) yield* addBytes(namespace, owner, -freed);
  return evicted.length;
}

function* bytesOfNamespace(namespace: string): Steps<number> {
  const [row] = yield* load(bytesByNamespace, [namespace]);
  return row ? integerOf(row, 'byte_count') : 0;
}

function* addBytes(namespace: string, owner: string, added: number): Steps<void> {
  const ofAll = yield* change(
    'UPDATE blob_bytes SET byte_count = byte_count + ? WHERE namespace = ?',
    [added, namespace],
  );
  if (ofAll === 0)
    yield* change('INSERT INTO blob_bytes (namespace, byte_count) VALUES (?, ?)', [
      namespace,
      added,
    ]);
  const ofOwner = yield* change(
    'UPDATE blob_owners SET byte_count = byte_count + ? WHERE namespace = ? AND owner = ?',
    [added, namespace, owner],
  );
  if (ofOwner === 0)
    yield* change('INSERT INTO blob_owners (namespace, owner, byte_count) VALUES (?, ?, ?)', [
      namespace,
      owner,
      added,
    ]);
  else if (added < 0)
    yield* change('DELETE FROM blob_owners WHERE namespace = ? AND owner = ? AND byte_count = 0', [
      namespace,
      owner,
    ]);
}

function* remove(namespace: string, id: string, owner: string): Steps<number> {
  const key = blobKey(namespace, id);
  const [known] = yield* load(byKey, [key]);
  if (!known || textOf(known, 'owner') !== owner) return 0;
  yield* write(removeBlobs, [[key]]);
  yield* addBytes(namespace, owner, -integerOf(known, 'byte_count'));
  return 1;
}

function* sweep(limit: number, nowMs: number): Steps<number> {
  const rows = yield* query(
    `SELECT blob_id, namespace, owner, byte_count FROM blobs WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ${Math.trunc(limit)}`,
    [nowMs],
  );
  yield* write(
    removeBlobs,
    rows.map((row) => [textOf(row, 'blob_id')]),
  );
  for (const [namespace, ofNamespace] of Map.groupBy(rows, (row) => textOf(row, 'namespace'))) {
    for (const [owner, owned] of Map.groupBy(ofNamespace, (row) => textOf(row, 'owner'))) {
      const freed = owned.reduce((sum, row) => sum + integerOf(row, 'byte_count'), 0);
      yield* addBytes(namespace, owner, -freed);
    }
  }
  return rows.length;
}
