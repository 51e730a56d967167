/** Tells items of an answer apart by their ids, places and types. */

import { asString, type JsonObject } from '#std';
import type { HeldItem } from './item-places.ts';

export function idsOf(item: JsonObject): readonly string[] {
  const ids = [asString(item['id']), asString(item['call_id'])];
  return ids.filter((id): id is string => id !== undefined && id !== '');
}

type Streamed = Pick<HeldItem, 'place' | 'itemType' | 'ids'>;

/**
 * The places of the items of a complete response, new ones for those that were not streamed; nothing where neither ids
 * nor places tell. Some vendors list items there that they never streamed, or number the stream otherwise: taken
 * for new, an item would be said, and a call run, twice.
 */
export function placesOf(
  items: readonly JsonObject[],
  streamed: readonly Streamed[],
): readonly number[] {
  const byAnyId = new Map(
    streamed.toReversed().flatMap(({ place, ids }) => [...ids].map((id) => [id, place] as const)),
  );
  const byId = items.map((item) => {
    const known = idsOf(item).find((id) => byAnyId.has(id));
    return known === undefined ? undefined : byAnyId.get(known);
  });
  const found = new Set(byId);
  const unfound = streamed.filter(({ place }) => !found.has(place));
  const aligned = streamed.every(({ place, itemType }) => items[place]?.['type'] === itemType);
  if (aligned && unfound.length > 0) return items.map((_, at) => at);
  // As many items of a type as were streamed are those; a type of which none was streamed is new.
  const waiting = Map.groupBy(unfound, ({ itemType }) => itemType);
  const listed = Map.groupBy(
    items.filter((_, at) => byId[at] === undefined),
    (item) => item['type'],
  );
  for (const [type, ones] of waiting) if (listed.get(type)?.length !== ones.length) return [];
  const next = Math.max(-1, ...streamed.map(({ place }) => place)) + 1;
  return items.map(
    (item, at) =>
      byId[at] ?? waiting.get(asString(item['type']) ?? '')?.shift()?.place ?? next + at,
  );
}
