/** One output item of a stream on its way: events in, parts out. */

import type { Citation, Part, PartFinal, TokenLogprob } from '#canonical';
import { asCount, asObject, asString, compact, type JsonObject, type JsonValue } from '#std';
import { saysNoArguments } from '../no-arguments.ts';
import { decodeAnnotation } from './annotations.ts';
import { decodeMessageFields } from './items-decode.ts';
import {
  callInput,
  decodeCall,
  decodeLogprobs,
  decodeOutputItem,
  decodeOutputPart,
  decodeReasoningItem,
  outputParts,
} from './output-decode.ts';

/** A part's event without its index: the stream numbers parts in the order in which they go out. */
export type PartEvent =
  | { readonly kind: 'start'; readonly part: Part }
  | { readonly kind: 'delta'; readonly delta: string }
  | { readonly kind: 'end'; readonly final?: PartFinal | undefined };

export type ItemDecoder = {
  /** What the item has said and nobody has taken yet. */
  readonly events: PartEvent[];
  readonly logprobs: readonly TokenLogprob[];
  readonly done: boolean;
  /** `type` is the event's, with `response.`. */
  take(type: string, event: JsonObject): void;
  /** Ends the item with what is known. */
  close(): void;
};

export type ItemKind = 'message' | 'reasoning' | 'call' | 'native';

/** The type of the item that an event speaks of; by the event's name where it does not hold the item. */
export function itemTypeOf(type: string, event: JsonObject): string | undefined {
  const item = asObject(event['item']);
  return item ? asString(item['type']) : typeByEvent(type, event);
}

export function itemKind(itemType: string | undefined): ItemKind | undefined {
  switch (itemType) {
    case undefined:
    case 'message':
    case 'reasoning':
      return itemType;
    case 'function_call':
    case 'custom_tool_call':
      return 'call';
    default:
      return 'native';
  }
}

/** The decoder of an item; `item` is what announced it, if anything did. */
export function createItem(
  itemType: string | undefined,
  item: JsonObject | undefined,
): ItemDecoder {
  switch (itemType) {
    case 'message':
      return new MessageDecoder(item);
    case 'reasoning':
      return new ReasoningDecoder(item);
    case 'function_call':
    case 'custom_tool_call':
      return new CallDecoder(itemType);
    default:
      return new NativeDecoder();
  }
}

function typeByEvent(type: string, event: JsonObject): string | undefined {
  if (type.startsWith('response.output_text.') || type.startsWith('response.refusal.'))
    return 'message';
  // Both kinds have content, and open models put their thinking there.
  if (type.startsWith('response.content_part.'))
    return asObject(event['part'])?.['type'] === 'reasoning_text' ? 'reasoning' : 'message';
  if (type.startsWith('response.reasoning')) return 'reasoning';
  if (type.startsWith('response.function_call_arguments.')) return 'function_call';
  if (type.startsWith('response.custom_tool_call_input.')) return 'custom_tool_call';
  return undefined;
}

/** The rest of a complete text over what was streamed; nothing when they disagree. */
function missingRest(streamed: string, complete: string | undefined): string {
  return complete !== undefined &&
    complete.length > streamed.length &&
    complete.startsWith(streamed)
    ? complete.slice(streamed.length)
    : '';
}

type ContentState = {
  readonly kind: 'text' | 'refusal';
  text: string;
  readonly citations: Citation[];
  logprobs: TokenLogprob[];
  /** `interrupted`: another content of the item began before its end; its words may go on. */
  state: 'open' | 'interrupted' | 'ended';
};

class MessageDecoder implements ItemDecoder {
  readonly events: PartEvent[] = [];
  readonly logprobs: TokenLogprob[] = [];
  done = false;
  readonly #fields: JsonObject;
  readonly #contents = new Map<number, ContentState>();
  #fieldsTold = false;

  constructor(item: JsonObject | undefined) {
    this.#fields = decodeMessageFields(item ?? {});
  }

  take(type: string, event: JsonObject): void {
    if (this.done) return;
    const index = asCount(event['content_index']) ?? 0;
    switch (type) {
      case 'response.content_part.added':
        this.#open(index, asObject(event['part'])?.['type'] === 'refusal' ? 'refusal' : 'text');
        return;
      case 'response.output_text.delta':
        this.#delta(index, 'text', asString(event['delta']) ?? '', event['logprobs']);
        return;
      case 'response.refusal.delta':
        this.#delta(index, 'refusal', asString(event['delta']) ?? '', undefined);
        return;
      case 'response.output_text.annotation.added':
        this.#annotation(index, asObject(event['annotation']));
        return;
      case 'response.output_text.done':
        this.#rest(index, 'text', asString(event['text']));
        return;
      case 'response.refusal.done':
        this.#rest(index, 'refusal', asString(event['refusal']));
        return;
      case 'response.content_part.done':
        this.#complete(index, asObject(event['part']) ?? {});
        return;
      case 'response.output_item.done':
        this.#completeAll(outputParts(asObject(event['item'])?.['content']));
        this.close();
        return;
    }
  }

  close(): void {
    this.#endOpen('ended');
    for (const content of this.#contents.values()) this.logprobs.push(...content.logprobs);
    this.done = true;
  }

  #open(index: number, kind: 'text' | 'refusal'): ContentState {
    const known = this.#contents.get(index);
    if (known) return known;
    const content: ContentState = { kind, text: '', citations: [], logprobs: [], state: 'open' };
    this.#begin(content);
    this.#contents.set(index, content);
    return content;
  }

  /** Parts of one item do not overlap: the next one ends the one before, and what goes on later is one more. */
  #begin(content: ContentState): void {
    this.#endOpen('interrupted');
    content.state = 'open';
    const item =
      !this.#fieldsTold && Object.keys(this.#fields).length > 0
        ? { extensions: { item: this.#fields } }
        : {};
    this.#fieldsTold = true;
    this.events.push({ kind: 'start', part: { kind: content.kind, text: '', ...item } });
  }

  #endOpen(state: 'interrupted' | 'ended'): void {
    for (const content of this.#contents.values())
      if (content.state === 'open') this.#end(content, state);
  }

  #delta(
    index: number,
    kind: 'text' | 'refusal',
    delta: string,
    logprobs: JsonValue | undefined,
  ): void {
    const content = this.#open(index, kind);
    if (content.state === 'ended') return;
    content.logprobs.push(...decodeLogprobs(logprobs));
    if (delta === '') return;
    if (content.state === 'interrupted') this.#begin(content);
    content.text += delta;
    this.events.push({ kind: 'delta', delta });
  }

  #annotation(index: number, annotation: JsonObject | undefined): void {
    if (annotation) this.#open(index, 'text').citations.push(decodeAnnotation(annotation));
  }

  #rest(index: number, kind: 'text' | 'refusal', complete: string | undefined): void {
    const content = this.#open(index, kind);
    this.#delta(index, kind, missingRest(content.text, complete), undefined);
  }

  /** As many parts as were streamed are those, in their order, however the stream numbered them. */
  #completeAll(parts: readonly JsonObject[]): void {
    const known = [...this.#contents.keys()].sort((left, right) => left - right);
    const readable = parts.filter((part) => decodeOutputPart(part) !== undefined);
    if (known.length === readable.length) {
      for (const [at, part] of readable.entries()) this.#complete(known[at] ?? at, part);
    } else if (known.every((index) => index < parts.length)) {
      for (const [at, part] of parts.entries()) this.#complete(at, part);
    }
  }

  #complete(index: number, part: JsonObject): void {
    const decoded = decodeOutputPart(part);
    if (!decoded) return;
    this.#rest(index, decoded.kind, decoded.text);
    const content = this.#contents.get(index);
    if (!content) return;
    const logprobs = decodeLogprobs(part['logprobs']);
    if (logprobs.length > content.logprobs.length) content.logprobs = logprobs;
    const citations = decoded.kind === 'text' ? decoded.citations : undefined;
    this.#end(content, 'ended', citations, decoded.extensions);
  }

  #end(
    content: ContentState,
    state: 'interrupted' | 'ended',
    citations?: readonly Citation[],
    extensions?: JsonObject,
  ): void {
    const isOpen = content.state === 'open';
    content.state = state;
    if (!isOpen) return;
    const cited = citations && citations.length > 0 ? citations : content.citations;
    const final: PartFinal = {
      ...(cited.length > 0 ? { citations: cited } : {}),
      ...(extensions ? { extensions: this.#withItem(extensions) } : {}),
    };
    this.events.push({ kind: 'end', ...(Object.keys(final).length > 0 ? { final } : {}) });
  }

  #withItem(extensions: JsonObject): JsonObject {
    const first = this.#contents.size === 1 && Object.keys(this.#fields).length > 0;
    return first ? { ...extensions, item: this.#fields } : extensions;
  }
}

class ReasoningDecoder implements ItemDecoder {
  readonly events: PartEvent[] = [];
  readonly logprobs: readonly TokenLogprob[] = [];
  done = false;
  #text = '';
  /** Whether the summary or the thinking itself is streamed; the one that speaks first. */
  #form: 'summary' | 'full' | undefined;
  #summaryIndex = 0;
  readonly #item: JsonObject | undefined;

  constructor(item: JsonObject | undefined) {
    this.#item = item;
  }

  take(type: string, event: JsonObject): void {
    if (this.done) return;
    switch (type) {
      case 'response.reasoning_summary_text.delta':
      case 'response.reasoning_summary.delta':
        this.#delta(
          'summary',
          asString(event['delta']) ?? '',
          asCount(event['summary_index']) ?? 0,
        );
        return;
      case 'response.reasoning_text.delta':
      case 'response.reasoning.delta':
        this.#delta('full', asString(event['delta']) ?? '', 0);
        return;
      case 'response.reasoning_summary_text.done':
        this.#whole('summary', asString(event['text']) ?? '', asCount(event['summary_index']) ?? 0);
        return;
      case 'response.reasoning_text.done':
        this.#whole('full', asString(event['text']) ?? '', 0);
        return;
      case 'response.output_item.done':
        this.#complete(asObject(event['item']) ?? {});
        return;
    }
  }

  close(): void {
    this.#complete(this.#item ?? {});
  }

  #delta(form: 'summary' | 'full', delta: string, summaryIndex: number): void {
    if (delta === '') return;
    if (this.#form === undefined) {
      this.#form = form;
      this.events.push({ kind: 'start', part: { kind: 'reasoning', text: '', form } });
    }
    if (this.#form !== form) return;
    const separator = this.#text !== '' && summaryIndex !== this.#summaryIndex ? '\n\n' : '';
    this.#summaryIndex = summaryIndex;
    this.#text += separator + delta;
    this.events.push({ kind: 'delta', delta: separator + delta });
  }

  /** A text whose deltas never came. */
  #whole(form: 'summary' | 'full', text: string, summaryIndex: number): void {
    if (this.#text === '' || (this.#form === form && summaryIndex > this.#summaryIndex))
      this.#delta(form, text, summaryIndex);
  }

  #complete(item: JsonObject): void {
    if (this.done) return;
    this.done = true;
    const part = decodeReasoningItem(item);
    if (part.kind !== 'reasoning') return;
    if (this.#form === undefined) this.events.push({ kind: 'start', part: { ...part, text: '' } });
    if (this.#form === undefined || this.#form === part.form) {
      const rest = missingRest(this.#text, part.text);
      if (rest !== '') this.events.push({ kind: 'delta', delta: rest });
    }
    const { state, extensions } = part;
    const final: PartFinal = { ...(state ? { state } : {}), ...(extensions ? { extensions } : {}) };
    this.events.push({ kind: 'end', ...(state || extensions ? { final } : {}) });
  }
}

class CallDecoder implements ItemDecoder {
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
class NativeDecoder implements ItemDecoder {
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
    const [part] = decodeOutputItem(item);
    if (!part) return;
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
