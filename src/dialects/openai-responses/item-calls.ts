/** Items of a stream that are calls: of the client's tools, and of those that the vendor runs. */

import type { TokenLogprob } from '#canonical';
import { asObject, asString, compact, type JsonObject } from '#std';
import { saysNoArguments } from '../no-arguments.ts';
import { missingRest, type ItemDecoder, type PartEvent } from './item-decoder.ts';
import { decodeNative } from './items-decode.ts';
import { callInput, decodeCall } from './output-decode.ts';

export class CallDecoder implements ItemDecoder {
  readonly events: PartEvent[] = [];
  readonly logprobs: readonly TokenLogprob[] = [];
  done = false;
  readonly #type: string;
  /** All that has come; what comes before the call has a name waits for it. */
  #input = '';
  #started = false;
  /** What the end of the arguments tells of a call that was never announced. */
  #told: JsonObject = {};

  constructor(type: string) {
    this.#type = type;
  }

  take(type: string, event: JsonObject): void {
    if (this.done) return;
    switch (type) {
      case 'response.output_item.added':
        this.#announce(asObject(event['item']) ?? {});
        return;
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
        this.#delta(asString(event['delta']) ?? '');
        return;
      case 'response.function_call_arguments.done':
      case 'response.custom_tool_call_input.done':
        this.#told = compact({ name: event['name'], id: event['item_id'] });
        this.#add(missingRest(this.#input, callInput({ ...event, type: this.#type })));
        return;
      case 'response.output_item.done':
        this.#complete(asObject(event['item']) ?? {});
        return;
    }
  }

  close(): void {
    this.#complete({});
  }

  #announce(item: JsonObject): void {
    if (
      this.#started ||
      asString(item['name']) === undefined ||
      asString(item['call_id']) === undefined
    )
      return;
    this.#started = true;
    const part = decodeCall({ ...item, type: this.#type });
    this.events.push({ kind: 'start', part: { ...part, input: '' } });
    this.#push(this.#input);
    // Some vendors put the first arguments, or all of them, into the announcement.
    this.#delta(missingRest(this.#input, callInput({ ...item, type: this.#type })));
  }

  #delta(delta: string): void {
    const isPlaceholder = this.#type === 'function_call' && saysNoArguments(delta);
    if (this.#input !== '' || !isPlaceholder) this.#add(delta);
  }

  #add(delta: string): void {
    this.#input += delta;
    if (this.#started) this.#push(delta);
  }

  #push(delta: string): void {
    if (delta !== '') this.events.push({ kind: 'delta', delta });
  }

  #complete(item: JsonObject): void {
    this.done = true;
    if (!this.#started) {
      const told = { ...this.#told, ...item };
      // A call that never got a name cannot be run.
      if (asString(told['name']) === undefined) return;
      this.#announce({ ...told, call_id: told['call_id'] ?? told['id'] ?? '' });
    }
    this.#add(missingRest(this.#input, callInput({ ...item, type: this.#type })));
    if (this.#type === 'function_call' && this.#input === '') this.#add('{}');
    const { extensions } = decodeCall({ ...item, type: this.#type });
    this.events.push({ kind: 'end', ...(extensions ? { final: { extensions } } : {}) });
  }
}

/** Built-in calls: announced as they begin, told whole when they are done. */
export class NativeDecoder implements ItemDecoder {
  readonly events: PartEvent[] = [];
  readonly logprobs: readonly TokenLogprob[] = [];
  done = false;
  #announced: JsonObject | undefined;
  #started = false;

  take(type: string, event: JsonObject): void {
    if (this.done) return;
    const item = asObject(event['item']);
    if (!item) return;
    if (type === 'response.output_item.added') this.#announce(item);
    else if (type === 'response.output_item.done') this.#complete(item);
  }

  close(): void {
    if (this.#announced) this.#complete(this.#announced);
    this.done = true;
  }

  #announce(item: JsonObject): void {
    if (this.#announced) return;
    this.#announced = item;
    // An image is announced when it is there: its part holds data from the start.
    if (item['type'] === 'image_generation_call') return;
    this.#started = true;
    const part = { kind: 'native', dialect: 'openai-responses', value: item } as const;
    this.events.push({ kind: 'start', part });
  }

  #complete(item: JsonObject): void {
    this.done = true;
    if (this.#started) {
      this.events.push({ kind: 'end', final: { value: item } });
      return;
    }
    const part = decodeNative(item);
    if (part.kind === 'media' && part.source.kind === 'data') {
      const { extensions: _extensions, ...head } = part;
      this.events.push(
        { kind: 'start', part: { ...head, source: { kind: 'data', data: '' } } },
        { kind: 'delta', delta: part.source.data },
      );
      this.events.push({
        kind: 'end',
        ...(part.extensions ? { final: { extensions: part.extensions } } : {}),
      });
      return;
    }
    this.events.push({ kind: 'start', part }, { kind: 'end' });
  }
}
