/** SQL text of the bulk statements for both databases. Names come from our own code, never from outside. */

import type { ColumnWrite, LoadStatement, WriteStatement } from './engine.ts';

/** Rows of one insert in SQLite: a call of a statement costs more than a row. */
export const insertedAtOnce = 16;

const postgresTypes = { text: 'text', integer: 'bigint', bytes: 'bytea' } as const;

/** `?` for each parameter becomes `$1`, `$2`… Our SQL has no question mark elsewhere. */
export function numberParameters(sql: string): string {
  let position = 0;
  return sql.replace(/\?/g, () => `$${(position += 1)}`);
}

export function sqliteLoad(statement: LoadStatement): string {
  return `SELECT ${statement.columns.join(', ')} FROM ${statement.table} WHERE ${statement.column} = ?${filter(statement)}`;
}

/** Keys are locked in order, so that two nodes cannot wait for each other. */
export function postgresLoad(statement: LoadStatement): string {
  const lock = statement.lock ? ` ORDER BY ${statement.column} FOR UPDATE` : '';
  return `SELECT ${statement.columns.join(', ')} FROM ${statement.table} WHERE ${statement.column} = ANY($1::text[])${filter(statement)}${lock}`;
}

function filter(statement: LoadStatement): string {
  return statement.where === undefined ? '' : ` AND ${statement.where}`;
}

/**
 * For one row, an insert also for several; the parameters are the rows' values, by number, since an update
 * names its key last.
 */
export function sqliteWrite(statement: WriteStatement, rowCount = 1): string {
  const { table } = statement;
  const names = statement.columns.map((column) => column.name);
  if (statement.action === 'insert') {
    const row = `(${names.map(() => '?').join(', ')})`;
    const rows = Array.from({ length: rowCount }, () => row).join(', ');
    return `INSERT INTO ${table} (${names.join(', ')}) VALUES ${rows}${onConflict(statement)}`;
  }
  const [key, ...rest] = names;
  if (statement.action === 'delete') return `DELETE FROM ${table} WHERE ${key} = ?`;
  const assignments = rest.map(
    (name, index) =>
      `${name} = ${statement.action === 'add' ? added(name, index + 2) : `?${index + 2}`}`,
  );
  return `UPDATE ${table} SET ${assignments.join(', ')} WHERE ${key} = ?1`;
}

/** A number arrives in SQLite as a float, and a sum with a float is one: inexact where it is large. */
function added(name: string, parameter: number): string {
  return `${name} + CAST(?${parameter} AS INTEGER)`;
}

/** For all rows; each parameter is the array of one column's values. */
export function postgresWrite(statement: WriteStatement): string {
  const { table, columns } = statement;
  const names = columns.map((column) => column.name);
  const arrays = columns.map((column, index) => `$${index + 1}::${arrayType(column)}[]`).join(', ');
  if (statement.action === 'insert') {
    return `INSERT INTO ${table} (${names.join(', ')}) SELECT * FROM unnest(${arrays})${onConflict(statement)}`;
  }
  const [key, ...rest] = names;
  if (statement.action === 'delete') return `DELETE FROM ${table} WHERE ${key} = ANY(${arrays})`;
  const assignments = rest.map(
    (name) => `${name} = ${statement.action === 'add' ? `${table}.${name} + ` : ''}given.${name}`,
  );
  return `UPDATE ${table} SET ${assignments.join(', ')} FROM unnest(${arrays}) AS given(${names.join(', ')}) WHERE ${table}.${key} = given.${key}`;
}

function arrayType(column: ColumnWrite): string {
  return postgresTypes[column.type];
}

function onConflict(statement: Extract<WriteStatement, { action: 'insert' }>): string {
  const { conflict, columns, table } = statement;
  if (!conflict) return '';
  const target = ` ON CONFLICT (${conflict.keys.join(', ')})`;
  if (conflict.action === 'ignore') return `${target} DO NOTHING`;
  const others = columns
    .map((column) => column.name)
    .filter((name) => !conflict.keys.includes(name));
  const assignments =
    conflict.action === 'add'
      ? (conflict.added ?? []).map((name) => `${name} = ${table}.${name} + excluded.${name}`)
      : others.map((name) => `${name} = excluded.${name}`);
  return `${target} DO UPDATE SET ${assignments.join(', ')}`;
}
