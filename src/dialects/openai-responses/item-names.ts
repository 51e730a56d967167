import { asString, type JsonObject } from '#std';

type Name = {
  readonly type: string | undefined;
  readonly ids: readonly string[];
};

function nameOf(item: JsonObject | undefined): Name {
  const ids = [asString(item?.['id']), asString(item?.['call_id'])];
  return {
    type: asString(item?.['type']),
    ids: ids.filter((id): id is string => id !== undefined && id !== ''),
  };
}

/**
 * Tells which items of a complete response were streamed already. Some vendors list items there
 * that they never streamed, or number the stream otherwise: taken for new, an item would be said,
 * and a call run, twice.
 */
export class ItemNames {
  readonly #known = new Map<number, Name>();

  /** `item` as an event of the stream holds it; events inside an item hold none. */
  note(outputIndex: number, item: JsonObject | undefined): void {
    const earlier = this.#known.get(outputIndex);
    const { type, ids } = nameOf(item);
    this.#known.set(outputIndex, {
      type: type ?? earlier?.type,
      ids: [...(earlier?.ids ?? []), ...ids],
    });
  }

  /** The stream's index of each item, a new one for those it did not have; nothing where neither ids nor places tell. */
  places(items: readonly JsonObject[]): readonly number[] {
    const byId = items.map((item) => this.#indexOf(nameOf(item)));
    const found = new Set(byId);
    const unfound = [...this.#known.keys()].filter((index) => !found.has(index));
    if (unfound.length === 0) {
      const next = Math.max(-1, ...this.#known.keys()) + 1;
      return byId.map((index, at) => index ?? next + at);
    }
    const aligned = [...this.#known].every(([index, { type }]) => {
      const item = items[index];
      return item !== undefined && (type === undefined || item['type'] === type);
    });
    return aligned ? items.map((_, at) => at) : [];
  }

  #indexOf({ ids }: Name): number | undefined {
    for (const [index, known] of this.#known)
      if (known.ids.some((id) => ids.includes(id))) return index;
    return undefined;
  }
}
