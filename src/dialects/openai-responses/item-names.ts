import { asString, type JsonObject } from '#std';

function idsOf(item: JsonObject | undefined): readonly string[] {
  const ids = [asString(item?.['id']), asString(item?.['call_id'])];
  return ids.filter((id): id is string => id !== undefined && id !== '');
}

/**
 * Tells which items of a complete response were streamed already. Some vendors list items there
 * that they never streamed, or number the stream otherwise: taken for new, an item would be said,
 * and a call run, twice.
 */
export class ItemNames {
  /** Types by index. */
  readonly #known = new Map<number, string>();
  readonly #indices = new Map<string, number>();

  /** An item began, with the type and the id that its events tell, whether it was announced or not. */
  begin(outputIndex: number, itemType: string, id: string | undefined): void {
    this.#known.set(outputIndex, itemType);
    if (id !== undefined && id !== '' && !this.#indices.has(id)) this.#indices.set(id, outputIndex);
  }

  /** `item` as an event of the stream holds it. */
  note(outputIndex: number, item: JsonObject): void {
    for (const id of idsOf(item)) if (!this.#indices.has(id)) this.#indices.set(id, outputIndex);
  }

  /** The stream's index of each item, a new one for those it did not have; nothing where neither ids nor places tell. */
  places(items: readonly JsonObject[]): readonly number[] {
    const byId = items.map((item) => this.#indexOf(item));
    const found = new Set(byId);
    const unfound = [...this.#known.keys()].filter((index) => !found.has(index));
    if (unfound.length === 0) {
      const next = Math.max(-1, ...this.#known.keys()) + 1;
      return byId.map((index, at) => index ?? next + at);
    }
    const aligned = [...this.#known].every(([index, type]) => {
      const item = items[index];
      return item?.['type'] === type;
    });
    return aligned ? items.map((_, at) => at) : this.#placesByType(items, byId, unfound);
  }

  /** As many items of a type as were streamed are those; a type of which none was streamed is new. */
  #placesByType(
    items: readonly JsonObject[],
    byId: readonly (number | undefined)[],
    unfound: readonly number[],
  ): readonly number[] {
    const waiting = Map.groupBy(unfound, (index) => this.#known.get(index));
    const listed = Map.groupBy(
      items.filter((_, at) => byId[at] === undefined),
      (item) => asString(item['type']),
    );
    for (const [type, indices] of waiting)
      if (listed.get(type)?.length !== indices.length) return [];
    const next = Math.max(-1, ...this.#known.keys()) + 1;
    return items.map(
      (item, at) => byId[at] ?? waiting.get(asString(item['type']))?.shift() ?? next + at,
    );
  }

  #indexOf(item: JsonObject): number | undefined {
    for (const id of idsOf(item)) {
      const index = this.#indices.get(id);
      if (index !== undefined) return index;
    }
    return undefined;
  }
}
