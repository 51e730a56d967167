import type { JsonObject } from '#std';
import type {
  ChatEvent,
  ChatResponse,
  Choice,
  DialectId,
  Finish,
  Part,
  PartFinal,
  TokenLogprob,
} from './chat.ts';
import type { Bill } from './bill.ts';
import { GatewayFailure, gatewayError } from './error.ts';
import type { Usage } from './usage.ts';

type OpenPart = { readonly choice: number; readonly part: Part; readonly pieces: string[] };
type OpenChoice = { readonly parts: Part[]; readonly logprobs: TokenLogprob[]; finish?: Finish };

/** Builds a whole answer from a stream of events: for clients that do not stream over upstreams that do. */
export class ChatCollector {
  readonly #dialect: DialectId;
  readonly #open = new Map<number, OpenPart>();
  readonly #choices = new Map<number, OpenChoice>();
  #start: Extract<ChatEvent, { kind: 'start' }> | undefined;
  #usage: Usage | undefined;
  #bill: Bill | undefined;
  #extensions: JsonObject = {};

  constructor(dialect: DialectId) {
    this.#dialect = dialect;
  }

  /** Throws {@link GatewayFailure} on an error event: a partial answer is not an answer. */
  push(event: ChatEvent): void {
    switch (event.kind) {
      case 'start':
        this.#start ??= event;
        this.#usage ??= event.usage;
        return;
      case 'part-start':
        this.#open.set(event.index, { choice: event.choice, part: event.part, pieces: [] });
        return;
      case 'part-delta':
        this.#open.get(event.index)?.pieces.push(event.delta);
        return;
      case 'part-end':
        this.#closePart(event.index, event.final);
        return;
      case 'logprobs':
        this.#choice(event.choice).logprobs.push(...event.tokens);
        return;
      case 'end':
        this.#choice(event.choice).finish = event.finish;
        return;
      case 'usage':
        this.#usage = event.usage;
        this.#bill = event.bill ?? this.#bill;
        return;
      case 'finished':
        this.#extensions = event.extensions ?? {};
        return;
      case 'error':
        throw new GatewayFailure(event.error);
    }
  }

  /** The answer. Throws {@link GatewayFailure} `upstream_cut` when a choice never ended. */
  finish(): ChatResponse {
    const choices: Choice[] = [];
    for (const [index, { parts, logprobs, finish }] of [...this.#choices].sort(
      ([a], [b]) => a - b,
    )) {
      if (!finish)
        throw new GatewayFailure(
          gatewayError('upstream_cut', 'The answer ended before it was complete.'),
        );
      choices.push({ index, parts, finish, ...(logprobs.length > 0 ? { logprobs } : {}) });
    }
    return {
      dialect: this.#dialect,
      id: this.#start?.id ?? '',
      model: this.#start?.model ?? '',
      createdAt: this.#start?.createdAt,
      serviceTier: this.#start?.serviceTier,
      choices,
      usage: this.#usage,
      bill: this.#bill,
      extensions: this.#extensions,
    };
  }

  #choice(index: number): OpenChoice {
    let choice = this.#choices.get(index);
    if (!choice) {
      choice = { parts: [], logprobs: [] };
      this.#choices.set(index, choice);
    }
    return choice;
  }

  #closePart(index: number, final: PartFinal | undefined): void {
    const open = this.#open.get(index);
    if (!open) return;
    this.#open.delete(index);
    this.#choice(open.choice).parts.push(completePart(open.part, open.pieces.join(''), final));
  }
}

/** A part as it stands after its deltas and what its end told. */
export function completePart(part: Part, appended: string, final?: PartFinal): Part {
  const state = final?.state ?? part.state;
  const extensions = final?.extensions ?? part.extensions;
  const common = { ...(state ? { state } : {}), ...(extensions ? { extensions } : {}) };
  switch (part.kind) {
    case 'text': {
      const citations = final?.citations ?? part.citations;
      return {
        ...part,
        ...common,
        text: part.text + appended,
        ...(citations ? { citations } : {}),
      };
    }
    case 'refusal':
    case 'reasoning':
      return { ...part, ...common, text: part.text + appended };
    case 'tool-call':
      return { ...part, ...common, input: part.input + appended };
    case 'media': {
      if (part.source.kind !== 'data') return { ...part, ...common };
      const transcript = final?.transcript ?? part.transcript;
      const source = { kind: 'data' as const, data: part.source.data + appended };
      return { ...part, ...common, source, ...(transcript === undefined ? {} : { transcript }) };
    }
    case 'native':
      return final?.value ? { ...part, ...common, value: final.value } : { ...part, ...common };
    case 'tool-result':
      return { ...part, ...common };
  }
}

/** The events of a whole answer: for clients that stream over upstreams that do not. */
export function* explode(response: ChatResponse): Generator<ChatEvent> {
  const { dialect, id, model, createdAt, serviceTier, usage, bill } = response;
  yield { kind: 'start', id, model, dialect, createdAt, serviceTier };
  let index = 0;
  for (const choice of response.choices) {
    for (const part of choice.parts) {
      yield* explodePart(part, index, choice.index);
      index += 1;
    }
    if (choice.logprobs) yield { kind: 'logprobs', choice: choice.index, tokens: choice.logprobs };
    yield { kind: 'end', choice: choice.index, finish: choice.finish };
  }
  if (usage) yield { kind: 'usage', usage, bill };
  yield { kind: 'finished', extensions: response.extensions };
}

function* explodePart(part: Part, index: number, choice: number): Generator<ChatEvent> {
  const { head, appended } = splitPart(part);
  yield { kind: 'part-start', index, choice, part: head };
  if (appended !== '') yield { kind: 'part-delta', index, delta: appended };
  const final: PartFinal = {
    state: part.state,
    extensions: part.extensions,
    citations: part.kind === 'text' ? part.citations : undefined,
    transcript: part.kind === 'media' ? part.transcript : undefined,
    value: part.kind === 'native' ? part.value : undefined,
  };
  yield { kind: 'part-end', index, final };
}

function splitPart(part: Part): { head: Part; appended: string } {
  switch (part.kind) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      return { head: { ...part, text: '' }, appended: part.text };
    case 'tool-call':
      return { head: { ...part, input: '' }, appended: part.input };
    case 'media':
      if (part.source.kind !== 'data') return { head: part, appended: '' };
      return { head: { ...part, source: { kind: 'data', data: '' } }, appended: part.source.data };
    case 'native':
    case 'tool-result':
      return { head: part, appended: '' };
  }
}
