import {
  gatewayError,
  type ChatEvent,
  type Citation,
  type Finish,
  type Part,
  type TokenLogprob,
  type Usage,
} from '#canonical';
import {
  asArray,
  asCount,
  asObject,
  asObjects,
  asString,
  parseJson,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Frame, StreamDecoder } from '../dialect.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { namedCall } from './contents-decode.ts';
import { geminiId } from './fields.ts';
import { decodeFinish } from './finish.ts';
import { mergeCandidate } from './grounding-merge.ts';
import { citationsOf, hasGrounding } from './grounding.ts';
import { citableCharactersMax } from './limits.ts';
import { readLogprobs } from './logprobs.ts';
import { PartialArguments } from './partial-arguments.ts';
import { answerArguments, readAnswerPart, type RawToolCall } from './parts-decode.ts';
import {
  answerExtensions,
  blockReason,
  candidateExtensions,
  endOf,
  readTime,
} from './response-decode.ts';
import { callScope, makeToolId } from './tool-ids.ts';
import { laterUsage } from './usage.ts';

type OpenCall = { readonly call: RawToolCall; readonly arguments: PartialArguments };

/** What is known of one candidate while it streams. */
type OpenChoice = {
  readonly index: number;
  /** The part whose pieces are still coming. */
  open:
    | { readonly index: number; readonly kind: 'text' | 'reasoning'; readonly citable: number }
    | undefined;
  call: OpenCall | undefined;
  /** Texts of the answer so far: citations count from its beginning. */
  readonly texts: string[];
  /** Which of them have told what they cite. */
  readonly cited: Set<number>;
  hasCalls: boolean;
  finish: Finish | undefined;
  extensions: JsonObject;
};

/** Decoder of `:streamGenerateContent`, one frame for each chunk of either framing. */
export class GeminiStreamDecoder implements StreamDecoder {
  readonly #choices = new Map<number, OpenChoice>();
  #started = false;
  #closed = false;
  #id = '';
  #nextIndex = 0;
  #calls = 0;
  #citableCharacters = 0;
  #overflows = false;
  #usage: Usage | undefined;
  #extensions: JsonObject = {};

  push(frame: Frame): readonly ChatEvent[] {
    const data = frame.data.trim();
    if (this.#closed || data === '' || data === '[DONE]') return [];
    const parsed = parseJson(data);
    const chunks = parsed.ok ? asObjects(asArray(parsed.value) ?? [parsed.value]) : [];
    if (chunks.length === 0)
      return this.#fail(
        gatewayError('upstream_invalid', 'The upstream provider sent a chunk that cannot be read.'),
      );
    return chunks.flatMap((chunk) => this.#readChunk(chunk));
  }

  #readChunk(chunk: JsonObject): readonly ChatEvent[] {
    if (this.#closed) return [];
    if (asObject(chunk['error'])) return this.#fail(decodeUpstreamErrorValue(200, chunk));
    // What keeps a connection alive is no beginning: the answer's id would be missing from it.
    if (![...headFields, 'promptFeedback'].some((field) => chunk[field] !== undefined)) return [];
    const events: ChatEvent[] = [];
    this.#readHead(chunk, events);
    for (const [position, candidate] of asObjects(chunk['candidates']).entries()) {
      this.#readCandidate(this.#choice(asCount(candidate['index']) ?? position), candidate, events);
    }
    if (this.#overflows)
      return this.#fail(gatewayError('upstream_invalid', 'The arguments of a call are too long.'));
    const blocked = blockReason(chunk);
    if (blocked !== undefined) this.#block(blocked);
    return events;
  }

  end(): readonly ChatEvent[] {
    if (this.#closed) return [];
    this.#closed = true;
    const choices = [...this.#choices.values()].sort((left, right) => left.index - right.index);
    if (choices.length === 0 || choices.some(({ finish }) => !finish)) {
      const error = this.#started
        ? gatewayError(
            'upstream_cut',
            'The upstream provider ended the stream before the answer was complete.',
          )
        : gatewayError('upstream_empty', 'The upstream provider gave an empty answer.');
      return [{ kind: 'error', error }];
    }
    const events: ChatEvent[] = [];
    for (const choice of choices) {
      this.#closeAll(choice, events);
      this.#citeLate(choice, events);
    }
    for (const choice of choices) {
      if (choice.finish) events.push({ kind: 'end', choice: choice.index, finish: choice.finish });
    }
    if (this.#usage) events.push({ kind: 'usage', usage: this.#usage });
    const extensions = answerExtensions(
      this.#extensions,
      choices.map((choice) => choice.extensions),
    );
    events.push({ kind: 'finished', extensions });
    return events;
  }

  /** A prompt may be refused after the answer has begun: what is not at its end ends so. */
  #block(raw: string): void {
    if (this.#choices.size === 0) this.#choice(0);
    for (const choice of this.#choices.values())
      choice.finish ??= { reason: 'content-filter', raw };
  }

  #fail(error: ReturnType<typeof gatewayError>): readonly ChatEvent[] {
    this.#closed = true;
    return [{ kind: 'error', error }];
  }

  #readHead(chunk: JsonObject, events: ChatEvent[]): void {
    this.#usage = laterUsage(this.#usage, chunk['usageMetadata']);
    this.#extensions = { ...this.#extensions, ...unknownFields(chunk, headFields) };
    if (this.#started) return;
    this.#started = true;
    this.#id = asString(chunk['responseId']) ?? '';
    const createdAt = readTime(chunk['createTime']);
    const serviceTier = this.#usage?.serviceTier;
    events.push({
      kind: 'start',
      id: this.#id,
      model: asString(chunk['modelVersion']) ?? '',
      dialect: geminiId,
      ...(createdAt === undefined ? {} : { createdAt }),
      ...(serviceTier === undefined ? {} : { serviceTier }),
    });
  }

  #choice(index: number): OpenChoice {
    let choice = this.#choices.get(index);
    if (!choice) {
      choice = {
        index,
        open: undefined,
        call: undefined,
        texts: [],
        cited: new Set(),
        hasCalls: false,
        finish: undefined,
        extensions: {},
      };
      this.#choices.set(index, choice);
    }
    return choice;
  }

  /** Older models say STOP in every chunk, and sources may come after it: the last word counts, at the end. */
  #readCandidate(choice: OpenChoice, candidate: JsonObject, events: ChatEvent[]): void {
    choice.extensions = mergeCandidate(choice.extensions, candidateExtensions(candidate));
    for (const value of asArray(asObject(candidate['content'])?.['parts']) ?? [])
      this.#readPart(choice, value, events);
    const tokens: readonly TokenLogprob[] | undefined = readLogprobs(candidate['logprobsResult']);
    const raw = endOf(candidate);
    if (tokens) this.#closeAll(choice, events);
    else if (raw !== undefined) this.#closeCall(choice, events);
    if (tokens && tokens.length > 0)
      events.push({ kind: 'logprobs', choice: choice.index, tokens });
    if (raw !== undefined) choice.finish = decodeFinish(raw, choice.hasCalls);
  }

  #readPart(choice: OpenChoice, value: JsonValue, events: ChatEvent[]): void {
    const part = readAnswerPart(value);
    if (!part || part.kind === 'raw-result') return;
    if (part.kind === 'raw-call') this.#readCall(choice, part, value, events);
    else if (part.kind === 'text' || part.kind === 'reasoning')
      this.#readText(choice, part, events);
    else {
      this.#closeAll(choice, events);
      this.#whole(choice, part, events);
    }
  }

  /** Plain pieces continue the open part; one with state or unknown fields stands alone. */
  #readText(
    choice: OpenChoice,
    part: Part & { readonly kind: 'text' | 'reasoning' },
    events: ChatEvent[],
  ): void {
    if (part.state || part.extensions) {
      this.#closeAll(choice, events);
      if (part.kind === 'text') this.#gather(choice, choice.texts.length, part.text);
      this.#whole(choice, part, events);
      return;
    }
    if (part.text === '') return;
    if (choice.open?.kind !== part.kind) {
      this.#closeAll(choice, events);
      choice.open = { index: this.#nextIndex, kind: part.kind, citable: choice.texts.length };
      if (part.kind === 'text') choice.texts.push('');
      events.push({
        kind: 'part-start',
        index: this.#nextIndex,
        choice: choice.index,
        part: { ...part, text: '' },
      });
      this.#nextIndex += 1;
    }
    if (part.kind === 'text') this.#gather(choice, choice.open.citable, part.text);
    events.push({ kind: 'part-delta', index: choice.open.index, delta: part.text });
  }

  /** Keeps text for the citations that come last, up to a bound. */
  #gather(choice: OpenChoice, at: number, text: string): void {
    this.#citableCharacters += text.length;
    if (this.#citableCharacters > citableCharactersMax) choice.texts.length = 0;
    else choice.texts[at] = (choice.texts[at] ?? '') + text;
  }

  #readCall(choice: OpenChoice, call: RawToolCall, value: JsonValue, events: ChatEvent[]): void {
    const wire = asObject(asObject(value)?.['functionCall']);
    const continues = wire?.['willContinue'] === true;
    if (call.name !== '' || !choice.call) {
      this.#closeAll(choice, events);
      choice.call = { call, arguments: new PartialArguments() };
    }
    choice.call.arguments.merge(answerArguments(wire?.['args']));
    if (!choice.call.arguments.add(wire?.['partialArgs'])) this.#overflows = true;
    if (!continues) this.#closeCall(choice, events);
  }

  #closeCall(choice: OpenChoice, events: ChatEvent[]): void {
    const { call: open } = choice;
    if (!open) return;
    choice.call = undefined;
    choice.hasCalls = true;
    // The reason may have come before its call.
    if (choice.finish?.reason === 'stop')
      choice.finish = decodeFinish(choice.finish.raw, choice.hasCalls);
    const call = { ...open.call, input: open.arguments.text() };
    const scope = callScope(this.#id, call.name, call.input);
    const part = namedCall(call, call.id ?? makeToolId(scope, this.#calls));
    this.#calls += 1;
    this.#whole(choice, part, events);
  }

  #closeAll(choice: OpenChoice, events: ChatEvent[]): void {
    this.#closeCall(choice, events);
    const { open } = choice;
    if (!open) return;
    choice.open = undefined;
    const citations = open.kind === 'text' ? citationsNow(choice)[open.citable] : undefined;
    const final = citations && citations.length > 0 ? { final: { citations } } : {};
    if (final.final) choice.cited.add(open.citable);
    events.push({ kind: 'part-end', index: open.index, ...final });
  }

  /** Sources of texts that had ended before they came: at the end, without a place. */
  #citeLate(choice: OpenChoice, events: ChatEvent[]): void {
    const citations = citationsNow(choice).flatMap((list, at) =>
      choice.cited.has(at) ? [] : list.map(({ start: _start, end: _end, ...source }) => source),
    );
    if (citations.length > 0) this.#whole(choice, { kind: 'text', text: '', citations }, events);
  }

  /** A part that came whole, as the events of a part. */
  #whole(choice: OpenChoice, part: Part, events: ChatEvent[]): void {
    const index = this.#nextIndex;
    this.#nextIndex += 1;
    const { head, appended } = splitPart(part);
    const citations = part.kind === 'text' && part.citations ? { citations: part.citations } : {};
    const final = { ...(part.state ? { state: part.state } : {}), ...citations };
    events.push({ kind: 'part-start', index, choice: choice.index, part: head });
    if (appended !== '') events.push({ kind: 'part-delta', index, delta: appended });
    events.push({
      kind: 'part-end',
      index,
      ...(Object.keys(final).length > 0 ? { final } : {}),
    });
  }
}

function citationsNow({ extensions, texts }: OpenChoice): readonly (readonly Citation[])[] {
  // To look for places costs as much as the text so far is long, and parts end all the time.
  if (!hasGrounding(extensions)) return [];
  return citationsOf(
    extensions,
    texts.map((text) => ({ text })),
  );
}

const headFields = new Set(['candidates', 'usageMetadata', 'modelVersion', 'responseId']);

function splitPart(part: Part): { readonly head: Part; readonly appended: string } {
  switch (part.kind) {
    case 'text':
    case 'reasoning':
      return { head: { ...part, text: '' }, appended: part.text };
    case 'tool-call':
      return { head: { ...part, input: '' }, appended: part.input };
    case 'media':
      if (part.source.kind !== 'data') return { head: part, appended: '' };
      return { head: { ...part, source: { kind: 'data', data: '' } }, appended: part.source.data };
    default:
      return { head: part, appended: '' };
  }
}
