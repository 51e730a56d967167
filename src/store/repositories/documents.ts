import type { JsonObject } from '#std';
import type { Collection, PutResult, StoredDocument } from '../contract.ts';
import type { Engine, Lane, LoadStatement, Row, Steps, Value, WriteStatement } from '../engine.ts';
import { integerOf, load, query, textOf, write } from '../engine.ts';
import { objectOf, pageLimit } from './json.ts';

const columns = [
  'document_id',
  'collection',
  'id',
  'parent',
  'body',
  'version',
  'created_at_ms',
  'updated_at_ms',
] as const;
const byKey: LoadStatement = { table: 'documents', column: 'document_id', columns, lock: true };

const putDocuments: WriteStatement = {
  action: 'insert',
  table: 'documents',
  columns: columns.map((name) => ({
    name,
    type: name === 'version' || name.endsWith('_ms') ? 'integer' : 'text',
  })),
  conflict: { keys: ['document_id'], action: 'replace' },
};

const removeDocuments: WriteStatement = {
  action: 'delete',
  table: 'documents',
  columns: [{ name: 'document_id', type: 'text' }],
};

type Write = {
  readonly key: string;
  readonly collection: string;
  readonly id: string;
  /** `undefined`: remove. */
  readonly body: string | undefined;
  readonly parent: string | undefined;
  readonly expectedVersion: number | undefined;
  readonly nowMs: number;
};

/** One at a time: writes to the same document in one batch must see each other. */
const lane: Lane<Write, PutResult> = {
  name: 'documents',
  *apply(writes) {
    const results: PutResult[] = [];
    for (const each of writes) results.push(yield* applyWrite(each));
    return results;
  },
};

function* applyWrite(each: Write): Steps<PutResult> {
  const [row] = yield* load(byKey, [each.key]);
  const version = row ? integerOf(row, 'version') : 0;
  if (each.expectedVersion !== undefined && each.expectedVersion !== version) {
    return { ok: false, error: 'version_conflict', version };
  }
  if (each.body === undefined) {
    const removed = yield* write(removeDocuments, [[each.key]]);
    return removed > 0
      ? { ok: true, version }
      : { ok: false, error: 'version_conflict', version: 0 };
  }
  const parent = each.parent ?? (row ? textOf(row, 'parent') : '');
  const createdAtMs = row ? integerOf(row, 'created_at_ms') : each.nowMs;
  const values: readonly Value[] = [
    each.key,
    each.collection,
    each.id,
    parent,
    each.body,
    version + 1,
    createdAtMs,
    each.nowMs,
  ];
  yield* write(putDocuments, [values]);
  return { ok: true, version: version + 1 };
}

const namePattern = /^[a-z0-9_]{1,40}$/;

export function createCollection<T extends JsonObject>(
  engine: Engine,
  now: () => number,
  collection: string,
): Collection<T> {
  if (!namePattern.test(collection))
    throw new RangeError(`not a name of a collection: ${collection}`);
  const keyOf = (id: string): string => `${collection} ${id}`;
  return {
    get: (id) =>
      engine.read(function* () {
        const [row] = yield* query(
          `SELECT ${columns.join(', ')} FROM documents WHERE document_id = ?`,
          [keyOf(id)],
        );
        return row ? fromRow<T>(row) : undefined;
      }),
    list: (filter = {}) =>
      engine.read(function* () {
        const parent = filter.parent === undefined ? '' : ' AND parent = ?';
        const parameters: Value[] = [
          collection,
          ...(filter.parent === undefined ? [] : [filter.parent]),
          filter.after ?? '',
        ];
        const rows = yield* query(
          `SELECT ${columns.join(', ')} FROM documents WHERE collection = ?${parent} AND id > ? ORDER BY id LIMIT ${pageLimit(filter.limit, 100)}`,
          parameters,
        );
        return rows.map((row) => fromRow<T>(row));
      }),
    put: (id, body, options = {}) =>
      engine.submit(lane, {
        key: keyOf(id),
        collection,
        id,
        body: JSON.stringify(body),
        parent: options.parent,
        expectedVersion: options.expectedVersion,
        nowMs: now(),
      }),
    remove: async (id) =>
      (
        await engine.submit(lane, {
          key: keyOf(id),
          collection,
          id,
          body: undefined,
          parent: undefined,
          expectedVersion: undefined,
          nowMs: now(),
        })
      ).ok,
  };
}

function fromRow<T extends JsonObject>(row: Row): StoredDocument<T> {
  return {
    id: textOf(row, 'id'),
    parent: textOf(row, 'parent'),
    body: objectOf(row, 'body') as T,
    version: integerOf(row, 'version'),
    createdAtMs: integerOf(row, 'created_at_ms'),
    updatedAtMs: integerOf(row, 'updated_at_ms'),
  };
}
