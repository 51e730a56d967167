/**
 * Steps 9 to 11 for a streamed answer: frames from one upstream to the client, with the commit point
 * at the first content. Before it everything is kept back and the attempt may still fail silently.
 */

import { gatewayError, GatewayFailure, type GatewayError } from '#canonical';
import type { Attempt } from '#routing';
import { parseJson } from '#std';
import { UpstreamFailure, type BodySink } from '#upstream';
import { classify, type OpenStream, type WholeAnswer } from './attempt.ts';
import type { ClientStream } from './client-stream.ts';
import { errorWithoutSecret, type AttemptFailure } from './failure.ts';
import type { Exchange } from './http/index.ts';
import type { Funds } from './money.ts';
import { cutError } from './relay.ts';
import type { Services } from './services.ts';
import { endedByUs } from './steps.ts';
import type { Route } from './target.ts';
import { stopsBilling } from './hold-size.ts';
import type { AttemptTrail } from './trail.ts';

export type StreamEnd =
  /** The upstream said that it was done. `committed` is false when it had nothing to say. */
  | { readonly kind: 'complete'; readonly committed: boolean }
  /** Failed before the commit point: another channel may try. */
  | { readonly kind: 'failed'; readonly failed: AttemptFailure }
  /** Failed after it: the client gets the error in its stream. */
  | { readonly kind: 'broken'; readonly error: GatewayError }
  /** It was no stream, but all of the answer at once. */
  | { readonly kind: 'whole'; readonly answer: WholeAnswer }
  /** Stopped by us because the balance ended. */
  | { readonly kind: 'exhausted' }
  | { readonly kind: 'client-gone' };

export type StreamContext = {
  readonly services: Services;
  readonly open: OpenStream;
  readonly route: Route;
  readonly attempt: Attempt;
  readonly trail: AttemptTrail;
  readonly client: ClientStream;
  readonly funds: Funds;
  readonly exchange: Pick<Exchange, 'aborted' | 'signal'>;
  readonly elapsedMs: () => number;
  readonly onCommit: () => void;
};

/** How long a request may live on because its client is slow: the upstream has ended by then. */
const slowReaderMs = 1_000;
const longestTimerMs = 2_147_483_647;
/** What is still waited for behind the end of an answer: counts come there, and some never close. */
const closingMs = 2_000;
/** What may come before the first content, in bytes or characters: some repeat the whole question. */
const pendingLengthMax = 16 * 2 ** 20;

export class StreamAnswer implements BodySink {
  readonly #context: StreamContext;
  /** Output before the commit point. */
  readonly #pending: (Uint8Array | string)[] = [];
  #pendingLength = 0;
  readonly #over: PromiseWithResolvers<void> = Promise.withResolvers();
  #isOver = false;
  #committed = false;
  #timedOut = false;
  #clientGone = false;
  #error: GatewayError | undefined;
  #whole: WholeAnswer | undefined;
  /** The body broke off, or could not be read. */
  #thrown: unknown;
  #contentTimer: NodeJS.Timeout | undefined;
  #closingTimer: NodeJS.Timeout | undefined;
  /** Ends the reading for a client that has left. */
  #drain: { readonly limit: NodeJS.Timeout; readonly done: () => void } | undefined;

  constructor(context: StreamContext) {
    this.#context = context;
  }

  /** What was kept back because no content came: to be sent when nobody else can answer either. */
  get pending(): readonly (Uint8Array | string)[] {
    return this.#pending;
  }

  /** Reads the upstream to its end. Never throws for what an upstream or a client does. */
  async run(): Promise<StreamEnd> {
    const { open, attempt, exchange, services, client, trail, elapsedMs } = this.#context;
    // The time to first content counts from the moment the request left.
    const waitedMs = elapsedMs() - trail.startedAtMs;
    const leftMs = Math.max(1, Math.ceil(attempt.timeouts.firstContentMs - waitedMs));
    this.#contentTimer = setTimeout(() => this.#giveUpWaiting(), leftMs);
    const holdTimer = setTimeout(() => client.begin(), services.settings.holdHeadersMs);
    const lifeMs = services.settings.requestMs - elapsedMs() + slowReaderMs;
    const lifeTimer = setTimeout(() => this.#outlived(), Math.min(lifeMs, longestTimerMs));
    const { signal } = exchange;
    const onAbort = (): void => this.#interrupted();
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) this.#interrupted();
    if (!this.#isOver) open.response.pushTo(this);
    await this.#over.promise;
    clearTimeout(this.#contentTimer);
    clearTimeout(this.#closingTimer);
    clearTimeout(holdTimer);
    clearTimeout(lifeTimer);
    signal.removeEventListener('abort', onAbort);
    if (this.#drain) {
      clearTimeout(this.#drain.limit);
      this.#drain.done();
    }
    return this.#thrown === undefined ? this.#end() : this.#failed(this.#thrown);
  }

  data(piece: Uint8Array): void {
    if (this.#isOver) return;
    const { open, funds, client } = this.#context;
    let wait: Promise<void> | undefined;
    try {
      wait = this.#accept(open.parser.push(piece));
    } catch (error) {
      this.#thrown = error;
    }
    if (this.#committed) funds.keepAhead(open.relay.generatedSize);
    if (open.relay.complete) this.#closingTimer ??= setTimeout(() => this.#cut(), closingMs);
    if (this.#thrown !== undefined || this.#error || this.#whole || funds.exhausted)
      return this.#cut();
    if (!wait || this.#clientGone || !client.begun || open.relay.complete) return;
    open.response.pause();
    void wait.then(() => open.response.resume());
  }

  end(): void {
    if (this.#isOver) return;
    const { parser, relay } = this.#context.open;
    try {
      // An event without its final blank line counts where the connection ended cleanly.
      const tail = parser.end();
      if (tail && isHalf(tail.data)) this.#error ??= relay.complete ? undefined : cutError();
      else if (tail) void this.#accept([{ ...tail, raw: Buffer.concat([tail.raw, blankLine]) }]);
      else if (!relay.complete) this.#readRest();
      if (!this.#whole) this.#error ??= relay.end();
    } catch (error) {
      this.#thrown = error;
    }
    this.#finish();
  }

  /** An answer after the beginning of another one is nobody's. */
  #readRest(): void {
    const { parser, readBare } = this.#context.open;
    const isFirst = !this.#committed && this.#pending.length === 0;
    try {
      const whole = readBare?.(parser.rest());
      if (isFirst) this.#whole = whole;
    } catch (error) {
      if (!(error instanceof GatewayFailure)) throw error;
      this.#error ??= errorWithoutSecret(error.error, this.#context.route);
    }
  }

  failed(failure: UpstreamFailure): void {
    this.#thrown = failure;
    this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    this.#over.resolve();
  }

  /** The sink of a cancelled call hears nothing more. */
  #cut(): void {
    this.#context.open.response.cancel();
    this.#finish();
  }

  #accept(frames: ReturnType<OpenStream['parser']['push']>): Promise<void> | undefined {
    const { relay, readBare } = this.#context.open;
    let wait: Promise<void> | undefined;
    for (const frame of frames) {
      const step = relay.push(frame);
      if (step.whole && !this.#committed) {
        this.#whole = readBare?.(Buffer.from(frame.data));
        break;
      }
      if (step.content && !this.#committed) this.#commit();
      if (step.output !== undefined) wait = this.#output(step.output) ?? wait;
      if (step.error) {
        this.#error = errorWithoutSecret(step.error, this.#context.route);
        break;
      }
    }
    return wait;
  }

  #output(output: Uint8Array | string): Promise<void> | undefined {
    if (this.#clientGone) return undefined;
    if (this.#committed) return this.#context.client.write(output);
    this.#pending.push(output);
    this.#pendingLength += output.length;
    if (this.#pendingLength > pendingLengthMax)
      this.#error = gatewayError('upstream_invalid', 'The upstream sent much and no content.');
    return undefined;
  }

  /** The first content: from here on the client belongs to this upstream. */
  #commit(): void {
    const { attempt, trail, client, elapsedMs, onCommit } = this.#context;
    this.#committed = true;
    clearTimeout(this.#contentTimer);
    attempt.firstContent();
    trail.firstContentMs = elapsedMs();
    if (this.#clientGone) return;
    onCommit();
    for (const output of this.#pending.splice(0)) void client.write(output);
  }

  #giveUpWaiting(): void {
    if (this.#committed) return;
    this.#timedOut = true;
    this.#cut();
  }

  /** The client has left, or still reads and is told that its answer ends here. */
  #interrupted(): void {
    const ended = endedByUs(this.#context.exchange);
    if (!ended) return this.#clientLeft();
    // Only the tail was missing, and that waits for the charge and not for the upstream.
    if (!this.#context.open.relay.complete) this.#error = ended.error;
    // The upstream's call may have heard of it first.
    this.#thrown = undefined;
    this.#cut();
  }

  /** Stops the upstream where that stops its meter; else reads on for the usage, within bounds. */
  #clientLeft(): void {
    const { route, services } = this.#context;
    this.#clientGone = true;
    // A reader that waits for a client that has left waits no more.
    this.#context.open.response.resume();
    const done = stopsBilling(route) ? undefined : services.drains.begin();
    if (!done) return this.#cut();
    this.#drain = { limit: setTimeout(() => this.#cut(), services.settings.drainMs), done };
  }

  /** A client that reads too slowly: the money is not held for longer. */
  #outlived(): void {
    this.#clientGone = true;
    this.#cut();
  }

  #end(): StreamEnd {
    if (this.#clientGone) return { kind: 'client-gone' };
    if (this.#timedOut) return { kind: 'failed', failed: timeout() };
    if (this.#context.funds.exhausted) return { kind: 'exhausted' };
    if (this.#whole) return { kind: 'whole', answer: this.#whole };
    if (this.#error)
      return this.#committed
        ? { kind: 'broken', error: this.#error }
        : { kind: 'failed', failed: classify(asFailure(this.#error)) };
    return { kind: 'complete', committed: this.#committed };
  }

  #failed(error: unknown): StreamEnd {
    if (this.#clientGone) return { kind: 'client-gone' };
    if (this.#timedOut) return { kind: 'failed', failed: timeout() };
    // A connection that breaks after the terminal mark took nothing from anybody.
    if (this.#context.open.relay.complete) return { kind: 'complete', committed: this.#committed };
    const failed = classify(
      error instanceof UpstreamFailure || error instanceof GatewayFailure
        ? error
        : asFailure(
            gatewayError('upstream_invalid', 'The upstream sent a stream that cannot be read.'),
          ),
    );
    return this.#committed ? { kind: 'broken', error: failed.error } : { kind: 'failed', failed };
  }
}

/** What ends an event: what is written behind the last one must not become a part of it. */
const blankLine = Buffer.from('\n\n');

/** Whether an event breaks off in its middle: a client's reader would break at it, and never see the error that follows. */
function isHalf(data: string): boolean {
  return data.trim() !== '[DONE]' && !parseJson(data).ok;
}

function asFailure(error: GatewayError): GatewayFailure {
  return new GatewayFailure(error);
}

function timeout(): AttemptFailure {
  return {
    error: gatewayError('upstream_timeout', 'The upstream sent no content in time.'),
    failure: { kind: 'timeout-content' },
  };
}
