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
  readonly #known = new Map<number, string | undefined>();
  readonly #indices = new Map<string, number>();

  /** `item` as an event of the stream holds it; events inside an item hold none. */
  note(outputIndex: number, item: JsonObject | undefined): void {
    this.#known.set(outputIndex, asString(item?.['type']) ?? this.#known.get(outputIndex));
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
      return item !== undefined && (type === undefined || item['type'] === type);
    });
    return aligned ? items.map((_, at) => at) : [];
  }

  #indexOf(item: JsonObject): number | undefined {
    for (const id of idsOf(item)) {
      const index = this.#indices.get(id);
      if (index !== undefined) return index;
    }
    return undefined;
  }
}
