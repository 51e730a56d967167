import type { JsonObject } from '#std';
import { parseJsonObject } from '#std';
import { textOf, type Row } from '../engine.ts';

/** A stored JSON object. A damaged one throws: it was written by us. */
export function objectOf(row: Row, column: string): JsonObject {
  const object = parseJsonObject(textOf(row, column));
  if (!object) throw new TypeError(`column ${column} is not a JSON object`);
  return object;
}

export function pageLimit(limit: number | undefined, usual: number): number {
  return Math.min(Math.max(1, Math.trunc(limit ?? usual)), 1000);
}
