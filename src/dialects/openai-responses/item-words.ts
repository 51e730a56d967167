/** Items of a stream that hold words: messages and reasoning. */

import type { Citation, PartFinal, TokenLogprob } from '#canonical';
import { asCount, asObject, asString, type JsonObject, type JsonValue } from '#std';
import { decodeAnnotation } from './annotations.ts';
import { missingRest, type ItemDecoder, type PartEvent } from './item-decoder.ts';
import { decodeMessageFields } from './items-decode.ts';
import {
  decodeLogprobs,
  decodeOutputPart,
  decodeReasoningItem,
  outputParts,
} from './output-decode.ts';

type ContentState = {
  kind: 'text' | 'refusal';
  text: string;
  readonly citations: Citation[];
  logprobs: TokenLogprob[];
  /** `waiting`: announced without words; `interrupted`: another content began before its end, and its words may go on. */
  state: 'waiting' | 'open' | 'interrupted' | 'ended';
  /** The item's own fields ride on its first part. */
  hasFields: boolean;
};

export class MessageDecoder implements ItemDecoder {
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
    for (const content of this.#contents.values()) {
      if (content.state === 'open' || content.state === 'waiting') this.#end(content, 'ended');
      this.logprobs.push(...content.logprobs);
    }
    this.done = true;
  }

  #open(index: number, kind: 'text' | 'refusal'): ContentState {
    const known = this.#contents.get(index);
    if (known) return known;
    const content: ContentState = {
      kind,
      text: '',
      citations: [],
      logprobs: [],
      state: 'waiting',
      hasFields: false,
    };
    this.#contents.set(index, content);
    return content;
  }

  /** Parts of one item do not overlap: the next one ends the one before, and what goes on later is one more. */
  #begin(content: ContentState): void {
    for (const other of this.#contents.values())
      if (other.state === 'open') this.#end(other, 'interrupted');
    content.state = 'open';
    content.hasFields = !this.#fieldsTold && Object.keys(this.#fields).length > 0;
    this.#fieldsTold = true;
    const item = content.hasFields ? { extensions: { item: this.#fields } } : {};
    this.events.push({ kind: 'start', part: { kind: content.kind, text: '', ...item } });
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
    if (content.state === 'waiting') content.kind = kind;
    if (content.state !== 'open') this.#begin(content);
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
    const cited = citations && citations.length > 0 ? citations : content.citations;
    // Sources that came without words have their place too.
    if (content.state === 'waiting' && cited.length > 0) this.#begin(content);
    const isOpen = content.state === 'open';
    content.state = state;
    if (!isOpen) return;
    const final: PartFinal = {
      ...(cited.length > 0 ? { citations: cited } : {}),
      ...(extensions
        ? { extensions: content.hasFields ? { ...extensions, item: this.#fields } : extensions }
        : {}),
    };
    this.events.push({ kind: 'end', ...(Object.keys(final).length > 0 ? { final } : {}) });
  }
}

export class ReasoningDecoder implements ItemDecoder {
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
