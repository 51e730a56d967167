/** Parts of an answer written as output items, with the events that announce them in a stream. */

import {
  writeState,
  type Citation,
  type DialectId,
  type OpaqueState,
  type Part,
  type PartFinal,
  type TokenLogprob,
} from '#canonical';
import { asObject, asString, compact, saidFields, type JsonObject } from '#std';
import { encodeAnnotation } from './annotations.ts';
import { declaredName } from './namespaces.ts';
import { encodeLogprobs } from './output-decode.ts';
import {
  callItem,
  contentPart,
  nativeStages,
  type Emit,
  type ItemPlace,
  type OpenCall,
  type OpenContent,
  type OpenImage,
  type OpenMessage,
  type OpenNative,
  type OpenPart,
  type OpenReasoning,
  type OpenText,
  type OutputOptions,
} from './output-open.ts';
import { idSuffix, itemId } from './state.ts';

const dialect: DialectId = 'openai-responses';

/**
 * Builds the output items of one answer from its part events. Consecutive text and refusal parts
 * are content of one message item; everything else is an item of its own.
 */
export class OutputBuilder {
  /** Complete items, in order. */
  readonly items: JsonObject[] = [];
  readonly #options: OutputOptions;
  readonly #emit: Emit;
  readonly #suffix: string;
  #outputIndex = 0;
  #message: OpenMessage | undefined;
  #open: OpenPart | undefined;
  #lastText: OpenContent | undefined;

  constructor(options: OutputOptions, emit: Emit) {
    this.#options = options;
    this.#emit = emit;
    this.#suffix = idSuffix(options.responseId);
  }

  partStart(part: Part): void {
    if (part.kind !== 'text' && part.kind !== 'refusal') this.#closeMessage('completed');
    this.#open = this.#openPart(part);
  }

  partDelta(delta: string): void {
    const open = this.#open;
    if (!open || delta === '') return;
    switch (open.kind) {
      case 'text':
      case 'refusal':
        return this.#textDelta(open, delta);
      case 'reasoning':
        return this.#reasoningDelta(open, delta);
      case 'tool-call':
        return this.#callDelta(open, delta);
      case 'media':
        open.data += delta;
        return;
      case 'native':
      case 'lost':
        return;
    }
  }

  partEnd(final: PartFinal | undefined): void {
    const open = this.#open;
    this.#open = undefined;
    if (!open) return;
    switch (open.kind) {
      case 'text':
      case 'refusal':
        return this.#textEnd(open, final);
      case 'reasoning':
        return this.#reasoningEnd(open, final);
      case 'tool-call':
        return this.#callEnd(open, final);
      case 'native':
        return this.#nativeEnd(open, final);
      case 'media':
        return this.#imageEnd(open, final);
      case 'lost':
        return;
    }
  }

  /** Log probabilities belong to the text that is open, or to the last one; a refusal has no place for them. */
  logprobs(tokens: readonly TokenLogprob[]): void {
    const said = tokens.filter(({ refusal }) => refusal !== true);
    this.#lastText?.logprobs.push(...said);
    if (said.length > 0 && !this.#lastText)
      this.#options.report('output_text.logprobs', 'log probabilities without a text', false);
    if (said.length < tokens.length)
      this.#options.report('refusal.logprobs', 'log probabilities of a refusal', false);
  }

  finish(incomplete: boolean): void {
    if (this.#open) this.partEnd(undefined);
    this.#closeMessage(incomplete ? 'incomplete' : 'completed');
  }

  // ---- items -----------------------------------------------------------------------------------

  #place(type: string, id?: string): ItemPlace {
    const outputIndex = this.#outputIndex;
    this.#outputIndex += 1;
    return { outputIndex, id: id ?? itemId(type, `${this.#suffix}_${outputIndex}`) };
  }

  #added(place: ItemPlace, item: JsonObject): void {
    this.#emit('output_item.added', { output_index: place.outputIndex, item });
  }

  #done(place: ItemPlace, item: JsonObject): void {
    this.items.push(item);
    this.#emit('output_item.done', { output_index: place.outputIndex, item });
  }

  #itemEvent(type: string, place: ItemPlace, fields: JsonObject = {}): void {
    this.#emit(type, { item_id: place.id, output_index: place.outputIndex, ...fields });
  }

  #extensions(extensions: JsonObject | undefined, what: string): JsonObject {
    if (!extensions) return {};
    const { item: _item, ...rest } = extensions;
    if (this.#options.dialect === dialect) return rest;
    for (const key of saidFields(extensions))
      this.#options.report(
        `${what}.${key}`,
        `unknown to the Responses API (said in ${this.#options.dialect})`,
        false,
      );
    return {};
  }

  #openPart(part: Part): OpenPart {
    switch (part.kind) {
      case 'text':
      case 'refusal': {
        const open: OpenText = { kind: part.kind, part, content: undefined };
        this.#open = open;
        if (part.text !== '') this.#textDelta(open, part.text);
        return open;
      }
      case 'reasoning': {
        const wish = this.#options.request.reasoning?.summary;
        // Clients show summaries; whoever asked for one sees another vendor's thinking in its place.
        const summary =
          part.form === 'summary' ||
          (this.#options.dialect !== dialect && wish !== undefined && wish !== 'none');
        const open: OpenReasoning = { kind: 'reasoning', part, summary, item: undefined, text: '' };
        if (part.text !== '') this.#reasoningDelta(open, part.text);
        return open;
      }
      case 'tool-call':
        return this.#callStart(part);
      case 'native':
        return this.#nativeStart(part);
      case 'media':
        return this.#imageStart(part);
      case 'tool-result':
        this.#options.report('output', 'a tool result within an answer', false);
        return { kind: 'lost' };
    }
  }

  // ---- messages --------------------------------------------------------------------------------

  #openContent(open: OpenText): OpenContent {
    const fields =
      this.#options.dialect === dialect ? asObject(open.part.extensions?.['item']) : undefined;
    this.#closeContent();
    if (this.#message && fields) this.#closeMessage('completed');
    if (!this.#message) {
      const place = this.#place('message');
      this.#message = { ...place, fields: fields ?? {}, content: [], open: undefined };
      this.#added(place, {
        id: place.id,
        type: 'message',
        status: 'in_progress',
        content: [],
        role: 'assistant',
        ...fields,
      });
    }
    const message = this.#message;
    const content: OpenContent = {
      index: message.content.length,
      kind: open.kind,
      text: '',
      logprobs: [],
      final: undefined,
      ended: false,
      extensions: this.#extensions(open.part.extensions, 'output_text'),
    };
    message.open = content;
    if (open.kind === 'text') this.#lastText = content;
    this.#itemEvent('content_part.added', message, {
      content_index: content.index,
      part: contentPart(open.kind, '', [], []),
    });
    return content;
  }

  #textDelta(open: OpenText, delta: string): void {
    const content = (open.content ??= this.#openContent(open));
    content.text += delta;
    const message = this.#message;
    if (!message) return;
    const extra: JsonObject = open.kind === 'text' ? { logprobs: [] } : {};
    this.#itemEvent(open.kind === 'text' ? 'output_text.delta' : 'refusal.delta', message, {
      content_index: content.index,
      delta,
      ...extra,
    });
  }

  #textEnd(open: OpenText, final: PartFinal | undefined): void {
    const state = final?.state ?? open.part.state;
    const citations =
      final?.citations ?? (open.part.kind === 'text' ? open.part.citations : undefined);
    // Sources that came late stand at a text without words.
    if (citations && citations.length > 0) open.content ??= this.#openContent(open);
    if (open.content) {
      open.content.final = { ...final, citations };
      open.content.ended = true;
      // Log probabilities come after the part; the `done` events that carry them wait for them.
      if (!this.#options.request.logprobs) this.#closeContent();
    }
    if (state && state.issuer !== dialect) {
      this.#closeMessage('completed');
      this.#stateItem(state, undefined);
    }
  }

  #closeContent(): void {
    const message = this.#message;
    const content = message?.open;
    if (!message || !content) return;
    message.open = undefined;
    const at = { content_index: content.index };
    const annotations = this.#annotations(message, content);
    const logprobs = encodeLogprobs(content.logprobs);
    const part = {
      ...contentPart(content.kind, content.text, annotations, logprobs),
      ...content.extensions,
    };
    if (content.kind === 'text')
      this.#itemEvent('output_text.done', message, { ...at, text: content.text, logprobs });
    else this.#itemEvent('refusal.done', message, { ...at, refusal: content.text });
    this.#itemEvent('content_part.done', message, { ...at, part });
    message.content.push(part);
  }

  #annotations(message: OpenMessage, content: OpenContent): JsonObject[] {
    const annotations: JsonObject[] = [];
    for (const citation of content.final?.citations ?? []) {
      const annotation = this.#annotation(citation, content.text);
      if (!annotation) continue;
      this.#itemEvent('output_text.annotation.added', message, {
        content_index: content.index,
        annotation_index: annotations.length,
        annotation,
      });
      annotations.push(annotation);
    }
    return annotations;
  }

  #annotation(citation: Citation, text: string): JsonObject | undefined {
    const annotation = encodeAnnotation(citation, text);
    if (!annotation)
      this.#options.report('output_text.annotations', 'a citation without a URL', false);
    return annotation;
  }

  #closeMessage(status: string): void {
    const message = this.#message;
    if (!message) return;
    this.#closeContent();
    this.#message = undefined;
    this.#done(message, {
      id: message.id,
      type: 'message',
      status,
      content: message.content,
      role: 'assistant',
      ...message.fields,
    });
  }

  // ---- reasoning -------------------------------------------------------------------------------

  #reasoningDelta(open: OpenReasoning, delta: string): void {
    const item = open.item ?? this.#reasoningStart(open);
    open.text += delta;
    if (open.summary)
      this.#itemEvent('reasoning_summary_text.delta', item, { summary_index: 0, delta });
    else this.#itemEvent('reasoning_text.delta', item, { content_index: 0, delta });
  }

  #reasoningStart(open: OpenReasoning): ItemPlace {
    const item = this.#reasoningItemStart(open.part.state);
    open.item = item;
    if (open.summary)
      this.#itemEvent('reasoning_summary_part.added', item, {
        summary_index: 0,
        part: { type: 'summary_text', text: '' },
      });
    else
      this.#itemEvent('content_part.added', item, {
        content_index: 0,
        part: { type: 'reasoning_text', text: '' },
      });
    return item;
  }

  #reasoningItemStart(state: OpaqueState | undefined): ItemPlace {
    const item = this.#place('reasoning', state?.issuer === dialect ? state.itemId : undefined);
    this.#added(item, { id: item.id, type: 'reasoning', summary: [] });
    return item;
  }

  #reasoningEnd(open: OpenReasoning, final: PartFinal | undefined): void {
    const state = final?.state ?? open.part.state;
    const extensions = this.#extensions(final?.extensions ?? open.part.extensions, 'reasoning');
    if (open.text === '') {
      if (state || this.#options.dialect === dialect) this.#stateItem(state, undefined, extensions);
      return;
    }
    const item = open.item ?? this.#reasoningStart(open);
    const { text } = open;
    const part = { type: open.summary ? 'summary_text' : 'reasoning_text', text };
    if (open.summary) {
      this.#itemEvent('reasoning_summary_text.done', item, { summary_index: 0, text });
      this.#itemEvent('reasoning_summary_part.done', item, { summary_index: 0, part });
    } else {
      this.#itemEvent('reasoning_text.done', item, { content_index: 0, text });
      this.#itemEvent('content_part.done', item, { content_index: 0, part });
    }
    const complete = {
      id: item.id,
      type: 'reasoning',
      summary: open.summary ? [part] : [],
      content: open.summary ? undefined : [part],
      encrypted_content: state && writeState(state, dialect),
    };
    this.#done(item, compact({ ...complete, ...extensions }));
  }

  /** A reasoning item that only carries opaque state: of its own, or of a tool call beside it. */
  #stateItem(
    state: OpaqueState | undefined,
    toolCallId: string | undefined,
    extensions: JsonObject = {},
  ): void {
    const item = this.#reasoningItemStart(state);
    const encrypted = state && writeState({ ...state, toolCallId }, dialect);
    this.#done(
      item,
      compact({
        id: item.id,
        type: 'reasoning',
        summary: [],
        encrypted_content: encrypted,
        ...extensions,
      }),
    );
  }

  // ---- tool calls ------------------------------------------------------------------------------

  #callStart(part: Extract<Part, { kind: 'tool-call' }>): OpenPart {
    if (part.state) this.#boundState(part.state, part.id);
    const item = this.#place(part.custom ? 'custom_tool_call' : 'function_call');
    const callId = part.id === '' ? `call_${this.#suffix}_${item.outputIndex}` : part.id;
    const declared = declaredName(part, this.#options.request);
    const open: OpenCall = { kind: 'tool-call', part, item, callId, declared, input: '' };
    this.#added(item, callItem(open, 'in_progress'));
    if (part.input !== '') this.#callDelta(open, part.input);
    return open;
  }

  #boundState(state: OpaqueState, callId: string): void {
    if (state.issuer !== dialect) this.#stateItem(state, callId);
  }

  #callDelta(open: OpenCall, delta: string): void {
    open.input += delta;
    this.#itemEvent(
      open.part.custom ? 'custom_tool_call_input.delta' : 'function_call_arguments.delta',
      open.item,
      { delta },
    );
  }

  #callEnd(open: OpenCall, final: PartFinal | undefined): void {
    const { custom } = open.part;
    // A call without arguments is an empty object to every client that parses them.
    if (open.input === '' && !custom) this.#callDelta(open, '{}');
    if (custom) this.#itemEvent('custom_tool_call_input.done', open.item, { input: open.input });
    else
      this.#itemEvent('function_call_arguments.done', open.item, {
        ...compact({ name: open.declared['name'] }),
        arguments: open.input,
      });
    const extensions = this.#extensions(final?.extensions ?? open.part.extensions, 'function_call');
    this.#done(open.item, { ...callItem(open, 'completed'), ...extensions });
    if (final?.state && !open.part.state) this.#boundState(final.state, open.callId);
  }

  // ---- built-in calls and images ---------------------------------------------------------------

  #nativeStart(part: Extract<Part, { kind: 'native' }>): OpenPart {
    const type = asString(part.value['type']) ?? 'item';
    if (part.dialect !== dialect) {
      this.#options.report(`output.${type}`, `an item of ${part.dialect}`, false);
      return { kind: 'lost' };
    }
    const item = this.#place(type, asString(part.value['id']));
    const status: JsonObject = part.value['status'] === undefined ? {} : { status: 'in_progress' };
    this.#added(item, { ...part.value, id: item.id, ...status });
    return { kind: 'native', item, value: part.value };
  }

  #nativeEnd(open: OpenNative, final: PartFinal | undefined): void {
    const value = final?.value ?? open.value;
    const type = asString(value['type']) ?? '';
    const stages = Object.hasOwn(nativeStages, type) ? nativeStages[type] : undefined;
    for (const stage of stages ?? []) this.#itemEvent(`${type}.${stage}`, open.item);
    this.#done(open.item, { ...value, id: open.item.id });
  }

  #imageStart(part: Extract<Part, { kind: 'media' }>): OpenPart {
    if (part.media !== 'image' || part.source.kind !== 'data') {
      this.#options.report(
        'output',
        `${part.media} output has no place in the Responses API`,
        true,
      );
      return { kind: 'lost' };
    }
    if (part.state && part.state.issuer !== dialect) this.#stateItem(part.state, undefined);
    const item = this.#place('image_generation_call', part.id);
    this.#added(item, {
      id: item.id,
      type: 'image_generation_call',
      status: 'in_progress',
      result: null,
    });
    return { kind: 'media', part, item, data: part.source.data };
  }

  #imageEnd(open: OpenImage, final: PartFinal | undefined): void {
    for (const stage of ['in_progress', 'generating', 'completed'])
      this.#itemEvent(`image_generation_call.${stage}`, open.item);
    const { mimeType } = open.part;
    const said = this.#extensions(
      final?.extensions ?? open.part.extensions,
      'image_generation_call',
    );
    const output_format = mimeType?.startsWith('image/')
      ? mimeType.slice('image/'.length)
      : undefined;
    const head = {
      id: open.item.id,
      type: 'image_generation_call',
      status: 'completed',
      output_format,
    };
    this.#done(open.item, compact({ ...head, ...said, result: open.data }));
  }
}
