import {
  completePart,
  type Bill,
  type ChatEvent,
  type DialectId,
  type Finish,
  type GatewayError,
  type Part,
  type PartFinal,
  type TokenLogprob,
  type Usage,
} from '#canonical';
import { asObject, asObjects, compact, type JsonObject } from '#std';
import type { StreamEncoder, StreamForm } from '../dialect.ts';
import type { Encoding } from './contents-encode.ts';
import { encodeErrorBody } from './error.ts';
import { geminiId } from './fields.ts';
import { encodeFinish, finishMessage } from './finish.ts';
import { groundingOf, hasGrounding, type CitedText } from './grounding.ts';
import { writeLogprobs } from './logprobs.ts';
import { answerEncoding, encodeAnswerPart, foreignFields, writeTime } from './response-encode.ts';
import { encodeUsage } from './usage.ts';

type OpenPart = {
  readonly choice: number;
  readonly part: Part;
  /** Pieces held back: calls and media are one part on the wire, text with state too. */
  readonly pieces: string[];
  readonly streams: boolean;
  /** Index of the first wire part of it, for citations. */
  readonly wireIndex: number;
};
type OpenChoice = {
  wireParts: number;
  finish?: Finish;
  readonly cited: CitedText[];
  readonly tokens: TokenLogprob[];
};

/** Bytes between two chunks that mean nothing, in either framing. */
export function heartbeat(form: StreamForm): string {
  return form.framing === 'sse' ? ': keep-alive\r\n\r\n' : '\n';
}

/** Encoder of `:streamGenerateContent`: a chunk for each piece, the finish and the usage in the last one. */
export class GeminiStreamEncoder implements StreamEncoder {
  readonly #form: StreamForm;
  readonly #onLoss: ((path: string, reason: string) => void) | undefined;
  readonly #open = new Map<number, OpenPart>();
  readonly #choices = new Map<number, OpenChoice>();
  #dialect: DialectId | undefined;
  #head: JsonObject = {};
  #usage: Usage | undefined;
  #bill: Bill | undefined;
  #chunks = 0;

  constructor(form: StreamForm, onLoss?: (path: string, reason: string) => void) {
    this.#form = form;
    this.#onLoss = onLoss;
  }

  push(event: ChatEvent): string {
    switch (event.kind) {
      case 'start':
        this.#dialect = event.dialect;
        this.#head = compact({
          modelVersion: event.model,
          createTime: writeTime(event.createdAt),
          responseId: event.id,
        });
        return '';
      case 'part-start':
        this.#start(event.index, event.choice, event.part);
        return '';
      case 'part-delta':
        return this.#delta(event.index, event.delta);
      case 'part-end':
        return this.#end(event.index, event.final);
      case 'logprobs':
        this.#choice(event.choice).tokens.push(...event.tokens);
        return '';
      case 'end':
        this.#choice(event.choice).finish = event.finish;
        return '';
      case 'usage':
        this.#usage = event.usage;
        this.#bill = event.bill ?? this.#bill;
        return '';
      case 'finished':
        return this.#finish(event.extensions ?? {});
      case 'error':
        return this.#fail(event.error);
    }
  }

  #choice(index: number): OpenChoice {
    let choice = this.#choices.get(index);
    if (!choice) {
      choice = { wireParts: 0, cited: [], tokens: [] };
      this.#choices.set(index, choice);
    }
    return choice;
  }

  #start(index: number, choice: number, part: Part): void {
    const isText = part.kind === 'text' || part.kind === 'reasoning' || part.kind === 'refusal';
    const streams = isText && !part.state && !part.extensions;
    this.#open.set(index, {
      choice,
      part,
      pieces: [],
      streams,
      wireIndex: this.#choice(choice).wireParts,
    });
  }

  #delta(index: number, delta: string): string {
    const open = this.#open.get(index);
    if (!open) return '';
    open.pieces.push(delta);
    if (!open.streams || delta === '') return '';
    const thought = open.part.kind === 'reasoning' ? true : undefined;
    return this.#parts(open.choice, [compact({ text: delta, thought })]);
  }

  #end(index: number, final: PartFinal | undefined): string {
    const open = this.#open.get(index);
    if (!open) return '';
    this.#open.delete(index);
    const part = completePart(open.part, open.pieces.join(''), final);
    const choice = this.#choice(open.choice);
    if (part.kind === 'text' && part.citations && part.citations.length > 0) {
      choice.cited.push({ partIndex: open.wireIndex, text: part.text, citations: part.citations });
    }
    // What was streamed is out already; only the state that came last is left to say.
    const rest: Part =
      open.streams && (part.kind === 'text' || part.kind === 'reasoning')
        ? { ...part, text: '' }
        : part;
    if (open.streams && (rest.kind === 'refusal' || rest.state === undefined)) return '';
    return this.#parts(open.choice, this.#encode(rest, open.choice));
  }

  #encode(part: Part, choice: number): JsonObject[] {
    const encoding: Encoding = answerEncoding(this.#dialect === geminiId, []);
    const wires = encodeAnswerPart(part, `candidates[${choice}].content.parts`, encoding);
    for (const { path, reason } of encoding.losses) this.#onLoss?.(path, reason);
    return wires;
  }

  #parts(choice: number, parts: readonly JsonObject[]): string {
    if (parts.length === 0) return '';
    this.#choice(choice).wireParts += parts.length;
    return this.#write({
      candidates: [{ content: { parts, role: 'model' }, index: choice }],
      ...this.#head,
    });
  }

  #finish(extensions: JsonObject): string {
    const own = this.#dialect === geminiId;
    const { candidates, ...rest } = own ? extensions : {};
    const extras = asObjects(candidates);
    const ends = [...this.#choices].sort(([left], [right]) => left - right);
    if (!own) {
      const finishes = ends.map(([, { finish }]) => finish);
      for (const key of foreignFields(extensions, finishes))
        this.#onLoss?.(key, 'unknown to Gemini');
    }
    const feedback = asObject(rest['promptFeedback']);
    const blocked =
      feedback?.['blockReason'] !== undefined && ends.every(([, { wireParts }]) => wireParts === 0);
    const last = ends.map(([index, choice], at) =>
      this.#lastCandidate(index, choice, extras[at] ?? {}),
    );
    const usageMetadata = encodeUsage(this.#usage, this.#bill);
    const chunk = compact({
      candidates: blocked ? undefined : last,
      ...this.#head,
      ...rest,
      usageMetadata,
    });
    return this.#write(chunk) + this.#close();
  }

  #lastCandidate(index: number, choice: OpenChoice, extra: JsonObject): JsonObject {
    const { finish = { reason: 'other', raw: '' } } = choice;
    return compact({
      content: { parts: [{ text: '' }], role: 'model' },
      finishReason: encodeFinish(finish),
      finishMessage: this.#dialect === geminiId ? undefined : finishMessage(finish),
      index,
      logprobsResult: writeLogprobs(choice.tokens),
      groundingMetadata: hasGrounding(extra) ? undefined : groundingOf(choice.cited),
      ...extra,
    });
  }

  #fail(error: GatewayError): string {
    return this.#write(encodeErrorBody(error)) + this.#close();
  }

  #write(chunk: JsonObject): string {
    const text = JSON.stringify(chunk);
    this.#chunks += 1;
    if (this.#form.framing === 'sse') return `data: ${text}\r\n\r\n`;
    return this.#chunks === 1 ? `[${text}` : `,\r\n${text}`;
  }

  #close(): string {
    return this.#form.framing === 'sse' ? '' : ']\n';
  }
}
