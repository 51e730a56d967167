import type { Bill, ChatEvent, ChatRequest, Finish, Part, PartFinal, Usage } from '#canonical';
import { completePart } from '#canonical';
import { asObject, formatSse, saidFields, type JsonObject } from '#std';
import type { StreamEncoder } from '../dialect.ts';
import {
  boundState,
  encodeCitations,
  mediaBlock,
  reasoningBlock,
  withExtensions,
  type ReportLoss,
} from './answer-blocks.ts';
import { errorBody } from './error.ts';
import { encodeFinish } from './finish.ts';
import { messageId } from './response.ts';
import { encodeUsage } from './usage.ts';

type OpenPart = {
  readonly part: Part;
  /** Index of the block on the wire; `undefined` while the block is held until its end. */
  readonly wireIndex: number | undefined;
  /** What is held back until the end. */
  readonly pieces: string[];
};

const dialect = 'anthropic-messages';

/**
 * Writes the event order that Anthropic's SDKs accumulate: message_start, blocks one after another
 * with contiguous indexes, one message_delta, message_stop. Native and media blocks, and reasoning
 * without visible text, are known only at their end and are written whole then.
 */
export class MessagesStreamEncoder implements StreamEncoder {
  readonly #request: ChatRequest;
  readonly #report: (path: string, reason: string) => void;
  readonly #open = new Map<number, OpenPart>();
  #own = false;
  /** The one answer there is place for: the first to come, since some vendors count from 1. */
  #choice: number | undefined;
  #nextWireIndex = 0;
  #finish: Finish | undefined;
  #usage: Usage | undefined;
  #bill: Bill | undefined;

  constructor(request: ChatRequest, onLoss: (path: string, reason: string) => void = () => {}) {
    this.#request = request;
    this.#report = onLoss;
  }

  push(event: ChatEvent): string {
    switch (event.kind) {
      case 'start':
        return this.#start(event);
      case 'part-start':
        return this.#partStart(event.index, event.choice, event.part);
      case 'part-delta':
        return this.#partDelta(event.index, event.delta);
      case 'part-end':
        return this.#partEnd(event.index, event.final);
      case 'logprobs':
        this.#report('logprobs', 'Anthropic gives no log probabilities');
        return '';
      case 'end':
        if (event.choice === (this.#choice ??= event.choice)) this.#finish = event.finish;
        return '';
      case 'usage':
        this.#usage = event.usage;
        this.#bill = event.bill;
        return '';
      case 'finished':
        return this.#finished(event.extensions ?? {});
      case 'error':
        return write(errorBody(event.error));
    }
  }

  #start(event: Extract<ChatEvent, { kind: 'start' }>): string {
    this.#own = event.dialect === dialect;
    this.#usage = event.usage;
    return write({
      type: 'message_start',
      message: {
        id: messageId(event.id),
        type: 'message',
        role: 'assistant',
        model: event.model === '' ? this.#request.model : event.model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: usageAtStart(event),
      },
    });
  }

  #partStart(index: number, choice: number, part: Part): string {
    if (choice !== (this.#choice ??= choice)) {
      this.#report(`choices[${choice}]`, 'Anthropic gives one answer');
      return '';
    }
    this.#open.set(index, { part, wireIndex: undefined, pieces: [] });
    // A text may stay without words, which Anthropic refuses when the client sends it back.
    if (part.kind === 'text') return this.#partDelta(index, part.text);
    const opening = this.#openBlock(index, part);
    if (part.kind === 'tool-call') return opening + this.#partDelta(index, part.input);
    return opening + ('text' in part ? this.#partDelta(index, part.text) : '');
  }

  /** The state bound to the part, and the beginning of its block; nothing for one that is written whole at its end. */
  #openBlock(index: number, part: Part): string {
    const head = this.#headBlock(part, index);
    if (!head) return '';
    const state = boundState(part);
    const before = state ? this.#whole(state) : '';
    const wireIndex = this.#nextWireIndex;
    this.#nextWireIndex += 1;
    this.#open.set(index, { part, wireIndex, pieces: [] });
    const opening = write({ type: 'content_block_start', index: wireIndex, content_block: head });
    const first = part.kind === 'tool-call' ? deltaEvent(wireIndex, inputDelta('')) : '';
    return before + opening + first;
  }

  /** The block as it opens; `undefined` for parts that are written whole at their end. */
  #headBlock(part: Part, index: number): JsonObject | undefined {
    const report = this.#reporter(index);
    switch (part.kind) {
      case 'text':
        return withExtensions({ type: 'text', text: '' }, part, this.#own, report);
      case 'refusal':
        return { type: 'text', text: '' };
      case 'reasoning':
        if (part.form === 'redacted') return undefined;
        return withExtensions(
          { type: 'thinking', thinking: '', signature: '' },
          part,
          this.#own,
          report,
        );
      case 'tool-call':
        return withExtensions(
          { type: 'tool_use', id: part.id, name: part.name, input: {} },
          part,
          this.#own,
          report,
        );
      case 'media':
      case 'native':
      case 'tool-result':
        return undefined;
    }
  }

  #reporter(index: number): ReportLoss {
    return (field, reason) => this.#report(`parts[${index}]${field}`, reason);
  }

  #partDelta(index: number, delta: string): string {
    const open = this.#open.get(index);
    if (!open || delta === '') return '';
    if (open.wireIndex === undefined) {
      if (open.part.kind === 'text')
        return this.#openBlock(index, open.part) + this.#partDelta(index, delta);
      open.pieces.push(delta);
      return '';
    }
    switch (open.part.kind) {
      case 'tool-call':
        if (!open.part.custom) return deltaEvent(open.wireIndex, inputDelta(delta));
        open.pieces.push(delta);
        return '';
      case 'reasoning':
        return deltaEvent(open.wireIndex, { type: 'thinking_delta', thinking: delta });
      default:
        return deltaEvent(open.wireIndex, { type: 'text_delta', text: delta });
    }
  }

  #partEnd(index: number, final: PartFinal | undefined): string {
    const open = this.#open.get(index);
    if (!open) return '';
    if (open.wireIndex === undefined && open.part.kind === 'text' && cites(open.part, final))
      return this.#openBlock(index, open.part) + this.#partEnd(index, final);
    this.#open.delete(index);
    if (open.wireIndex === undefined)
      return this.#heldPart(completePart(open.part, open.pieces.join(''), final), index);
    const { part, wireIndex } = open;
    let text = this.#closingDeltas(part, final, wireIndex, index) + freeInput(open, wireIndex);
    text += write({ type: 'content_block_stop', index: wireIndex });
    const late =
      final?.state && final.state !== part.state ? boundState(part, final.state) : undefined;
    return late ? text + this.#whole(late) : text;
  }

  /** What only the end told: citations of a text, the signature of thinking. */
  #closingDeltas(
    part: Part,
    final: PartFinal | undefined,
    wireIndex: number,
    index: number,
  ): string {
    if (part.kind === 'text') {
      const citations =
        encodeCitations(final?.citations ?? part.citations, this.#reporter(index)) ?? [];
      return citations
        .map((citation) => deltaEvent(wireIndex, { type: 'citations_delta', citation }))
        .join('');
    }
    if (part.kind !== 'reasoning') return '';
    const block = reasoningBlock(
      { ...part, form: part.form === 'redacted' ? 'full' : part.form },
      final?.state ?? part.state,
    );
    const signature = block?.['signature'] ?? block?.['data'];
    return typeof signature === 'string' && signature !== ''
      ? deltaEvent(wireIndex, { type: 'signature_delta', signature })
      : '';
  }

  /** A part that is written whole now that it is complete. */
  #heldPart(part: Part, index: number): string {
    const report = this.#reporter(index);
    const bare = ((): JsonObject | undefined => {
      if (part.kind === 'reasoning') return reasoningBlock(part);
      if (part.kind === 'media') return mediaBlock(part, report);
      if (part.kind === 'text') return undefined;
      if (part.kind === 'native' && part.dialect === dialect) return part.value;
      report('', `an item of kind ${part.kind} has no counterpart at Anthropic`);
      return undefined;
    })();
    const state = boundState(part);
    const before = state ? this.#whole(state) : '';
    if (!bare) return before;
    return before + this.#whole(withExtensions(bare, part, this.#own, report));
  }

  /** A block in one piece. The input of server tools comes as a delta, as Anthropic sends it. */
  #whole(block: JsonObject): string {
    const index = this.#nextWireIndex;
    this.#nextWireIndex += 1;
    const input = String(block['type']).endsWith('tool_use') ? asObject(block['input']) : undefined;
    const head = input ? { ...block, input: {} } : block;
    const deltas =
      input && Object.keys(input).length > 0
        ? deltaEvent(index, inputDelta(JSON.stringify(input)))
        : '';
    return (
      write({ type: 'content_block_start', index, content_block: head }) +
      deltas +
      write({ type: 'content_block_stop', index })
    );
  }

  #finished(extensions: JsonObject): string {
    const { context_management: contextManagement, ...rest } = this.#own ? extensions : {};
    if (!this.#own)
      for (const key of saidFields(extensions)) this.#report(key, 'not known to Anthropic');
    const messageDelta = {
      type: 'message_delta',
      delta: { ...encodeFinish(this.#finish, this.#own), ...rest },
      usage: encodeUsage(this.#usage, this.#bill),
      ...(contextManagement === undefined ? {} : { context_management: contextManagement }),
    };
    return write(messageDelta) + write({ type: 'message_stop' });
  }
}

/** A foreign upstream tells its usage at the end; clients read both numbers from the start. */
function usageAtStart({ usage, serviceTier }: Extract<ChatEvent, { kind: 'start' }>): JsonObject {
  if (usage) return encodeUsage(usage);
  return {
    input_tokens: 0,
    output_tokens: 0,
    ...(serviceTier === undefined ? {} : { service_tier: serviceTier }),
  };
}

/** Sources that came late stand at a text without words. */
function cites(part: Extract<Part, { kind: 'text' }>, final: PartFinal | undefined): boolean {
  return (final?.citations ?? part.citations ?? []).length > 0;
}

/** Free text of a call, which has to be an object here; whole answers say it in the same field. */
function freeInput({ part, pieces }: OpenPart, wireIndex: number): string {
  if (part.kind !== 'tool-call' || !part.custom) return '';
  return deltaEvent(wireIndex, inputDelta(JSON.stringify({ input: pieces.join('') })));
}

function inputDelta(text: string): JsonObject {
  return { type: 'input_json_delta', partial_json: text };
}

function deltaEvent(index: number, delta: JsonObject): string {
  return write({ type: 'content_block_delta', index, delta });
}

function write(data: JsonObject): string {
  return formatSse({ event: String(data['type']), data: JSON.stringify(data) });
}
