/**
 * What happens between an upstream's frames and the client's bytes. Two ways of one shape: frames of
 * the client's own dialect pass through untouched, others are decoded and rendered again. Either way
 * the tail of the stream (finish, usage, terminal mark) is kept back until the charge is durable.
 */

import {
  createCustomCallRestorer,
  gatewayError,
  type Bill,
  type ChatEvent,
  type ChatRequest,
  type GatewayError,
  type Part,
  type Usage,
} from '#canonical';
import {
  halfFrameError,
  isHalfFrame,
  type Dialect,
  type Frame,
  type FrameFacts,
  type Quirks,
  type StreamDecoder,
  type StreamEncoder,
  type StreamForm,
  type StreamTap,
} from '#dialects';
import { textSize, type SseFrame } from '#std';
import { StateGatherer } from './state-memory.ts';

/** What one frame gave: wire bytes for the client, whether they hold content, or the end by an error. */
export type RelayStep = {
  readonly output: Uint8Array | string | undefined;
  readonly content: boolean;
  readonly error: GatewayError | undefined;
  /** The frame is all of the answer, and no piece of a stream. */
  readonly whole?: boolean;
};

export type Relay = {
  push(frame: SseFrame): RelayStep;
  /** The upstream closed. An error when it had not said that it was done. */
  end(): GatewayError | undefined;
  /** Whether the upstream has said that the answer is complete. */
  readonly complete: boolean;
  /** The latest usage the upstream told. */
  readonly usage: Usage | undefined;
  /** Whether it is the last word, also where the stream broke after it: Anthropic's count at the start is a placeholder. */
  readonly usageAtEnd: boolean;
  /** Size of the text generated so far (see `textSize`), for an estimate when usage never comes. */
  readonly generatedSize: number;
  /** Thinking and tool calls with their opaque state, where the answer was translated. */
  readonly statefulParts: readonly Part[];
  /** Whether the tail had a usage object for the bill to stand in. */
  readonly billTold: boolean;
  /** What this upstream bills where that is not what the user is billed: a continuation. */
  ownUsage?(inputTokens: number): Usage;
  /** The kept tail with the bill in its place. To be called once, after settlement. */
  close(bill: Bill | undefined, usage?: Usage): string;
  /** The rest of a stream that has to stop here: finish `length`, then the usual tail. */
  stop(bill: Bill | undefined, usage?: Usage): string;
  /** The end of a stream that breaks off here: the error, in its place in what has left. */
  fail(error: GatewayError): string;
};

const nothing: RelayStep = { output: undefined, content: false, error: undefined };
/** Finish, usage and terminal mark are three or four frames everywhere; more is an attack. */
const heldFramesMax = 64;

/** Same dialect on both sides: frames leave as they came. */
export function passThroughRelay(dialect: Dialect, request: ChatRequest, quirks: Quirks): Relay {
  return new PassThroughRelay(dialect, request, quirks);
}

class PassThroughRelay implements Relay {
  readonly #dialect: Dialect;
  readonly #request: ChatRequest;
  readonly #quirks: Quirks;
  readonly #tap: StreamTap;
  readonly #held: SseFrame[] = [];
  /** Of the last frame that has left; its bytes would keep all that was read with them. */
  #leftData: string | undefined;
  readonly #marks = new StreamMarks();
  #holding = false;
  #usageAtEnd = false;
  complete = false;
  usage: Usage | undefined;
  billTold = false;
  generatedSize = 0;
  readonly statefulParts: readonly Part[] = [];

  constructor(dialect: Dialect, request: ChatRequest, quirks: Quirks) {
    this.#dialect = dialect;
    this.#request = request;
    this.#quirks = quirks;
    this.#tap = dialect.stream.tap(request, quirks);
  }

  push(frame: SseFrame): RelayStep {
    const facts = this.#tap.inspect(frame);
    if (this.complete) return this.#afterEnd(frame, facts);
    if (breaksOff(frame.data)) return { ...nothing, error: halfFrameError() };
    if (facts.whole) return { ...nothing, whole: true };
    this.generatedSize += facts.generatedSize;
    // What an error says about usage is not what an answer used.
    if (facts.usage && !facts.error) {
      this.usage = facts.usage;
      this.#usageAtEnd = facts.closing;
    }
    if (facts.complete) this.complete = true;
    if (facts.error) return { output: undefined, content: false, error: facts.error };
    if (facts.closing) this.#holding = true;
    if (facts.unasked) return nothing;
    this.#marks.see(frame, facts.content);
    const shown = facts.usage ? this.#withoutCosts(frame) : frame;
    if (!this.#holding) {
      this.#leftData = shown.data;
      return { output: shown.raw, content: facts.content, error: undefined };
    }
    // Some vendors say in each frame why the answer ends: what stood before more of it was no tail.
    const output = facts.content ? this.#release() : undefined;
    if (this.#held.length >= heldFramesMax) return { ...nothing, error: tooLong() };
    this.#held.push(shown);
    return { output, content: facts.content, error: undefined };
  }

  /** Nothing is said behind the end, but it may be counted; some end a stream of Responses by chat's mark too. */
  #afterEnd(frame: SseFrame, facts: FrameFacts): RelayStep {
    if (facts.usage && !facts.error) this.usage = facts.usage;
    if (frame.data === '[DONE]' && this.#held.at(-1)?.data !== '[DONE]') this.#held.push(frame);
    return nothing;
  }

  /** Vendors that resell may tell their price before the end, where no bill of ours takes its place. */
  #withoutCosts(frame: SseFrame): SseFrame {
    const text = this.#tap.annotate(frame, undefined);
    return text === undefined ? frame : { ...frame, raw: Buffer.from(text) };
  }

  #release(): Uint8Array | undefined {
    const frames = this.#held.splice(0);
    if (frames.length === 0) return undefined;
    this.#leftData = frames.at(-1)?.data;
    return Buffer.concat(frames.map(({ raw }) => raw));
  }

  end(): GatewayError | undefined {
    this.complete ||= this.#tap.mayEnd === true;
    return this.complete ? undefined : cutError();
  }

  get usageAtEnd(): boolean {
    if (this.#usageAtEnd) return true;
    return this.complete && this.usage !== undefined && this.#dialect.id !== 'anthropic-messages';
  }

  close(bill: Bill | undefined): string {
    const tail = tailOf(this.#held, this.#tap, bill);
    this.billTold = tail.billTold;
    return tail.text;
  }

  stop(bill: Bill | undefined, estimated?: Usage): string {
    // The terminal event of Responses repeats the whole answer, which nobody kept.
    if (this.#dialect.id === 'openai-responses') {
      const error = gatewayError(
        'insufficient_balance',
        'The balance ran out in the middle of the answer.',
      );
      return this.fail(error);
    }
    const relay = this.#rewriting();
    for (const frame of this.#marks.frames()) relay.push(frame);
    this.billTold = true;
    return relay.stop(bill, estimated);
  }

  /** Responses tells errors with the answer's head: that of the answer that breaks off, not of another one. */
  fail(error: GatewayError): string {
    const relay = this.#rewriting();
    const [start] = this.#marks.frames();
    if (start) relay.push(start);
    if (this.#leftData !== undefined) relay.follow(this.#leftData);
    return relay.fail(error);
  }

  /** Writes what the upstream never sent. */
  #rewriting(): TranslatingRelay {
    return new TranslatingRelay(
      this.#dialect.stream.decoder(this.#quirks),
      this.#dialect.stream.encoder(this.#request, { framing: 'sse' }),
      undefined,
    );
  }
}

/** The kept frames as they came, with the bill in the last usage object among them. */
function tailOf(
  held: readonly SseFrame[],
  tap: StreamTap,
  bill: Bill | undefined,
): { readonly text: string; readonly billTold: boolean } {
  let billTold = bill === undefined;
  const texts: string[] = [];
  for (const frame of held.toReversed()) {
    const annotated = tap.annotate(frame, billTold ? undefined : bill);
    if (annotated !== undefined && bill) billTold = true;
    texts.unshift(annotated ?? Buffer.from(frame.raw).toString('utf8'));
  }
  return { text: texts.join(''), billTold };
}

/** What a stream's end has to fit to: its first frame, where something new began, and the latest content. */
class StreamMarks {
  #starts: readonly Frame[] = [];
  /** Not the frame itself: its bytes would keep all that was read with them. */
  #event: string | undefined;
  #data: string | undefined;

  see({ event, data }: Frame, content: boolean): void {
    const isOther = this.#data === undefined || event !== this.#event;
    if (isOther && this.#starts.length < heldFramesMax)
      this.#starts = [...this.#starts, { event, data }];
    if (!content && !isOther) return;
    this.#event = event;
    this.#data = data;
  }

  frames(): readonly Frame[] {
    if (this.#data === undefined) return this.#starts;
    return [...this.#starts, { event: this.#event, data: this.#data }];
  }
}

/** Taps do not read what they only measure: that a frame breaks off is seen at its last byte, before any parse. */
function breaksOff(data: string): boolean {
  return data.charCodeAt(data.length - 1) !== closingBrace && isHalfFrame(data);
}

const closingBrace = 0x7d;

/** Different dialects: frames → canonical events → frames. */
export function translatingRelay(
  upstream: Dialect,
  client: Dialect,
  request: ChatRequest,
  quirks: Quirks,
  form: StreamForm,
  onLoss: (path: string, reason: string) => void,
): Relay {
  return new TranslatingRelay(
    upstream.stream.decoder(quirks),
    client.stream.encoder(request, form, onLoss),
    createCustomCallRestorer(request),
  );
}

/** The same into an encoder that the caller keeps. */
export function relayInto(
  encoder: StreamEncoder,
  upstream: Dialect,
  request: ChatRequest,
  quirks: Quirks,
): Relay {
  return new TranslatingRelay(
    upstream.stream.decoder(quirks),
    encoder,
    createCustomCallRestorer(request),
  );
}

class TranslatingRelay implements Relay {
  readonly #decoder: StreamDecoder;
  readonly #encoder: StreamEncoder;
  /** Calls of free-text tools arrive wrapped in JSON from dialects without such tools. */
  readonly #restore: ((event: ChatEvent) => readonly ChatEvent[]) | undefined;
  readonly #held: ChatEvent[] = [];
  /** Kinds of the parts that are open, by index. */
  readonly #openParts = new Map<number, Part['kind']>();
  complete = false;
  usage: Usage | undefined;
  #ended = false;
  #usageTold = false;
  readonly billTold = true;
  generatedSize = 0;
  readonly #gatherer = new StateGatherer();

  constructor(
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    restore: ((event: ChatEvent) => readonly ChatEvent[]) | undefined,
  ) {
    this.#decoder = decoder;
    this.#encoder = encoder;
    this.#restore = restore;
  }

  get usageAtEnd(): boolean {
    return this.#usageTold && (this.#ended || this.complete);
  }

  push(frame: Frame): RelayStep {
    return this.#accept(this.#decoder.push(frame));
  }

  end(): GatewayError | undefined {
    const { error } = this.#accept(this.#decoder.end(), true);
    return error ?? (this.complete ? undefined : cutError());
  }

  get statefulParts(): readonly Part[] {
    return this.#gatherer.parts;
  }

  close(bill: Bill | undefined, usage?: Usage): string {
    return this.#render(withUsage(this.#held, bill, usage), bill);
  }

  stop(bill: Bill | undefined, usage?: Usage): string {
    const ends: ChatEvent[] = [...this.#openParts.keys()].map((index) => ({
      kind: 'part-end',
      index,
    }));
    const finish: ChatEvent = {
      kind: 'end',
      choice: 0,
      finish: { reason: 'length', raw: 'length' },
    };
    return this.#render(withUsage([...ends, finish, { kind: 'finished' }], bill, usage), bill);
  }

  /** What is written next comes after a frame that somebody else has sent. */
  follow(data: string): void {
    this.#encoder.follow?.(data);
  }

  fail(error: GatewayError): string {
    return this.#encoder.push({ kind: 'error', error });
  }

  /** `last`: the upstream has closed; what ends the parts belongs to the tail. */
  #accept(events: readonly ChatEvent[], last = false): RelayStep {
    let output = '';
    let content = false;
    const failing = events.some((event) => event.kind === 'error');
    for (const event of this.#restore ? events.flatMap(this.#restore) : events) {
      // What an error says about usage is not what an answer used.
      if (failing && event.kind === 'usage') continue;
      if (event.kind === 'error')
        return { output: output === '' ? undefined : output, content, error: event.error };
      if (this.#hold(event)) continue;
      this.#gatherer.push(event);
      content = this.#count(event) || content;
      if (last) this.#held.push(event);
      else output += this.#encoder.push(event);
    }
    return { output: output === '' ? undefined : output, content, error: undefined };
  }

  /** Whether the event belongs to the tail that waits for the charge. */
  #hold(event: ChatEvent): boolean {
    if (event.kind === 'usage') {
      this.usage = event.usage;
      this.#usageTold = true;
    }
    if (event.kind === 'end') this.#ended = true;
    if (event.kind === 'finished') this.complete = true;
    else if (event.kind !== 'end' && event.kind !== 'usage') return false;
    this.#held.push(event);
    return true;
  }

  /** Counts what was generated; true when the event holds content. */
  #count(event: ChatEvent): boolean {
    switch (event.kind) {
      case 'start':
        this.usage = event.usage ?? this.usage;
        return false;
      case 'part-start':
        this.#openParts.set(event.index, event.part.kind);
        this.generatedSize += startSize(event);
        return startsWithContent(event);
      case 'part-delta':
        // The base64 of a picture says nothing of its tokens.
        if (this.#openParts.get(event.index) !== 'media')
          this.generatedSize += textSize(event.delta);
        return true;
      case 'part-end':
        this.#openParts.delete(event.index);
        return false;
      default:
        return false;
    }
  }

  #render(events: readonly ChatEvent[], bill: Bill | undefined): string {
    let output = '';
    for (const event of events)
      output += this.#encoder.push(event.kind === 'usage' && bill ? { ...event, bill } : event);
    return output;
  }
}

/** A bill needs a usage object to stand in; where the upstream gave none, it is what was billed. */
function withUsage(
  events: readonly ChatEvent[],
  bill: Bill | undefined,
  billed: Usage | undefined,
): readonly ChatEvent[] {
  const latest = events.findLast((event) => event.kind === 'usage' && tellsTokens(event.usage));
  const others = events.filter((event) => event.kind !== 'usage');
  if (!latest && !bill) return others;
  const at = others.findIndex((event) => event.kind === 'finished');
  const usage: ChatEvent = latest ?? { kind: 'usage', usage: billed ?? {} };
  return at < 0 ? [...others, usage] : [...others.slice(0, at), usage, ...others.slice(at)];
}

function tellsTokens(usage: Usage): boolean {
  return (usage.inputTokens ?? usage.outputTokens) !== undefined;
}

function startsWithContent(event: Extract<ChatEvent, { kind: 'part-start' }>): boolean {
  const { part } = event;
  switch (part.kind) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      return part.text !== '';
    case 'tool-call':
    case 'media':
    case 'native':
    case 'tool-result':
      return true;
  }
}

function startSize(event: Extract<ChatEvent, { kind: 'part-start' }>): number {
  const { part } = event;
  if (part.kind === 'tool-call') return textSize(part.name) + textSize(part.input);
  // A picture or a vendor's own part is an answer too.
  return 'text' in part ? textSize(part.text) : 1;
}

export function cutError(): GatewayError {
  return gatewayError(
    'upstream_cut',
    'The upstream closed the stream before the answer was complete.',
  );
}

function tooLong(): GatewayError {
  return gatewayError(
    'upstream_invalid',
    'The upstream sent too many frames after the end of the answer.',
  );
}
