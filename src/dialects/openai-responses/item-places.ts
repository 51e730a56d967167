import { asCount, asObject, asString, type JsonObject, type JsonValue } from '#std';
import { idsOf } from './item-names.ts';
import type { ItemDecoder } from './item-decoder.ts';
import { createItem, itemKind, itemTypeOf, type ItemKind } from './item-kinds.ts';

/** Largest number of items one answer may hold; a stream beyond it is no answer. */
const itemsMax = 10_000;
/** Of items under one number, those that are looked through for a later event. */
const sharersMax = 64;
/** Where the places of items begin whose number another one has. */
const furtherPlaces = 2 ** 32;

/** An item of the answer; its place tells it from all others. */
export type HeldItem = {
  readonly place: number;
  readonly kind: ItemKind;
  readonly itemType: string;
  readonly item: ItemDecoder;
  readonly id: string | undefined;
  readonly callId: string | undefined;
  /** All ids that its events have told: those of some vendors change. */
  readonly ids: Set<string>;
  /** Ended by us, because another one came under its number. */
  interrupted: boolean;
};

/**
 * Finds the item that an event speaks of: by `output_index`, because ids rotate at some vendors; by its
 * id where nothing is numbered. Vendors that give every item the same number begin another one by what
 * cannot belong to the one before: words of another kind, or an announcement with another id.
 */
export class ItemPlaces {
  /** All items, in the order in which they began. */
  readonly all: HeldItem[] = [];
  readonly #customTools: boolean;
  readonly #byPlace = new Map<number, HeldItem>();
  /** The items under each number, latest first. */
  readonly #byNumber = new Map<number, readonly [HeldItem, ...HeldItem[]]>();
  /** Numbers of items by their ids, where the events do not say them. */
  readonly #indices = new Map<string, number>();
  #current: number | undefined;
  /** The item of the latest delta, with the delta's type and id: more of the same belongs there too. */
  #speaker: HeldItem | undefined;
  #spoken = '';
  #spokenId: JsonValue | undefined;
  /** Whether there were more items than an answer may hold. */
  overflows = false;

  constructor(customTools: boolean) {
    this.#customTools = customTools;
  }

  /** `undefined` where the event belongs to no item. */
  find(type: string, event: JsonObject): HeldItem | undefined {
    const index =
      asCount(event['output_index']) ?? this.#indexById(event) ?? this.#unnumbered(type);
    const sharers = this.#byNumber.get(index);
    const held = sharers
      ? this.#among(sharers, index, type, event)
      : this.#begin(index, type, event);
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
    const index = Math.max(this.#indices.size, this.#byNumber.size);
    this.#indices.set(id, index);
    return index;
  }

  /** Without number and id, events speak of the item that was announced last. */
  #unnumbered(type: string): number {
    return type === 'response.output_item.added' ? this.#byNumber.size : (this.#current ?? 0);
  }

  #among(
    sharers: readonly [HeldItem, ...HeldItem[]],
    index: number,
    type: string,
    event: JsonObject,
  ): HeldItem | undefined {
    const [latest] = sharers;
    const goesOn = latest === this.#speaker && type === this.#spoken && !latest.item.done;
    if (goesOn && (sharers.length === 1 || event['item_id'] === this.#spokenId)) return latest;
    const kind = itemKind(itemTypeOf(type, event), this.#customTools);
    if (kind === undefined) return latest;
    const item = asObject(event['item']);
    // Items that interleave have numbers of their own: nothing has to be looked for.
    const isAlone = sharers.length === 1 && latest.kind === kind;
    if (isAlone && !item && !latest.item.done) return this.#speaks(latest, type, event);
    const alike = sharers.filter((held) => held.kind === kind);
    const known = item ? announced(alike, type, item) : spoken(alike, event['item_id']);
    if (known) return this.#speaks(known, type, event);
    const begun = this.#begin(index, type, event);
    if (begun) interrupt(latest);
    return begun;
  }

  #speaks(held: HeldItem, type: string, event: JsonObject): HeldItem {
    // A delta never holds an item, which would have to be compared.
    this.#speaker = type.endsWith('.delta') ? held : undefined;
    this.#spoken = type;
    this.#spokenId = event['item_id'];
    return held;
  }

  #begin(index: number, type: string, event: JsonObject): HeldItem | undefined {
    const itemType = itemTypeOf(type, event);
    const kind = itemKind(itemType, this.#customTools);
    if (itemType === undefined || kind === undefined) return undefined;
    if (this.all.length >= itemsMax) {
      this.overflows = true;
      return undefined;
    }
    const item = asObject(event['item']);
    const id = asString(item?.['id']) ?? asString(event['item_id']);
    const callId = asString(item?.['call_id']);
    const sharers = this.#byNumber.get(index) ?? [];
    const held: HeldItem = {
      place: sharers.length > 0 ? furtherPlaces + this.all.length : index,
      kind,
      itemType,
      item: createItem(kind, itemType, item),
      id,
      callId,
      ids: new Set(idsOf({ id, call_id: callId })),
      interrupted: false,
    };
    this.#byPlace.set(held.place, held);
    this.#byNumber.set(index, [held, ...sharers.slice(0, sharersMax)]);
    this.all.push(held);
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
function spoken(alike: readonly HeldItem[], id: JsonValue | undefined): HeldItem | undefined {
  const open = alike.filter((held) => !held.item.done);
  return (
    open.find((held) => held.id !== undefined && held.id === id) ??
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
