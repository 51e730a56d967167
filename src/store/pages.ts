import type { JsonObject } from '#std';
import type { Collection, StoredDocument } from './contract.ts';

const pageSize = 1_000;

/** Reads a list to its end, a page of `limit` at a time; `last` is the last entry of the page before. */
export async function allPages<T>(
  read: (limit: number, last: T | undefined) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  const all: T[] = [];
  for (;;) {
    const page = await read(pageSize, all.at(-1));
    all.push(...page);
    if (page.length < pageSize) return all;
  }
}

/** All documents of a collection, ordered by id. */
export function allDocuments<T extends JsonObject>(
  collection: Pick<Collection<T>, 'list'>,
): Promise<readonly StoredDocument<T>[]> {
  return allPages((limit, last) =>
    collection.list({ limit, ...(last === undefined ? {} : { after: last.id }) }),
  );
}
