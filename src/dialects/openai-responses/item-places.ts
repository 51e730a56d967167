import { asCount, asObject, asString, type JsonObject } from '#std';
import {
  createItem,
  itemKind,
  itemTypeOf,
  type ItemDecoder,
  type ItemKind,
} from './item-stream.ts';

/** Largest number of items one answer may hold; a stream beyond it is no answer. */
const itemsMax = 10_000;
/** Of items under one number, those that are looked through for a later event. */
const earlierMax = 64;
/** Where the places of items begin whose number another one has. */
const furtherPlaces = 2 ** 32;

/** An item of the answer; its place tells it from all others. */
export type HeldItem = {
  readonly place: number;
  readonly kind: ItemKind;
  readonly itemType: string;
  readonly item: ItemDecoder;
  id: string | undefined;
  callId: string | undefined;
  /** Ended by us, because another one came under its number. */
  interrupted: boolean;
};

/**
 * Finds the item that an event speaks of: by `output_index`, because ids rotate at some vendors; by its
 * id where nothing is numbered. Vendors that give every item the same number begin another one by what
 * cannot belong to the one before: words of another kind, or an announcement with another id.
 */
export class ItemPlaces {
  readonly #byPlace = new Map<number, HeldItem>();
  /** The latest item under each number. */
  readonly #latest = new Map<number, HeldItem>();
  /** Those that had the number before it, latest first. */
  readonly #earlier = new Map<number, readonly HeldItem[]>();
  /** Numbers of items by their ids, where the events do not say them. */
  readonly #indices = new Map<string, number>();
  #current: number | undefined;
  /** The type of the latest event and its item, where more of the same can only belong there. */
  #spoken = '';
  #speaker: HeldItem | undefined;
  /** Whether there were more items than an answer may hold. */
  overflows = false;
  readonly #onBegin: (held: HeldItem) => void;

  /** `onBegin` hears of every new item. */
  constructor(onBegin: (held: HeldItem) => void) {
    this.#onBegin = onBegin;
  }

  /** `undefined` where the event belongs to no item. */
  find(type: string, event: JsonObject): HeldItem | undefined {
    const index =
      asCount(event['output_index']) ?? this.#indexById(event) ?? this.#unnumbered(type);
    const latest = this.#latest.get(index);
    const held = latest ? this.#under(index, latest, type, event) : this.#begin(index, type, event);
    if (held) this.#current = index;
    return held;
  }

  /** The item at the place of a {@link HeldItem}, or a new one there. */
  at(place: number, type: string, event: JsonObject): HeldItem | undefined {
    return this.#byPlace.get(place) ?? this.#begin(place, type, event);
  }

  /** Some servers number nothing: then the id tells which item is meant, and a new one comes next. */
  #indexById(event: JsonObject): number | undefined {
    const item = asObject(event['item']);
    const id = asString(event['item_id']) ?? asString(item?.['id']) ?? asString(item?.['call_id']);
    if (id === undefined || id === '') return undefined;
    const known = this.#indices.get(id);
    if (known !== undefined || this.#indices.size >= itemsMax) return known;
    const index = Math.max(this.#indices.size, this.#latest.size);
    this.#indices.set(id, index);
    return index;
  }

  /** Without number and id, events speak of the item that was announced last. */
  #unnumbered(type: string): number {
    return type === 'response.output_item.added' ? this.#latest.size : (this.#current ?? 0);
  }

  #under(index: number, latest: HeldItem, type: string, event: JsonObject): HeldItem | undefined {
    const goesOn = latest === this.#speaker && type === this.#spoken && this.#earlier.size === 0;
    if (goesOn && !latest.item.done) return latest;
    const kind = itemKind(itemTypeOf(type, event));
    if (kind === undefined) return latest;
    const earlier = this.#earlier.get(index);
    const item = asObject(event['item']);
    const id = asString(event['item_id']);
    const isLatest = !earlier || id === undefined || id === latest.id;
    if (!item && isLatest && latest.kind === kind && !latest.item.done) {
      this.#speaker = type.endsWith('.delta') ? latest : undefined;
      this.#spoken = type;
      return latest;
    }
    const alike = [latest, ...(earlier ?? [])].filter((held) => held.kind === kind);
    const known = item ? announced(alike, type, item) : spoken(alike, id);
    if (known) return known;
    const begun = this.#begin(index, type, event);
    if (!begun) return undefined;
    this.#earlier.set(index, [latest, ...(earlier ?? [])].slice(0, earlierMax));
    interrupt(latest);
    return begun;
  }

  #begin(index: number, type: string, event: JsonObject): HeldItem | undefined {
    const itemType = itemTypeOf(type, event);
    const kind = itemKind(itemType);
    if (itemType === undefined || kind === undefined) return undefined;
    if (this.#byPlace.size >= itemsMax) {
      this.overflows = true;
      return undefined;
    }
    const item = asObject(event['item']);
    const held: HeldItem = {
      place: this.#latest.has(index) ? furtherPlaces + this.#byPlace.size : index,
      kind,
      itemType,
      item: createItem(itemType, item),
      id: asString(item?.['id']) ?? asString(event['item_id']),
      callId: asString(item?.['call_id']),
      interrupted: false,
    };
    this.#byPlace.set(held.place, held);
    this.#latest.set(index, held);
    this.#onBegin(held);
    return held;
  }
}

/** Of items of one kind and number, latest first, the one whose beginning or end an event tells. */
function announced(
  alike: readonly HeldItem[],
  type: string,
  item: JsonObject,
): HeldItem | undefined {
  const open = alike.filter((held) => !held.item.done);
  const over = alike.filter((held) => held.item.done);
  if (type !== 'response.output_item.done')
    return (
      open.find((held) => isSame(held, item) !== false) ??
      over.find((held) => isSame(held, item) === true)
    );
  return (
    open.find((held) => isSame(held, item) === true) ??
    open[0] ??
    over.find((held) => isSame(held, item) !== false)
  );
}

/** Of the same, the one to which words belong; those that come after an item's end belong to nothing. */
function spoken(alike: readonly HeldItem[], id: string | undefined): HeldItem | undefined {
  const open = alike.filter((held) => !held.item.done);
  return (
    open.find((held) => id !== undefined && held.id === id) ??
    open[0] ??
    alike.find((held) => !held.interrupted)
  );
}

/** `undefined` where no ids tell. */
function isSame(held: HeldItem, item: JsonObject): boolean | undefined {
  const callId = asString(item['call_id']) ?? '';
  if (callId !== '' && (held.callId ?? '') !== '') return held.callId === callId;
  const id = asString(item['id']) ?? '';
  return id !== '' && (held.id ?? '') !== '' ? held.id === id : undefined;
}

/** A call may go on later, by its id; what another item's words interrupt is over, or these would have to wait. */
function interrupt(held: HeldItem): void {
  if (held.item.done || (held.kind === 'call' && (held.id ?? held.callId) !== undefined)) return;
  held.interrupted = true;
  held.item.close();
}
