import {
  gatewayError,
  type ChatEvent,
  type Citation,
  type GatewayError,
  type OpaqueState,
  type Part,
  type PartFinal,
} from '#canonical';
import {
  asCount,
  asObject,
  asString,
  parseJson,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Frame, Quirks, StreamDecoder } from '../dialect.ts';
import { halfFrameError, isHalfFrame } from '../half-frame.ts';
import { saysNoArguments } from '../no-arguments.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { decodeFinish } from './finish.ts';
import { blocksMax, gatheredCharactersMax } from './limits.ts';
import { readQuirks, type AnthropicQuirks } from './quirks.ts';
import { decodeCitation, reasoningPart } from './request-blocks.ts';
import {
  decodeAnswerBlock,
  inputText,
  isAnswerTool,
  messageBlocks,
  toolCallHead,
} from './response-blocks.ts';
import { decodeUsage, mergeRawUsage } from './usage.ts';

/** The block that is being streamed: blocks never overlap. */
type OpenBlock = {
  readonly wireIndex: number;
  readonly index: number;
  readonly block: JsonObject;
  readonly part: Part;
  /** Deltas that are kept until the end: citations, the signature, fields of native blocks. */
  readonly citations: Citation[];
  readonly gathered: Map<string, JsonValue>;
  /** Something was appended to the part. */
  appended: boolean;
};

/**
 * Decodes the events of a message. A second `message_start` is ignored as long as no block is cut
 * by it (some proxies repeat it); one that comes in the middle of a block is an error, because half
 * a block was already handed on. Only `message_stop` ends a stream well.
 */
export class MessagesStreamDecoder implements StreamDecoder {
  readonly #quirks: AnthropicQuirks;
  #started = false;
  #closed = false;
  #nextIndex = 0;
  /** Blocks by the vendor's index; `interrupted`: the next one began before its end. */
  readonly #blocks = new Map<number, 'begun' | 'interrupted'>();
  #gatheredCharacters = 0;
  #toolCalls = 0;
  #answeredByTool = false;
  #open: OpenBlock | undefined;
  /** Blocks that `message_start` held: calls that code of a container makes come so. */
  #given: readonly JsonObject[] = [];
  #usage: JsonObject | undefined;
  /** Whether the end has told it too: the start's count of output is a placeholder. */
  #usageAtEnd = false;
  #finish: JsonObject = {};
  #extensions: Record<string, JsonValue | undefined> = {};

  constructor(quirks: Quirks) {
    this.#quirks = readQuirks(quirks);
  }

  push(frame: Frame): readonly ChatEvent[] {
    const text = frame.data.trim();
    if (this.#closed || text === '' || text === '[DONE]') return [];
    const parsed = parseJson(text);
    const data = parsed.ok ? asObject(parsed.value) : undefined;
    if (!data) return isHalfFrame(text) ? this.#fail(halfFrameError()) : [];
    const type = asString(data['type']) ?? frame.event;
    switch (type) {
      case 'message_start':
        return this.#start(data);
      case 'message':
        return this.#started ? [] : [...this.#start({ message: data }), ...this.#stop({})];
      case 'content_block_start':
        return this.#startBlock(data);
      case 'content_block_delta':
        return this.#delta(data);
      case 'content_block_stop':
        return this.#endBlock(data);
      case 'message_delta':
        return this.#messageDelta(data);
      case 'message_stop':
        return this.#stop(data);
      case 'error':
        return this.#fail(decodeUpstreamErrorValue(200, data));
      default:
        return data['type'] === undefined && asObject(data['error'])
          ? this.#fail(decodeUpstreamErrorValue(200, data))
          : [];
    }
  }

  end(): readonly ChatEvent[] {
    if (this.#closed) return [];
    return this.#fail(
      gatewayError('upstream_cut', 'The upstream ended the stream before the answer was complete.'),
    );
  }

  #fail(error: GatewayError): readonly ChatEvent[] {
    this.#closed = true;
    return [{ kind: 'error', error }];
  }

  #start(data: JsonObject): readonly ChatEvent[] {
    if (this.#open)
      return this.#fail(
        gatewayError('upstream_invalid', 'The upstream began a second answer inside the first.'),
      );
    const message = asObject(data['message']) ?? {};
    const usage = asObject(message['usage']);
    if (usage) this.#usage = mergeRawUsage(this.#usage ?? {}, usage);
    const { stop_reason, stop_sequence, stop_details } = message;
    this.#finish = mergeRawUsage(this.#finish, { stop_reason, stop_sequence, stop_details });
    Object.assign(this.#extensions, unknownFields(message, startFields));
    if (this.#started) return [];
    this.#started = true;
    this.#given = messageBlocks(message).filter((block) => block['text'] !== '');
    // A message that says why it ended is no beginning: its counts are the last word.
    this.#usageAtEnd = usage !== undefined && (asString(stop_reason) ?? '') !== '';
    const decoded = this.#usage && decodeUsage(this.#usage);
    return [
      {
        kind: 'start',
        id: asString(message['id']) ?? '',
        model: asString(message['model']) ?? '',
        dialect: 'anthropic-messages',
        ...(decoded?.serviceTier === undefined ? {} : { serviceTier: decoded.serviceTier }),
        ...(decoded ? { usage: decoded } : {}),
      },
    ];
  }

  /** Streams that begin without `message_start` are read all the same. */
  #ensureStarted(): readonly ChatEvent[] {
    return this.#started ? [] : this.#start({});
  }

  #startBlock(data: JsonObject): readonly ChatEvent[] {
    const interrupted = this.#open?.wireIndex;
    const events = [...this.#ensureStarted(), ...this.#closeBlock(), ...this.#givenBlocks(data)];
    if (this.#blocks.size >= blocksMax)
      return this.#fail(gatewayError('upstream_invalid', 'The upstream sent too many blocks.'));
    const block = asObject(data['content_block']) ?? {};
    const index = this.#nextIndex;
    this.#nextIndex += 1;
    const { part, text } = this.#head(block);
    const wireIndex = asCount(data['index']) ?? index;
    if (interrupted !== undefined) this.#blocks.set(interrupted, 'interrupted');
    this.#blocks.set(wireIndex, 'begun');
    this.#open = {
      wireIndex,
      index,
      block,
      part,
      citations: part.kind === 'text' ? [...(part.citations ?? [])] : [],
      gathered: new Map(),
      appended: false,
    };
    if (part.kind === 'tool-call') this.#toolCalls += 1;
    const head = part.kind === 'text' && part.citations ? withoutCitations(part) : part;
    events.push({ kind: 'part-start', index, choice: 0, part: head });
    if (text !== '') events.push(...this.#append(this.#open, text));
    return events;
  }

  /** The blocks that came with the message's head, unless `next`, the first that is streamed, begins to repeat them. */
  #givenBlocks(next?: JsonObject): readonly ChatEvent[] {
    const given = this.#given;
    this.#given = [];
    const block = asObject(next?.['content_block']);
    const repeated = block && given[asCount(next?.['index']) ?? 0];
    if (repeated && repeated['type'] === block['type'] && repeated['id'] === block['id']) return [];
    return given.flatMap((content_block) => [
      ...this.#startBlock({ content_block }),
      ...this.#closeBlock(),
    ]);
  }

  /** The part as its first event tells it, and text that came with it. */
  #head(block: JsonObject): { readonly part: Part; readonly text: string } {
    if (block['type'] === 'tool_use') {
      if (!isAnswerTool(block, this.#quirks)) return { part: toolCallHead(block), text: '' };
      this.#answeredByTool = true;
      return { part: { kind: 'text', text: '' }, text: '' };
    }
    const part = decodeAnswerBlock(block, this.#quirks);
    if (part.kind === 'text' || (part.kind === 'reasoning' && part.form !== 'redacted')) {
      return { part: { ...part, text: '' }, text: part.text };
    }
    return { part, text: '' };
  }

  #append(open: OpenBlock, delta: string): readonly ChatEvent[] {
    if (delta === '') return [];
    open.appended = true;
    return [{ kind: 'part-delta', index: open.index, delta }];
  }

  #delta(data: JsonObject): readonly ChatEvent[] {
    const delta = asObject(data['delta']) ?? {};
    const index = asCount(data['index']);
    const block = index === undefined ? 'begun' : this.#blocks.get(index);
    const open = this.#open;
    if (!open || block === undefined) return this.#strayDelta(data, asString(delta['type']) ?? '');
    if (block === 'interrupted' && index !== open.wireIndex)
      return this.#fail(
        gatewayError('upstream_invalid', 'The upstream went on with a block after the next began.'),
      );
    switch (delta['type']) {
      case 'text_delta':
        return this.#words(open, data, 'text', asString(delta['text']) ?? '');
      case 'thinking_delta':
        return this.#words(open, data, 'reasoning', asString(delta['thinking']) ?? '');
      case 'input_json_delta':
        return this.#inputDelta(open, asString(delta['partial_json']) ?? '');
      case 'citations_delta':
        return this.#citation(open, asObject(delta['citation']));
      default:
        return this.#gather(open, unknownFields(delta, new Set(['type'])));
    }
  }

  #words(
    open: OpenBlock,
    data: JsonObject,
    kind: 'text' | 'reasoning',
    words: string,
  ): readonly ChatEvent[] {
    if (open.part.kind === kind || words === '') return this.#append(open, words);
    if (open.part.kind === 'native') return [];
    return this.#strayDelta(data, kind === 'text' ? 'text_delta' : 'thinking_delta');
  }

  /** Words of a block that was never announced, or is of another kind, begin one of theirs; other deltas say nothing alone. */
  #strayDelta(data: JsonObject, type: string): readonly ChatEvent[] {
    const kind = kindsOfDeltas.get(type);
    if (kind === undefined) return [];
    const { index } = data;
    const opening = this.#startBlock({ index, content_block: { type: kind } });
    return [...opening, ...this.#delta(data)];
  }

  /** The end of a block that was closed when the next one began is not that one's end. */
  #endBlock(data: JsonObject): readonly ChatEvent[] {
    const index = asCount(data['index']);
    const late = index !== undefined && index !== this.#open?.wireIndex;
    return late && this.#blocks.get(index) === 'interrupted' ? [] : this.#closeBlock();
  }

  #inputDelta(open: OpenBlock, text: string): readonly ChatEvent[] {
    if (open.part.kind === 'tool-call' || isAnswerTool(open.block, this.#quirks))
      return !open.appended && saysNoArguments(text) ? [] : this.#append(open, text);
    return open.part.kind === 'native' ? this.#gather(open, { partial_json: text }) : [];
  }

  #citation(open: OpenBlock, citation: JsonObject | undefined): readonly ChatEvent[] {
    if (!citation || open.part.kind !== 'text') return [];
    const overflow = this.#count(JSON.stringify(citation).length);
    open.citations.push(decodeCitation(citation));
    return overflow;
  }

  /** Text of one field adds up over deltas, other values replace each other. */
  #gather(open: OpenBlock, fields: JsonObject): readonly ChatEvent[] {
    for (const [key, value] of Object.entries(fields)) {
      if (value === undefined) continue;
      const earlier = open.gathered.get(key);
      const overflow = this.#count(
        typeof value === 'string' ? value.length : JSON.stringify(value).length,
      );
      if (overflow.length > 0) return overflow;
      open.gathered.set(
        key,
        typeof earlier === 'string' && typeof value === 'string' ? earlier + value : value,
      );
    }
    return [];
  }

  #count(characters: number): readonly ChatEvent[] {
    this.#gatheredCharacters += characters;
    if (this.#gatheredCharacters <= gatheredCharactersMax) return [];
    return this.#fail(
      gatewayError('upstream_invalid', 'The upstream sent a block that is too large.'),
    );
  }

  #closeBlock(): readonly ChatEvent[] {
    const open = this.#open;
    if (!open) return [];
    this.#open = undefined;
    const { index, part, block } = open;
    const events: ChatEvent[] = [];
    const takesInput = part.kind === 'tool-call' || isAnswerTool(block, this.#quirks);
    if (takesInput && !open.appended) events.push(...this.#append(open, inputText(block['input'])));
    const final = finalOf(open);
    events.push(final ? { kind: 'part-end', index, final } : { kind: 'part-end', index });
    return events;
  }

  #countAtEnd(data: JsonObject): void {
    const usage = asObject(data['usage']);
    if (!usage) return;
    this.#usageAtEnd = true;
    this.#usage = mergeRawUsage(this.#usage ?? {}, usage);
  }

  #messageDelta(data: JsonObject): readonly ChatEvent[] {
    const delta = asObject(data['delta']) ?? {};
    this.#countAtEnd(data);
    this.#finish = mergeRawUsage(this.#finish, delta);
    Object.assign(
      this.#extensions,
      unknownFields(delta, deltaFields),
      unknownFields(data, messageDeltaFields),
    );
    return [];
  }

  #stop(data: JsonObject): readonly ChatEvent[] {
    if (!this.#started)
      return this.#fail(
        gatewayError('upstream_invalid', 'The upstream ended an answer that it never began.'),
      );
    this.#countAtEnd(data);
    const events: ChatEvent[] = [...this.#closeBlock(), ...this.#givenBlocks()];
    this.#closed = true;
    const finish = decodeFinish(this.#finish, this.#toolCalls > 0);
    const endsLikeText =
      this.#answeredByTool && this.#toolCalls === 0 && finish.reason === 'tool-calls';
    events.push({
      kind: 'end',
      choice: 0,
      finish: endsLikeText ? { ...finish, reason: 'stop', raw: 'end_turn' } : finish,
    });
    if (this.#usage && this.#usageAtEnd)
      events.push({ kind: 'usage', usage: decodeUsage(this.#usage) });
    events.push({ kind: 'finished', extensions: this.#extensions });
    return events;
  }
}

const startFields = new Set([
  'id',
  'type',
  'role',
  'model',
  'content',
  'usage',
  'stop_reason',
  'stop_sequence',
  'stop_details',
]);
const deltaFields = new Set(['stop_reason', 'stop_sequence', 'stop_details']);
const messageDeltaFields = new Set(['type', 'delta', 'usage']);

const kindsOfDeltas: ReadonlyMap<string, string> = new Map([
  ['text_delta', 'text'],
  ['thinking_delta', 'thinking'],
  ['signature_delta', 'thinking'],
]);

function withoutCitations(part: Extract<Part, { kind: 'text' }>): Part {
  const { citations: _, ...rest } = part;
  return rest;
}

function finalOf(open: OpenBlock): PartFinal | undefined {
  const { part, citations, gathered } = open;
  if (part.kind === 'text') return citations.length > 0 ? { citations } : undefined;
  if (part.kind === 'native') return { value: nativeValue(open) };
  const signature = gathered.get('signature');
  if (part.kind !== 'reasoning' || typeof signature !== 'string' || signature === '')
    return undefined;
  const state: OpaqueState | undefined = reasoningPart('', signature).state;
  return state && { state };
}

/** A native block with what its deltas brought: server tools' input as an object, the rest by name. */
function nativeValue(open: OpenBlock): JsonObject {
  const value: Record<string, JsonValue | undefined> = { ...open.block };
  for (const [key, gathered] of open.gathered) {
    if (key !== 'partial_json') value[key] = gathered;
    else if (gathered !== '') value['input'] = parsedInput(gathered);
  }
  return value;
}

function parsedInput(text: JsonValue): JsonValue {
  const parsed = typeof text === 'string' ? parseJson(text) : undefined;
  return parsed?.ok ? parsed.value : text;
}
