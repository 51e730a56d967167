/** The streaming half of a response to the client: late start, heartbeats, backpressure. */

import type { Exchange, ResponseStream } from './http/index.ts';

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

export type ClientStreamOptions = {
  readonly exchange: Exchange;
  readonly headers: Readonly<Record<string, string>>;
  /** What keeps this dialect's stream alive. */
  readonly heartbeat: string;
  readonly heartbeats: Heartbeats;
  readonly now: () => number;
};

/**
 * Nothing leaves before {@link ClientStream.begin}: until then the request may still fail with a
 * status of its own, or be served by another upstream.
 */
export class ClientStream {
  readonly #options: ClientStreamOptions;
  #stream: ResponseStream | undefined;
  #lastWriteMs = 0;
  #ended = false;

  constructor(options: ClientStreamOptions) {
    this.#options = options;
  }

  get begun(): boolean {
    return this.#stream !== undefined;
  }

  /** Sends the status line and headers. Repeating it does nothing. */
  begin(extraHeaders: Readonly<Record<string, string>> = {}): void {
    if (this.#stream || this.#ended) return;
    const { exchange, headers, heartbeats, now } = this.#options;
    this.#stream = exchange.stream(200, { ...headers, ...extraHeaders });
    this.#lastWriteMs = now();
    heartbeats.add(this);
  }

  /** `undefined` when the client keeps up, else a promise to wait for before reading on. */
  write(output: Uint8Array | string): Promise<void> | undefined {
    if (this.#ended || !this.#stream) return undefined;
    this.#lastWriteMs = this.#options.now();
    const bytes = typeof output === 'string' ? Buffer.from(output) : output;
    return this.#stream.write(bytes) ? undefined : this.#stream.drained();
  }

  beat(periodMs: number): void {
    const { now, heartbeat } = this.#options;
    if (this.#ended || now() - this.#lastWriteMs < periodMs) return;
    void this.write(heartbeat);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.heartbeats.remove(this);
    this.#stream?.end();
  }

  /** Breaks the connection, so that nobody takes a part for the whole. */
  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.heartbeats.remove(this);
    this.#stream?.destroy();
  }
}
