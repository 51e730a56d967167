import {
  gatewayError,
  type ChatEvent,
  type Citation,
  type DialectId,
  type GatewayError,
  type Part,
  type TokenLogprob,
  type Usage,
} from '#canonical';
import {
  asCount,
  asObject,
  asObjects,
  asString,
  parseJson,
  parseJsonObject,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Frame, Quirks, StreamDecoder } from '../dialect.ts';
import { strayFrameError } from '../half-frame.ts';
import {
  choiceDetails,
  createdAtOf,
  scopeOf,
  decodeAnnotations,
  decodeAnswerContent,
  decodeFinish,
  decodeImage,
  decodeLogprobTokens,
  decodeUrlCitations,
  withoutNulls,
} from './answer.ts';
import { decodeDetail, plainThinking } from './details.ts';
import { findError } from './find-error.ts';
import { PartQueue } from './part-queue.ts';
import { knownFields, usageOf } from './response.ts';
import { ToolDeltas } from './tool-deltas.ts';
import { laterUsage } from './usage.ts';

const ignoredFields = new Set([...knownFields, 'obfuscation', 'p']);
const ignoredDeltaFields = new Set(['channel', 'role', 'token_ids']);

type OpenChoice = {
  readonly index: number;
  readonly queue: PartQueue;
  readonly tools: ToolDeltas;
  readonly logprobs: TokenLogprob[];
  /** The vendor's word; `undefined` until it was said. */
  finish: string | undefined;
  cited: boolean;
  /** Whether a delta has said anything. */
  begun: boolean;
  details: JsonObject;
};

/** How the legacy completions differ: the text stands in the choice, log probabilities in lists. */
export type StreamVariant = {
  readonly dialect: DialectId;
  readonly delta: (choice: JsonObject) => JsonObject;
  readonly logprobs: (value: JsonValue | undefined) => readonly TokenLogprob[];
};

const chatVariant: StreamVariant = {
  dialect: 'openai-chat',
  delta: (choice) => asObject(choice['delta']) ?? {},
  logprobs: decodeLogprobTokens,
};

/**
 * Reads a chat stream. Parts end as soon as the next begins, the last one at the end; `end` and
 * all after it come with `[DONE]`, or with the close of the connection when a finish reason was seen.
 */
export function createStreamDecoder(
  quirks: Quirks,
  variant: StreamVariant = chatVariant,
): StreamDecoder {
  return new ChatStreamDecoder(quirks, variant);
}

class ChatStreamDecoder implements StreamDecoder {
  readonly #quirks: Quirks;
  readonly #variant: StreamVariant;
  readonly #choices = new Map<number, OpenChoice>();
  #started = false;
  #over = false;
  #complete = false;
  #id = '';
  #usage: Usage | undefined;
  #serviceTier: string | undefined;
  #beside: readonly Citation[] = [];
  #extensions: JsonObject = {};
  #partCount = 0;

  constructor(quirks: Quirks, variant: StreamVariant) {
    this.#quirks = quirks;
    this.#variant = variant;
  }

  push(frame: Frame): readonly ChatEvent[] {
    if (this.#over) return this.#complete ? this.#afterEnd(frame) : [];
    const data = frame.data.trim();
    if (data === '[DONE]') return this.#finish(true);
    const parsed = parseJson(data);
    const wire = parsed.ok ? asObject(parsed.value) : undefined;
    if (!wire) {
      const stray = strayFrameError(frame);
      return stray ? this.#fail(stray) : [];
    }
    const events: ChatEvent[] = [];
    this.#readTop(wire, events);
    const failure = findError(wire, frame.event, this.#quirks);
    if (failure) return [...events, ...this.#fail(failure)];
    for (const [position, choice] of asObjects(wire['choices']).entries())
      this.#readChoice(choice, position, events);
    return events;
  }

  /** Nothing is said behind the mark of the end, but it may be counted. */
  #afterEnd({ data }: Frame): readonly ChatEvent[] {
    const wire = data.includes('"usage"') ? parseJsonObject(data) : undefined;
    const usage = wire && usageOf(wire, this.#quirks);
    if (!usage || findError(wire, undefined, this.#quirks)) return [];
    this.#usage = laterUsage(this.#usage, usage);
    return [{ kind: 'usage', usage: this.#finalUsage(this.#usage) }];
  }

  end(): readonly ChatEvent[] {
    return this.#over ? [] : this.#finish(false);
  }

  #readTop(wire: JsonObject, events: ChatEvent[]): void {
    const usage = usageOf(wire, this.#quirks);
    if (usage) this.#usage = laterUsage(this.#usage, usage);
    this.#serviceTier = asString(wire['service_tier']) ?? this.#serviceTier;
    const citations = decodeUrlCitations(wire);
    if (citations.length > 0) this.#beside = citations;
    for (const [key, value] of Object.entries(withoutNulls(unknownFields(wire, ignoredFields)))) {
      this.#extensions = { ...this.#extensions, [key]: value };
    }
    const id = asString(wire['id']) ?? '';
    if (this.#started || (id === '' && asObjects(wire['choices']).length === 0)) return;
    this.#started = true;
    this.#id = scopeOf(wire);
    const createdAt = createdAtOf(wire);
    events.push({
      kind: 'start',
      id,
      model: asString(wire['model']) ?? '',
      dialect: this.#variant.dialect,
      ...(createdAt === undefined ? {} : { createdAt }),
      ...(this.#serviceTier === undefined ? {} : { serviceTier: this.#serviceTier }),
    });
  }

  #readChoice(wire: JsonObject, position: number, events: ChatEvent[]): void {
    const choice = this.#choice(asCount(wire['index']) ?? position);
    const delta = choice.begun ? this.#variant.delta(wire) : this.#firstDelta(wire);
    choice.begun ||= Object.keys(delta).some((key) => !ignoredDeltaFields.has(key));
    this.#readThinking(choice, delta);
    for (const part of decodeAnswerContent(delta['content'])) enqueue(choice.queue, part);
    const refusal = asString(delta['refusal']) ?? '';
    if (refusal !== '') enqueue(choice.queue, { kind: 'refusal', text: refusal });
    this.#readMedia(choice, delta);
    const annotations = decodeAnnotations(delta['annotations']);
    if (annotations.length > 0) choice.cited = true;
    choice.queue.cite(annotations);
    choice.tools.pushAll(asObjects(delta['tool_calls']), this.#id);
    const legacy = asObject(delta['function_call']);
    if (legacy) choice.tools.pushLegacy(legacy, this.#id);
    choice.logprobs.push(...this.#variant.logprobs(wire['logprobs']));
    choice.details = mergeDetails(
      choice.details,
      choiceDetails(wire, unknownFields(delta, ignoredDeltaFields)),
    );
    choice.queue.pump(events);
    const finish = asString(wire['finish_reason']) ?? '';
    // Parts stay open: some vendors give a reason in every chunk, or name their sources after it.
    if (finish !== '') choice.finish = finish;
  }

  /** An answer that comes whole, in the one frame of its stream, stands in `message`. */
  #firstDelta(wire: JsonObject): JsonObject {
    const delta = this.#variant.delta(wire);
    return Object.keys(delta).length > 0 ? delta : (asObject(wire['message']) ?? delta);
  }

  #choice(index: number): OpenChoice {
    let choice = this.#choices.get(index);
    if (!choice) {
      const queue = new PartQueue(index, () => this.#partCount++);
      choice = {
        index,
        queue,
        tools: new ToolDeltas(index, queue),
        logprobs: [],
        finish: undefined,
        cited: false,
        begun: false,
        details: {},
      };
      this.#choices.set(index, choice);
    }
    return choice;
  }

  /** The same words often come twice, as `reasoning` and in `reasoning_details`: the latter win. */
  #readThinking(choice: OpenChoice, delta: JsonObject): void {
    const details = asObjects(delta['reasoning_details']);
    const parts = details.map(decodeDetail);
    if (!parts.some((part) => part.text !== '')) {
      const plain = plainThinking(delta);
      if (plain !== '') enqueue(choice.queue, { kind: 'reasoning', form: 'full', text: plain });
    }
    for (const [position, part] of parts.entries()) {
      const detail = details[position];
      if (part.form !== 'redacted' && part.text === '' && !part.state) continue;
      const key = `detail:${part.form}:${asCount(detail?.['index']) ?? 0}`;
      const head = { ...part, text: '' };
      const pending =
        part.form === 'redacted' ? choice.queue.add(head) : choice.queue.open(key, head);
      pending.waiting.push(part.text);
      if (part.state) pending.state = part.state;
      if (part.extensions) pending.extensions = { ...pending.extensions, ...part.extensions };
    }
  }

  #readMedia(choice: OpenChoice, delta: JsonObject): void {
    for (const image of asObjects(delta['images'])) {
      const part = decodeImage(image);
      const { source } = part;
      const head = source.kind === 'data' ? { ...part, source: { ...source, data: '' } } : part;
      choice.queue.add(head).waiting.push(source.kind === 'data' ? source.data : '');
    }
    const audio = asObject(delta['audio']);
    if (!audio || Object.keys(withoutNulls(audio)).length === 0) return;
    const id = asString(audio['id']);
    const pending = choice.queue.open('audio', {
      kind: 'media',
      media: 'audio',
      source: { kind: 'data', data: '' },
      ...(id === undefined ? {} : { id }),
    });
    pending.waiting.push(asString(audio['data']) ?? '');
    const said = asString(audio['transcript']) ?? '';
    if (said !== '') pending.transcript = (pending.transcript ?? '') + said;
    const rest = withoutNulls(unknownFields(audio, new Set(['id', 'data', 'transcript'])));
    if (Object.keys(rest).length > 0) pending.extensions = { ...pending.extensions, ...rest };
  }

  /** `marked`: `[DONE]` was seen, which ends an answer even where the vendor gave no reason. */
  #finish(marked: boolean): readonly ChatEvent[] {
    const choices = [...this.#choices.values()];
    const cut = !marked && choices.some((choice) => choice.finish === undefined);
    if (choices.length === 0)
      return this.#fail(
        gatewayError(
          marked ? 'upstream_empty' : 'upstream_cut',
          'The upstream provider sent no answer.',
        ),
      );
    if (cut)
      return this.#fail(
        gatewayError(
          'upstream_cut',
          'The answer of the upstream provider ended before it was complete.',
        ),
      );
    this.#over = true;
    this.#complete = true;
    const events: ChatEvent[] = [];
    for (const choice of choices) {
      choice.queue.closeAll(events, choice.cited ? [] : this.#beside);
      if (choice.logprobs.length > 0)
        events.push({ kind: 'logprobs', choice: choice.index, tokens: choice.logprobs });
    }
    for (const choice of choices) {
      events.push({
        kind: 'end',
        choice: choice.index,
        finish: decodeFinish(choice.finish ?? '', choice.tools.calling, choice.details),
      });
    }
    if (this.#usage) events.push({ kind: 'usage', usage: this.#finalUsage(this.#usage) });
    events.push({ kind: 'finished', extensions: this.#extensions });
    return events;
  }

  #finalUsage(usage: Usage): Usage {
    return usage.serviceTier === undefined && this.#serviceTier !== undefined
      ? { ...usage, serviceTier: this.#serviceTier }
      : usage;
  }

  #fail(error: GatewayError): readonly ChatEvent[] {
    this.#over = true;
    return [
      ...(this.#usage ? [{ kind: 'usage' as const, usage: this.#usage }] : []),
      { kind: 'error', error },
    ];
  }
}

/** Text, thinking and refusals grow at the end of the line; other parts come whole. */
function enqueue(queue: PartQueue, part: Part): void {
  if (part.kind === 'text' || part.kind === 'refusal' || part.kind === 'reasoning') {
    queue.open(part.kind, { ...part, text: '' }).waiting.push(part.text);
  } else queue.add(part);
}

function mergeDetails(details: JsonObject, added: JsonObject): JsonObject {
  if (Object.keys(added).length === 0) return details;
  const message = { ...asObject(details['message']), ...asObject(added['message']) };
  return { ...details, ...added, ...(Object.keys(message).length > 0 ? { message } : {}) };
}
