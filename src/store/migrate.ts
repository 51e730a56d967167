import { NewerDatabaseError } from './contract.ts';
import type { Steps } from './engine.ts';
import { migrations } from './schema.ts';

/**
 * Brings the schema up to date, in the caller's transaction. Forward only: a database written by
 * a newer version is refused, not guessed at.
 */
export function* migrate(kind: 'sqlite' | 'postgres', nowMs: number): Steps<void> {
  yield change(
    kind,
    'CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at_ms INTEGER NOT NULL) STRICT',
  );
  const rows = yield {
    run: 'query',
    sql: 'SELECT number FROM migrations ORDER BY number',
    parameters: [],
  };
  const applied = new Set(typeof rows === 'number' ? [] : rows.map((row) => Number(row['number'])));
  const newest = migrations.at(-1)?.number ?? 0;
  for (const number of applied) {
    if (number > newest) throw new NewerDatabaseError(number, newest);
  }
  for (const migration of migrations) {
    if (applied.has(migration.number)) continue;
    const statements = (migration.only ?? kind) === kind ? migration.statements : [];
    for (const statement of statements) yield change(kind, statement);
    yield {
      run: 'change',
      sql: 'INSERT INTO migrations (number, name, applied_at_ms) VALUES (?, ?, ?)',
      parameters: [migration.number, migration.name, nowMs],
    };
  }
}

function change(kind: 'sqlite' | 'postgres', sql: string) {
  return {
    run: 'change',
    sql: kind === 'sqlite' ? sql : postgresSchema(sql),
    parameters: [],
  } as const;
}

/** The schema is written once, for SQLite. Text keys compare bytewise in both. */
export function postgresSchema(sql: string): string {
  return sql
    .replace(/\)\s*(STRICT|WITHOUT ROWID)(\s*,\s*(STRICT|WITHOUT ROWID))*\s*$/, ')')
    .replace(/\bINTEGER\b/g, 'BIGINT')
    .replace(/\bBLOB\b/g, 'BYTEA')
    .replace(/\bTEXT\b/g, 'TEXT COLLATE "C"');
}
