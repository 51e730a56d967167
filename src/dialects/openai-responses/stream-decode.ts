import { gatewayError, type ChatEvent, type GatewayError } from '#canonical';
import {
  asNumber,
  asObject,
  asObjects,
  asString,
  parseJson,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Frame, Quirks, StreamDecoder } from '../dialect.ts';
import { strayFrameError } from '../half-frame.ts';
import { vendorError } from './error.ts';
import { idsOf, placesOf } from './item-names.ts';
import { ItemPlaces } from './item-places.ts';
import type { PartEvent } from './item-decoder.ts';
import { decodeFinish } from './output-decode.ts';
import { readQuirks } from './quirks.ts';
import { responseExtensions } from './response.ts';
import { decodeUsage, isSearch } from './usage.ts';

const itemDone = 'response.output_item.done';

/**
 * Reads the events of a Responses stream. Tolerant of missing `event` lines, missing intermediate
 * events and a `[DONE]`. Items that interleave are put one after another.
 */
class ResponsesStreamDecoder implements StreamDecoder {
  readonly #items: ItemPlaces;
  /** Of the items in their order, the first that is not done: it may speak. */
  #speaker = 0;
  #out: ChatEvent[] = [];
  #partIndex = 0;
  #started = false;
  #over = false;
  #hasCalls = false;
  #searches = 0;

  constructor(customTools: boolean) {
    this.#items = new ItemPlaces(customTools);
  }

  push(frame: Frame): readonly ChatEvent[] {
    const data = frame.data.trim();
    if (this.#over || data === '' || data === '[DONE]') return [];
    const parsed = parseJson(data);
    this.#out = [];
    const event = parsed.ok ? asObject(parsed.value) : undefined;
    if (event) this.#take(asString(event['type']) ?? frame.event ?? '', event);
    const stray = event ? undefined : strayFrameError(frame);
    if (stray) this.#fail(stray);
    return this.#out;
  }

  end(): readonly ChatEvent[] {
    if (this.#over) return [];
    this.#out = [];
    this.#fail(
      gatewayError('upstream_cut', 'The upstream ended the answer before it was complete.'),
    );
    return this.#out;
  }

  #fail(error: GatewayError): void {
    this.#over = true;
    this.#out.push({ kind: 'error', error });
  }

  #failTooMany(): void {
    this.#fail(gatewayError('upstream_invalid', 'The upstream sent too many items.'));
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
    const held = this.#items.find(type, event);
    if (this.#items.overflows) return this.#failTooMany();
    if (!held) return;
    this.#start(undefined);
    const whole = asObject(event['item']);
    if (whole) for (const id of idsOf(whole)) held.ids.add(id);
    if (type === itemDone && !held.item.done && isSearch(whole)) this.#searches += 1;
    held.item.take(type, event);
    this.#flush();
  }

  /** Hands out what the first unfinished item has said, and everything of items done before it. */
  #flush(): void {
    const { all } = this.#items;
    for (let item = all[this.#speaker]?.item; item; item = all[this.#speaker]?.item) {
      for (const event of item.events.splice(0)) this.#emit(event);
      if (!item.done) return;
      if (item.logprobs.length > 0)
        this.#out.push({ kind: 'logprobs', choice: 0, tokens: item.logprobs });
      this.#speaker += 1;
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
    if (this.#items.overflows) return this.#failTooMany();
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
    for (const [at, place] of placesOf(items, this.#items.all).entries()) {
      const event = { item: items[at] };
      this.#items.at(place, itemDone, event)?.item.take(itemDone, event);
    }
    for (const { item } of this.#items.all) if (!item.done) item.close();
    this.#flush();
  }

  #error(error: JsonObject): void {
    this.#fail(vendorError(error));
  }
}

export function streamDecoder(quirks: Quirks): StreamDecoder {
  return new ResponsesStreamDecoder(readQuirks(quirks).customTools);
}
