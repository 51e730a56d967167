/**
 * Steps 9 to 11 for a streamed answer: frames from one upstream to the client, with the commit point
 * at the first content. Before it everything is kept back and the attempt may still fail silently.
 */

import { gatewayError, GatewayFailure, type GatewayError } from '#canonical';
import type { Attempt } from '#routing';
import { UpstreamFailure } from '#upstream';
import { classify, type OpenStream } from './attempt.ts';
import type { ClientStream } from './client-stream.ts';
import type { AttemptFailure } from './failure.ts';
import type { Funds } from './money.ts';
import type { Services } from './services.ts';
import type { Route } from './target.ts';
import { stopsBilling } from './target.ts';
import type { AttemptTrail } from './trail.ts';

export type StreamEnd =
  /** The upstream said that it was done. `committed` is false when it had nothing to say. */
  | { readonly kind: 'complete'; readonly committed: boolean }
  /** Failed before the commit point: another channel may try. */
  | { readonly kind: 'failed'; readonly failed: AttemptFailure }
  /** Failed after it: the client gets the error in its stream. */
  | { readonly kind: 'broken'; readonly error: GatewayError }
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
  readonly signal: AbortSignal;
  readonly elapsedMs: () => number;
  readonly onCommit: () => void;
};

export class StreamAnswer {
  readonly #context: StreamContext;
  /** Output before the commit point. */
  readonly #pending: (Uint8Array | string)[] = [];
  #committed = false;
  #timedOut = false;
  #clientGone = false;
  #error: GatewayError | undefined;

  constructor(context: StreamContext) {
    this.#context = context;
  }

  /** What was kept back because no content came: to be sent when nobody else can answer either. */
  get pending(): readonly (Uint8Array | string)[] {
    return this.#pending;
  }

  /** Reads the upstream to its end. Never throws for what an upstream or a client does. */
  async run(): Promise<StreamEnd> {
    const { open, attempt, signal, services, client, trail, elapsedMs } = this.#context;
    // The time to first content counts from the moment the request left.
    const waitedMs = elapsedMs() - trail.startedAtMs;
    const contentTimer = setTimeout(
      () => this.#giveUpWaiting(),
      Math.max(1, attempt.timeouts.firstContentMs - waitedMs),
    );
    const holdTimer = setTimeout(() => client.begin(), services.settings.holdHeadersMs);
    const onAbort = (): void => this.#clientLeft();
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) this.#clientLeft();
    try {
      await this.#pump(contentTimer);
      this.#error ??= open.relay.end();
      return this.#end();
    } catch (error) {
      return this.#failed(error);
    } finally {
      clearTimeout(contentTimer);
      clearTimeout(holdTimer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #pump(contentTimer: NodeJS.Timeout): Promise<void> {
    const { open, funds, client } = this.#context;
    for await (const chunk of open.response.body) {
      const wait = this.#accept(open.parser.push(chunk), contentTimer);
      if (this.#error) return open.response.cancel();
      if (this.#committed) funds.keepAhead(open.relay.characters);
      if (funds.exhausted) return open.response.cancel();
      if (wait && !this.#clientGone && client.begun) await wait;
    }
    // An event without its final blank line counts where the connection ended cleanly.
    const tail = open.parser.end();
    if (tail) await this.#accept([tail], contentTimer);
  }

  #accept(
    frames: ReturnType<OpenStream['parser']['push']>,
    contentTimer: NodeJS.Timeout,
  ): Promise<void> | undefined {
    const { relay } = this.#context.open;
    let wait: Promise<void> | undefined;
    for (const frame of frames) {
      const step = relay.push(frame);
      if (step.content && !this.#committed) this.#commit(contentTimer);
      if (step.output !== undefined) wait = this.#output(step.output) ?? wait;
      if (step.error) {
        this.#error = step.error;
        break;
      }
    }
    return wait;
  }

  #output(output: Uint8Array | string): Promise<void> | undefined {
    if (this.#clientGone) return undefined;
    if (this.#committed) return this.#context.client.write(output);
    this.#pending.push(output);
    return undefined;
  }

  /** The first content: from here on the client belongs to this upstream. */
  #commit(contentTimer: NodeJS.Timeout): void {
    const { attempt, trail, client, elapsedMs, onCommit } = this.#context;
    this.#committed = true;
    clearTimeout(contentTimer);
    attempt.firstContent();
    trail.firstContentMs = elapsedMs();
    if (this.#clientGone) return;
    onCommit();
    for (const output of this.#pending.splice(0)) void client.write(output);
  }

  #giveUpWaiting(): void {
    if (this.#committed) return;
    this.#timedOut = true;
    this.#context.open.response.cancel();
  }

  /** Stops the upstream where that stops its meter; else reads on for the usage, within bounds. */
  #clientLeft(): void {
    const { open, route, services } = this.#context;
    this.#clientGone = true;
    const done = stopsBilling(route) ? undefined : services.drains.begin();
    if (!done) return open.response.cancel();
    const limit = setTimeout(() => open.response.cancel(), services.settings.drainMs);
    void open.response.closed.finally(() => {
      clearTimeout(limit);
      done();
    });
  }

  #end(): StreamEnd {
    if (this.#clientGone) return { kind: 'client-gone' };
    if (this.#timedOut) return { kind: 'failed', failed: timeout() };
    if (this.#context.funds.exhausted) return { kind: 'exhausted' };
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

function asFailure(error: GatewayError): GatewayFailure {
  return new GatewayFailure(error);
}

function timeout(): AttemptFailure {
  return {
    error: gatewayError('upstream_timeout', 'The upstream sent no content in time.'),
    failure: { kind: 'timeout-content' },
  };
}
