import { gatewayError, type ChatEvent } from '#canonical';
import {
  asCount,
  asNumber,
  asObject,
  asObjects,
  asString,
  parseJson,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Frame, Quirks, StreamDecoder } from '../dialect.ts';
import { vendorError } from './error.ts';
import { ItemNames } from './item-names.ts';
import { createItem, type ItemDecoder, type PartEvent } from './item-stream.ts';
import { decodeFinish } from './output-decode.ts';
import { responseExtensions } from './response.ts';
import { decodeUsage, isSearch } from './usage.ts';

/** Largest number of items one answer may hold; a stream beyond it is no answer. */
const itemsMax = 10_000;

/**
 * Reads the events of a Responses stream. Keyed on `output_index`, because item ids rotate at some
 * vendors; tolerant of missing `event` lines, missing intermediate events and a `[DONE]`. Items
 * that interleave are put one after another.
 */
class ResponsesStreamDecoder implements StreamDecoder {
  readonly #items = new Map<number, ItemDecoder>();
  /** Indices of items by their ids, where the events do not say them. */
  readonly #indices = new Map<string, number>();
  /** Items in the order in which they began; the first one that is not done may speak. */
  readonly #queue: ItemDecoder[] = [];
  #out: ChatEvent[] = [];
  readonly #named = new ItemNames();
  #current: number | undefined;
  #partIndex = 0;
  #started = false;
  #over = false;
  #hasCalls = false;
  #searches = 0;

  push(frame: Frame): readonly ChatEvent[] {
    const data = frame.data.trim();
    if (this.#over || data === '' || data === '[DONE]') return [];
    const parsed = parseJson(data);
    this.#out = [];
    const event = parsed.ok ? asObject(parsed.value) : undefined;
    if (event) this.#take(asString(event['type']) ?? frame.event ?? '', event);
    // Noise is passed over; half an event has said something that is lost now.
    else if (!parsed.ok && data.startsWith('{'))
      this.#fail('upstream_invalid', 'The upstream sent an event that is no JSON.');
    return this.#out;
  }

  end(): readonly ChatEvent[] {
    if (this.#over) return [];
    this.#out = [];
    this.#fail('upstream_cut', 'The upstream ended the answer before it was complete.');
    return this.#out;
  }

  #fail(code: 'upstream_cut' | 'upstream_invalid', message: string): void {
    this.#over = true;
    this.#out.push({ kind: 'error', error: gatewayError(code, message) });
  }

  #take(type: string, event: JsonObject): void {
    switch (type) {
      case 'response.created':
      case 'response.queued':
      case 'response.in_progress':
        return this.#start(asObject(event['response']));
      case 'response.completed':
      case 'response.incomplete':
      case 'response.cancelled':
      case 'response.done':
        return this.#terminal(asObject(event['response']) ?? {}, type);
      case 'response.failed':
        return this.#error(asObject(asObject(event['response'])?.['error']) ?? {});
      case 'error':
      case 'response.error':
        return this.#error(event);
      case '':
        if (asObject(event['error'])) this.#error(event);
        return;
      default:
        return this.#itemEvent(type, event);
    }
  }

  #start(response: JsonObject | undefined): void {
    if (this.#started) return;
    this.#started = true;
    const tier = asString(response?.['service_tier']);
    this.#out.push({
      kind: 'start',
      id: asString(response?.['id']) ?? '',
      model: asString(response?.['model']) ?? '',
      dialect: 'openai-responses',
      createdAt: asNumber(response?.['created_at']),
      // `auto` repeats the request; the tier that was served stands in the last event.
      serviceTier: tier === 'auto' ? undefined : tier,
    });
  }

  #itemEvent(type: string, event: JsonObject): void {
    const outputIndex =
      asCount(event['output_index']) ?? this.#indexById(event) ?? this.#unnumbered(type);
    if (outputIndex === undefined) return;
    this.#start(undefined);
    const item = this.#item(outputIndex, type, event);
    if (!item) return;
    this.#current = outputIndex;
    const whole = asObject(event['item']);
    this.#named.note(outputIndex, whole);
    if (type === 'response.output_item.done' && !item.done && isSearch(whole)) this.#searches += 1;
    item.take(type, event);
    this.#flush();
  }

  /** Some servers number nothing: then the id tells which item is meant, and a new one comes next. */
  #indexById(event: JsonObject): number | undefined {
    const item = asObject(event['item']);
    const id = asString(event['item_id']) ?? asString(item?.['id']) ?? asString(item?.['call_id']);
    if (id === undefined || id === '') return undefined;
    const known = this.#indices.get(id);
    if (known !== undefined || this.#indices.size >= itemsMax) return known;
    const index = Math.max(this.#indices.size, this.#items.size);
    this.#indices.set(id, index);
    return index;
  }

  /** Without number and id, events speak of the item that was announced last. */
  #unnumbered(type: string): number | undefined {
    return type === 'response.output_item.added' ? this.#items.size : this.#current;
  }

  #item(outputIndex: number, type: string, event: JsonObject): ItemDecoder | undefined {
    const known = this.#items.get(outputIndex);
    if (known) return known;
    if (this.#items.size >= itemsMax) return undefined;
    const item = createItem(asObject(event['item']), type);
    if (!item) return undefined;
    this.#items.set(outputIndex, item);
    this.#queue.push(item);
    return item;
  }

  /** Hands out what the first unfinished item has said, and everything of items done before it. */
  #flush(): void {
    for (let item = this.#queue[0]; item; item = this.#queue[0]) {
      for (const event of item.events.splice(0)) this.#emit(event);
      if (!item.done) return;
      if (item.logprobs.length > 0)
        this.#out.push({ kind: 'logprobs', choice: 0, tokens: item.logprobs });
      this.#queue.shift();
    }
  }

  #emit(event: PartEvent): void {
    if (event.kind === 'start') {
      if (event.part.kind === 'tool-call') this.#hasCalls = true;
      this.#out.push({ kind: 'part-start', index: this.#partIndex, choice: 0, part: event.part });
    } else if (event.kind === 'delta') {
      this.#out.push({ kind: 'part-delta', index: this.#partIndex, delta: event.delta });
    } else {
      this.#out.push({
        kind: 'part-end',
        index: this.#partIndex,
        ...(event.final ? { final: event.final } : {}),
      });
      this.#partIndex += 1;
    }
  }

  #terminal(response: JsonObject, type: string): void {
    if (response['status'] === 'failed') return this.#error(asObject(response['error']) ?? {});
    this.#start(response);
    this.#completeItems(response['output']);
    this.#over = true;
    const status = type === 'response.incomplete' ? { status: 'incomplete' } : {};
    this.#out.push({
      kind: 'end',
      choice: 0,
      finish: decodeFinish({ ...response, ...status }, this.#hasCalls),
    });
    const usage = decodeUsage(response['usage'], response, this.#searches);
    if (usage) this.#out.push({ kind: 'usage', usage });
    this.#out.push({ kind: 'finished', extensions: responseExtensions(response) });
  }

  /** Items that the stream left open or never mentioned, from the complete response. */
  #completeItems(output: JsonValue | undefined): void {
    const items = asObjects(output);
    for (const [at, place] of this.#named.places(items).entries()) {
      const event = { item: items[at] };
      this.#item(place, 'response.output_item.done', event)?.take(
        'response.output_item.done',
        event,
      );
    }
    for (const item of this.#queue) if (!item.done) item.close();
    this.#flush();
  }

  #error(error: JsonObject): void {
    this.#over = true;
    this.#out.push({ kind: 'error', error: vendorError(error) });
  }
}

export function streamDecoder(_quirks: Quirks): StreamDecoder {
  return new ResponsesStreamDecoder();
}
