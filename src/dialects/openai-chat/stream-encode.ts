import type {
  Bill,
  ChatEvent,
  ChatRequest,
  Part,
  PartFinal,
  ReasoningPart,
  ToolCallPart,
  Usage,
} from '#canonical';
import {
  asObject,
  compact,
  fieldPath,
  formatSse,
  saidFields,
  unknownFields,
  type JsonObject,
} from '#std';
import type { StreamEncoder } from '../dialect.ts';
import { foreignDetails } from '../finish-details.ts';
import { encodeLogprobTokens } from './answer.ts';
import { encodeDetail, needsDetail, textStateDetail } from './details.ts';
import { encodeError } from './error.ts';
import {
  callExtras,
  encodeAudio,
  encodeCitation,
  encodeImage,
  finishWord,
  nativeFinish,
  partExtras,
} from './response.ts';
import { encodeUsage } from './usage.ts';

type OnLoss = (path: string, reason: string) => void;
type OpenPart = {
  readonly part: Part;
  readonly choice: number;
  /** Position among the tool calls of its choice. */
  readonly tool: number;
  /** Kept where the end of the part needs the whole. */
  readonly pieces: string[];
  /** Where the part begins in the text of its choice, for offsets of citations. */
  readonly textStart: number;
  /** Number of the thinking's entry in `reasoning_details`; `undefined` where it needs none. */
  readonly detail: number | undefined;
};

/**
 * Writes a chat stream as the official SDKs expect it: per choice a first chunk with the role, deltas,
 * one chunk with the finish reason; then, only if asked for, the usage with `choices: []`; `[DONE]`.
 */
export function createStreamEncoder(
  request: ChatRequest,
  onLoss: OnLoss = () => {},
): StreamEncoder {
  return new ChatStreamEncoder(request, onLoss);
}

class ChatStreamEncoder implements StreamEncoder {
  readonly #request: ChatRequest;
  readonly #onLoss: OnLoss;
  readonly #open = new Map<number, OpenPart>();
  readonly #greeted = new Set<number>();
  readonly #toolCounts = new Map<number, number>();
  readonly #textLengths = new Map<number, number>();
  #head: JsonObject = { id: '', object: 'chat.completion.chunk', created: 0, model: '' };
  #own = false;
  #detailCount = 0;
  #usage: { readonly usage: Usage; readonly bill: Bill | undefined } | undefined;

  constructor(request: ChatRequest, onLoss: OnLoss) {
    this.#request = request;
    this.#onLoss = onLoss;
  }

  push(event: ChatEvent): string {
    switch (event.kind) {
      case 'start':
        this.#begin(event);
        return '';
      case 'part-start':
        return this.#startPart(event.index, event.choice, event.part);
      case 'part-delta':
        return this.#append(event.index, event.delta);
      case 'part-end':
        return this.#endPart(event.index, event.final ?? {});
      case 'logprobs':
        return this.#chunk(event.choice, {}, { logprobs: encodeLogprobTokens(event.tokens) });
      case 'end': {
        const { finish, choice } = event;
        const details =
          this.#own && finish.details ? unknownFields(finish.details, new Set(['message'])) : {};
        const said = this.#own ? asObject(finish.details?.['message']) : undefined;
        const legacy = this.#request.legacyFunctions === true;
        if (!this.#own) this.#loseAll(foreignDetails(finish), `choices[${choice}].`);
        return this.#chunk(choice, said ?? {}, {
          finish_reason: finishWord(finish, legacy),
          ...nativeFinish(finish, this.#own),
          ...details,
        });
      }
      case 'usage':
        this.#usage = { usage: event.usage, bill: event.bill };
        return '';
      case 'finished':
        return this.#close(event.extensions);
      case 'error':
        return formatSse({ data: JSON.stringify(encodeError(event.error, '').body) });
    }
  }

  #begin(event: Extract<ChatEvent, { kind: 'start' }>): void {
    this.#own = event.dialect === 'openai-chat';
    const { id, model, createdAt, serviceTier } = event;
    this.#head = compact({
      // OpenAI's SDK passes over the usage of a chunk that has no id.
      id: id === '' ? 'chatcmpl-unnamed' : id,
      object: 'chat.completion.chunk',
      created: Math.floor(createdAt ?? 0),
      model,
      service_tier: serviceTier,
    });
  }

  #startPart(index: number, choice: number, part: Part): string {
    if (!this.#own) this.#loseAll(saidFields(partExtras(part)));
    const tool = part.kind === 'tool-call' ? (this.#toolCounts.get(choice) ?? 0) : 0;
    const detailed = part.kind === 'reasoning' && (!this.#own || needsDetail(part));
    const detail = detailed ? this.#detailCount++ : undefined;
    this.#open.set(index, {
      part,
      choice,
      tool,
      pieces: [],
      textStart: this.#textLengths.get(choice) ?? 0,
      detail,
    });
    switch (part.kind) {
      case 'text':
      case 'refusal':
      case 'reasoning':
        return part.text === '' ? '' : this.#append(index, part.text);
      case 'tool-call':
        this.#toolCounts.set(choice, tool + 1);
        return this.#startCall(part, choice, tool);
      case 'native':
        if (!(this.#own && part.dialect === 'openai-chat'))
          this.#lose('content', `an item only ${part.dialect} knows`);
        return '';
      case 'media':
      case 'tool-result':
        return '';
    }
  }

  #startCall(part: ToolCallPart, choice: number, tool: number): string {
    if (this.#request.legacyFunctions) {
      return tool === 0
        ? this.#chunk(choice, { function_call: { name: part.name, arguments: part.input } })
        : '';
    }
    const head = part.custom
      ? { id: part.id, type: 'custom', custom: { name: part.name, input: part.input } }
      : { id: part.id, type: 'function', function: { name: part.name, arguments: part.input } };
    return this.#chunk(choice, { tool_calls: [{ index: tool, ...head, ...callExtras(part) }] });
  }

  #append(index: number, delta: string): string {
    const open = this.#open.get(index);
    if (!open || delta === '') return '';
    const { part, choice, tool } = open;
    switch (part.kind) {
      case 'text':
        this.#textLengths.set(choice, (this.#textLengths.get(choice) ?? 0) + delta.length);
        return this.#chunk(choice, { content: delta });
      case 'refusal':
        return this.#chunk(choice, { refusal: delta });
      case 'reasoning':
        return this.#chunk(choice, this.#thinking(open, part, delta));
      case 'tool-call':
        return this.#appendCall(part, choice, tool, delta);
      case 'media':
        if (part.media === 'audio')
          return this.#chunk(choice, { audio: compact({ id: part.id, data: delta }) });
        open.pieces.push(delta);
        return '';
      case 'native':
      case 'tool-result':
        return '';
    }
  }

  /** Thinking that may be signed at its end is told twice, as OpenRouter does: for reading, and for sending back whole. */
  #thinking(open: OpenPart, part: ReasoningPart, text: string): JsonObject {
    if (open.detail === undefined) return { reasoning_content: text };
    const piece: ReasoningPart = {
      kind: 'reasoning',
      form: part.form,
      text,
      ...(this.#own && part.extensions ? { extensions: part.extensions } : {}),
    };
    return { reasoning_content: text, reasoning_details: [encodeDetail(piece, open.detail)] };
  }

  #appendCall(part: ToolCallPart, choice: number, tool: number, delta: string): string {
    if (this.#request.legacyFunctions)
      return tool === 0 ? this.#chunk(choice, { function_call: { arguments: delta } }) : '';
    const piece = part.custom
      ? { type: 'custom', custom: { input: delta } }
      : { function: { arguments: delta } };
    return this.#chunk(choice, { tool_calls: [{ index: tool, ...piece }] });
  }

  #endPart(index: number, final: PartFinal): string {
    const open = this.#open.get(index);
    if (!open) return '';
    this.#open.delete(index);
    const { part, choice, tool } = open;
    switch (part.kind) {
      case 'text':
        return (
          this.#cite(open, final.citations ?? part.citations ?? []) +
          this.#textState(choice, textStateDetail(part, final.state))
        );
      case 'reasoning': {
        const state = final.state ?? part.state;
        const extensions = this.#own ? (final.extensions ?? part.extensions) : undefined;
        if (!state) return '';
        const last: ReasoningPart = {
          kind: part.kind,
          form: part.form,
          text: '',
          state,
          ...(extensions ? { extensions } : {}),
        };
        const {
          text: _text,
          summary: _summary,
          ...entry
        } = encodeDetail(last, open.detail ?? this.#detailCount++);
        return this.#chunk(choice, { reasoning_details: [entry] });
      }
      case 'tool-call': {
        if (!final.state || part.state || this.#request.legacyFunctions) return '';
        return this.#chunk(choice, {
          tool_calls: [
            { index: tool, ...callExtras({ state: final.state, extensions: part.extensions }) },
          ],
        });
      }
      case 'media':
        return this.#endMedia(open, final);
      case 'refusal':
      case 'native':
      case 'tool-result':
        return '';
    }
  }

  #textState(choice: number, detail: ReasoningPart | undefined): string {
    if (!detail) return '';
    return this.#chunk(choice, { reasoning_details: [encodeDetail(detail, this.#detailCount++)] });
  }

  #cite(open: OpenPart, citations: NonNullable<PartFinal['citations']>): string {
    const annotations: JsonObject[] = [];
    for (const citation of citations) {
      const annotation = encodeCitation(citation, open.textStart);
      if (annotation) annotations.push(annotation);
      else this.#lose('annotations', 'chat cites by URL only');
    }
    return annotations.length > 0 ? this.#chunk(open.choice, { annotations }) : '';
  }

  #endMedia(open: OpenPart, final: PartFinal): string {
    const { part, choice, pieces } = open;
    if (part.kind !== 'media') return '';
    const transcript = final.transcript ?? part.transcript;
    if (part.media === 'audio') {
      const { data: _data, ...rest } = encodeAudio(
        { ...part, transcript, extensions: this.#own ? final.extensions : undefined },
        '',
      );
      return this.#chunk(choice, { audio: rest });
    }
    if (part.media === 'image') {
      const { source } = part;
      const whole =
        source.kind === 'data'
          ? { ...part, source: { ...source, data: source.data + pieces.join('') } }
          : part;
      return this.#chunk(choice, { images: [{ ...encodeImage(whole), index: 0 }] });
    }
    this.#lose('content', `chat has no place for generated ${part.media}`);
    return '';
  }

  #lose(field: string, reason: string): void {
    this.#onLoss(fieldPath('choices[0].delta', field), reason);
  }

  #chunk(choice: number, delta: JsonObject, rest: JsonObject = {}): string {
    const greeting = this.#greeted.has(choice)
      ? ''
      : this.#write(choice, { role: 'assistant', content: '' }, {});
    this.#greeted.add(choice);
    return greeting + this.#write(choice, delta, rest);
  }

  #write(choice: number, delta: JsonObject, rest: JsonObject): string {
    const choices = [{ index: choice, delta, logprobs: null, finish_reason: null, ...rest }];
    const usage = this.#request.streamUsage ? { usage: null } : {};
    return `data: ${JSON.stringify({ ...this.#head, choices, ...usage })}\n\n`;
  }

  #loseAll(names: readonly string[], at = ''): void {
    for (const name of names) this.#onLoss(at + name, 'not known in Chat Completions');
  }

  #close(extensions: JsonObject = {}): string {
    if (!this.#own) this.#loseAll(saidFields(extensions));
    const rest = this.#own ? extensions : {};
    const done = 'data: [DONE]\n\n';
    if (!this.#request.streamUsage || !this.#usage) {
      for (const key of Object.keys(rest))
        if (key !== 'system_fingerprint')
          this.#onLoss(key, 'only told with the usage of the stream');
      return done;
    }
    const { usage, bill } = this.#usage;
    const tier = usage.serviceTier === undefined ? {} : { service_tier: usage.serviceTier };
    const chunk = { ...rest, ...this.#head, ...tier, choices: [], usage: encodeUsage(usage, bill) };
    return `data: ${JSON.stringify(chunk)}\n\n${done}`;
  }
}
