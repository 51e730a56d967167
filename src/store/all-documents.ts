import type { JsonObject } from '#std';
import type { Collection, StoredDocument } from './contract.ts';

const pageSize = 1_000;

/** All documents of a collection, ordered by id, read a page at a time. */
export async function allDocuments<T extends JsonObject>(
  collection: Pick<Collection<T>, 'list'>,
): Promise<readonly StoredDocument<T>[]> {
  const all: StoredDocument<T>[] = [];
  for (;;) {
    const after = all.at(-1)?.id;
    const page = await collection.list({
      limit: pageSize,
      ...(after === undefined ? {} : { after }),
    });
    all.push(...page);
    if (page.length < pageSize) return all;
  }
}
