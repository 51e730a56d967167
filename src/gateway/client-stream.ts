/** The streaming half of a response to the client: late start, heartbeats, backpressure. */

import type { StreamForm } from '#dialects';
import type { ChatCall } from './call.ts';
import type { Exchange, ResponseHeaders, ResponseStream } from './http/index.ts';
import type { Services } from './services.ts';

/** One timer for all silent streams, instead of one per stream. */
export class Heartbeats {
  readonly #streams = new Set<ClientStream>();
  readonly #periodMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#streams.size;
  }

  add(stream: ClientStream): void {
    this.#streams.add(stream);
    this.#timer ??= setInterval(() => this.#beat(), Math.max(5, this.#periodMs / 4)).unref();
  }

  remove(stream: ClientStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    for (const stream of this.#streams) stream.beat(this.#periodMs);
  }
}

/** How the stream's bytes are to be read, in each framing. */
const streamHeaders: { readonly [framing in StreamForm['framing']]: ResponseHeaders } = {
  sse: headersOf('text/event-stream; charset=utf-8'),
  'json-array': headersOf('application/json; charset=utf-8'),
};

function headersOf(contentType: string): ResponseHeaders {
  return { 'content-type': contentType, 'cache-control': 'no-cache', 'x-accel-buffering': 'no' };
}

/**
 * Nothing leaves before {@link ClientStream.begin}: until then the request may still fail with a
 * status of its own, or be served by another upstream.
 */
export class ClientStream {
  readonly #exchange: Exchange;
  readonly #services: Pick<Services, 'heartbeats' | 'clock'>;
  readonly #call: Pick<ChatCall, 'dialect' | 'form'>;
  #stream: ResponseStream | undefined;
  #lastWriteMs = 0;
  #ended = false;

  constructor(
    services: Pick<Services, 'heartbeats' | 'clock'>,
    exchange: Exchange,
    call: Pick<ChatCall, 'dialect' | 'form'>,
  ) {
    this.#services = services;
    this.#exchange = exchange;
    this.#call = call;
  }

  get begun(): boolean {
    return this.#stream !== undefined;
  }

  /** Sends the status line and headers. Repeating it does nothing. */
  begin(extraHeaders: Readonly<Record<string, string>> = {}): void {
    if (this.#stream || this.#ended) return;
    const { heartbeats, clock } = this.#services;
    const headers = streamHeaders[this.#call.form.framing];
    this.#stream = this.#exchange.stream(200, { ...headers, ...extraHeaders });
    this.#lastWriteMs = clock.monotonic();
    heartbeats.add(this);
  }

  /** `undefined` when the client keeps up, else a promise to wait for before reading on. */
  write(output: Uint8Array | string): Promise<void> | undefined {
    if (this.#ended || !this.#stream) return undefined;
    this.#lastWriteMs = this.#services.clock.monotonic();
    const bytes = typeof output === 'string' ? Buffer.from(output) : output;
    return this.#stream.write(bytes) ? undefined : this.#stream.drained();
  }

  beat(periodMs: number): void {
    if (this.#ended || this.#services.clock.monotonic() - this.#lastWriteMs < periodMs) return;
    const { dialect, form } = this.#call;
    void this.write(dialect.stream.heartbeat(form));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#services.heartbeats.remove(this);
    this.#stream?.end();
  }

  /** Breaks the connection, so that nobody takes a part for the whole. */
  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#services.heartbeats.remove(this);
    this.#stream?.destroy();
  }
}
