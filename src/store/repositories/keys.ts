import type { KeyRecord, KeyRepository } from '../contract.ts';
import type { Engine, Lane, LoadStatement, Row, Value, WriteStatement } from '../engine.ts';
import { integerOf, integerOrNull, load, query, textOf, textOrNull, write } from '../engine.ts';
import { objectOf, pageLimit } from './json.ts';

const columns = [
  'key_id',
  'digest',
  'last_four',
  'name',
  'wallet_id',
  'project_id',
  'limits',
  'metadata',
  'created_at_ms',
  'expires_at_ms',
  'revoked_at_ms',
] as const;

const byDigest: LoadStatement = { table: 'keys', column: 'digest', columns };
const byId: LoadStatement = { table: 'keys', column: 'key_id', columns };

const putKeys: WriteStatement = {
  action: 'insert',
  table: 'keys',
  columns: columns.map((name) => ({ name, type: name.endsWith('_ms') ? 'integer' : 'text' })),
  conflict: { keys: ['key_id'], action: 'replace' },
};

const putLane: Lane<KeyRecord, true> = {
  name: 'keys',
  *apply(records) {
    for (const record of records) yield* write(putKeys, [toRow(record)]);
    return records.map(() => true);
  },
};

export function createKeyRepository(engine: Engine): KeyRepository {
  return {
    findByDigest: (digest) => engine.read(() => first(byDigest, digest)),
    get: (keyId) => engine.read(() => first(byId, keyId)),
    list: (filter) =>
      engine.read(function* () {
        const conditions: string[] = [];
        const parameters: Value[] = [];
        for (const [column, value] of [
          ['wallet_id', filter.walletId],
          ['project_id', filter.projectId],
        ] as const) {
          if (value === undefined) continue;
          conditions.push(`${column} = ?`);
          parameters.push(value);
        }
        if (filter.before !== undefined) {
          conditions.push(
            '(created_at_ms, key_id) < (SELECT created_at_ms, key_id FROM keys WHERE key_id = ?)',
          );
          parameters.push(filter.before);
        }
        const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
        const rows = yield* query(
          `SELECT ${columns.join(', ')} FROM keys${where} ORDER BY created_at_ms DESC, key_id DESC LIMIT ${pageLimit(filter.limit, 100)}`,
          parameters,
        );
        return rows.map(fromRow);
      }),
    put: async (record) => {
      await engine.submit(putLane, record);
    },
  };
}

function* first(statement: LoadStatement, key: string) {
  const rows = yield* load(statement, [key]);
  return rows[0] ? fromRow(rows[0]) : undefined;
}

function toRow(record: KeyRecord): readonly Value[] {
  const {
    keyId,
    digest,
    lastFour,
    name,
    walletId,
    projectId,
    limits,
    metadata,
    createdAtMs,
    expiresAtMs,
    revokedAtMs,
  } = record;
  return [
    keyId,
    digest,
    lastFour,
    name,
    walletId,
    projectId,
    JSON.stringify(limits),
    JSON.stringify(metadata),
    createdAtMs,
    expiresAtMs,
    revokedAtMs,
  ];
}

function fromRow(row: Row): KeyRecord {
  return {
    keyId: textOf(row, 'key_id'),
    digest: textOf(row, 'digest'),
    lastFour: textOf(row, 'last_four'),
    name: textOf(row, 'name'),
    walletId: textOf(row, 'wallet_id'),
    projectId: textOrNull(row, 'project_id'),
    limits: objectOf(row, 'limits'),
    metadata: objectOf(row, 'metadata'),
    createdAtMs: integerOf(row, 'created_at_ms'),
    expiresAtMs: integerOrNull(row, 'expires_at_ms'),
    revokedAtMs: integerOrNull(row, 'revoked_at_ms'),
  };
}
