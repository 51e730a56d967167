/**
 * One answer to the client out of the streams of several upstreams: what has left is remembered, and the
 * events of a later upstream are written behind it as if they had come from the first.
 */

import {
  gatewayError,
  type GatewayError,
  type ChatEvent,
  type ChatRequest,
  type Usage,
} from '#canonical';
import type { Dialect, Quirks, StreamEncoder } from '#dialects';
import { estimateGeneratedTokens } from '#metering';
import { textSize, type SseFrame } from '#std';
import { relayInto, type Relay, type RelayStep } from './relay.ts';
import { Seam } from './seam.ts';

type PartStart = Extract<ChatEvent, { kind: 'part-start' }>;

/** Longer answers are not continued: they would be a prompt of their own. */
const textCharactersMax = 200_000;

/** The client's side of an answer, with what the client has read so far. */
export class DeliveredAnswer implements StreamEncoder {
  readonly #encoder: StreamEncoder;
  #text = '';
  #open: number | undefined;
  #parts = 0;
  #isText = true;
  /** Size of all that was delivered, in every part. */
  generatedSize = 0;

  constructor(encoder: StreamEncoder) {
    this.#encoder = encoder;
  }

  push(event: ChatEvent): string {
    if (event.kind === 'part-start') this.#start(event);
    if (event.kind === 'part-delta') this.#append(event.delta);
    if (event.kind === 'part-end') this.#open = undefined;
    if (event.kind === 'logprobs') this.#forget();
    return this.#encoder.push(event);
  }

  #start({ index, choice, part }: PartStart): void {
    if (choice !== 0 || part.kind !== 'text' || this.#parts !== 0) this.#forget();
    this.#open = index;
    this.#parts += 1;
    if ('text' in part) this.#append(part.text);
    if (part.kind === 'tool-call') this.generatedSize += textSize(part.name) + textSize(part.input);
  }

  #append(text: string): void {
    this.generatedSize += textSize(text);
    if (!this.#isText) return;
    this.#text += text;
    if (this.#text.length > textCharactersMax) this.#forget();
  }

  /** What cannot be continued need not be kept. */
  #forget(): void {
    this.#isText = false;
    this.#text = '';
  }

  /** The text to be continued; `undefined` where more than one open text has been delivered, or none. */
  get continuable(): string | undefined {
    if (!this.#isText || this.#open === undefined || this.#text.trim() === '') return undefined;
    return this.#text.isWellFormed() ? this.#text : undefined;
  }

  /** Index of the part that is open. */
  get openPart(): number | undefined {
    return this.#open;
  }

  /** The index of the next part. */
  get nextPart(): number {
    return this.#parts;
  }
}

/** Writes the events of a later upstream behind what was delivered: its text goes on in the open part. */
class ContinuingEncoder implements StreamEncoder {
  readonly seam: Seam;
  readonly #answer: DeliveredAnswer;
  /** The upstream's index of a part → the client's. Parts that have no place are absent. */
  readonly #places = new Map<number, number>();
  #joined: number | undefined;
  /** What the client is told instead of the count of this upstream alone. */
  told: Usage | undefined;

  constructor(answer: DeliveredAnswer, delivered: string) {
    this.#answer = answer;
    this.seam = new Seam(delivered);
  }

  push(event: ChatEvent): string {
    switch (event.kind) {
      case 'start':
      case 'logprobs':
        return '';
      case 'part-start':
        return this.#start(event);
      case 'part-delta':
        return this.#delta(event.index, event.delta);
      case 'part-end':
        return this.#end(event);
      case 'end':
        return this.#closeText() + this.#answer.push(event);
      case 'finished':
        return this.#answer.push({ kind: 'finished' });
      case 'usage':
        return this.#answer.push({ ...event, usage: this.told ?? event.usage });
      case 'error':
        return this.#answer.push(event);
    }
  }

  #start(event: PartStart): string {
    const { index, choice, part } = event;
    // Thinking has no place in the middle of a text.
    if (choice !== 0 || part.kind === 'reasoning') return '';
    if (part.kind === 'text' && this.#joined === undefined) {
      this.#joined = index;
      return this.#delta(index, part.text);
    }
    const closed = this.#closeText();
    if (this.seam.restarted) return '';
    const place = this.#answer.nextPart;
    this.#places.set(index, place);
    return closed + this.#answer.push({ ...event, index: place });
  }

  #delta(index: number, delta: string): string {
    const place = this.#places.get(index);
    if (place !== undefined) return this.#answer.push({ kind: 'part-delta', index: place, delta });
    return index === this.#joined ? this.#write(this.seam.push(delta)) : '';
  }

  #write(text: string): string {
    const index = this.#answer.openPart;
    if (text === '' || index === undefined) return '';
    return this.#answer.push({ kind: 'part-delta', index, delta: text });
  }

  #end(event: Extract<ChatEvent, { kind: 'part-end' }>): string {
    if (event.index === this.#joined) return this.#closeText();
    const place = this.#places.get(event.index);
    return place === undefined ? '' : this.#answer.push({ ...event, index: place });
  }

  /** Ends the text that the first upstream began, whoever had its last word. */
  #closeText(): string {
    if (this.#places.size > 0) return '';
    const rest = this.#write(this.seam.end());
    const index = this.#answer.openPart;
    if (index === undefined || this.seam.restarted) return rest;
    return rest + this.#answer.push({ kind: 'part-end', index });
  }
}

/** What came before a continuation. */
export type Earlier = {
  readonly answer: DeliveredAnswer;
  /** The text that the continuation was given. */
  readonly text: string;
  readonly usage: Usage | undefined;
};

/** The relay of an upstream that continues an answer. Usage is that of the whole answer, said once. */
export class ContinuedRelay implements Relay {
  readonly #relay: Relay;
  readonly #encoder: ContinuingEncoder;
  readonly #earlier: Earlier;
  readonly #earlierSize: number;
  /** Estimates are part of the count, so it is never the upstream's last word. */
  readonly usageAtEnd = false;
  readonly billTold = true;
  readonly statefulParts = [];

  constructor(earlier: Earlier, upstream: Dialect, request: ChatRequest, quirks: Quirks) {
    this.#earlier = earlier;
    this.#earlierSize = earlier.answer.generatedSize;
    this.#encoder = new ContinuingEncoder(earlier.answer, earlier.text);
    this.#relay = relayInto(this.#encoder, upstream, request, quirks);
  }

  get restarted(): boolean {
    return this.#encoder.seam.restarted;
  }

  get complete(): boolean {
    return this.#relay.complete;
  }

  get generatedSize(): number {
    return this.#earlier.answer.generatedSize;
  }

  /** Whether this upstream has added anything. */
  get hasAdded(): boolean {
    return this.generatedSize > this.#earlierSize;
  }

  /** The input once, and the output that was delivered: the earlier part by estimate. */
  get usage(): Usage | undefined {
    const said = this.#relay.usage?.outputTokens;
    const input = inputOf(this.#earlier.usage);
    if (said === undefined) return input;
    const before = estimateGeneratedTokens(this.#earlierSize);
    const again = estimateGeneratedTokens(textSize(this.#encoder.seam.repeatedText));
    return { ...input, outputTokens: before + Math.max(0, said - again) };
  }

  /** What this upstream bills, the text it was given included. */
  ownUsage(inputTokens: number): Usage {
    const { usage } = this.#relay;
    return {
      ...usage,
      inputTokens:
        usage?.inputTokens ?? inputTokens + estimateGeneratedTokens(textSize(this.#earlier.text)),
      outputTokens:
        usage?.outputTokens ?? estimateGeneratedTokens(this.generatedSize - this.#earlierSize),
    };
  }

  push(frame: SseFrame): RelayStep {
    const before = this.generatedSize;
    const step = this.#relay.push(frame);
    if (this.restarted) return { output: undefined, content: false, error: beganAnew() };
    return { ...step, content: this.generatedSize > before };
  }

  end(): ReturnType<Relay['end']> {
    return this.#relay.end() ?? (this.restarted ? beganAnew() : undefined);
  }

  close(bill: Parameters<Relay['close']>[0], usage?: Usage): string {
    this.#encoder.told = usage;
    return this.#relay.close(bill, usage);
  }

  stop(bill: Parameters<Relay['stop']>[0], usage?: Usage): string {
    this.#encoder.told = usage;
    return this.#relay.stop(bill, usage);
  }

  fail(error: GatewayError): string {
    return this.#relay.fail(error);
  }
}

/** The prompt's side of a count. */
function inputOf(usage: Usage | undefined): Usage | undefined {
  if (usage?.inputTokens === undefined) return undefined;
  const { inputTokens, cacheReadTokens, cacheWriteTokens, cacheWriteLongTokens } = usage;
  const { inputAudioTokens, inputImageTokens, serviceTier, speed, geography } = usage;
  return {
    inputTokens,
    cacheReadTokens,
    cacheWriteTokens,
    cacheWriteLongTokens,
    inputAudioTokens,
    inputImageTokens,
    serviceTier,
    speed,
    geography,
  };
}

function beganAnew(): GatewayError {
  return gatewayError('upstream_invalid', 'The upstream began the answer anew.');
}
