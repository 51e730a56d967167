/**
 * The answer of one idempotent request while it runs and for a while after: whoever asks again gets it
 * from the start and then live. Bounded in bytes; what does not fit can be followed but not repeated.
 */

import { createSseParser } from '#std';
import { hasLeft, type Exchange, type ResponseHeaders, type ResponseStream } from './http/index.ts';

export type TranscriptHead = {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly streamed: boolean;
};

/** A finished answer as it is stored. */
export type StoredTranscript = {
  readonly head: TranscriptHead;
  readonly frames: readonly Uint8Array[];
};

type State = 'running' | 'complete' | 'broken';

/** One who reads. What it waits for is its own: a promise that lives as long as the request would keep each wait. */
class Follower {
  next: number;
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(next: number) {
    this.next = next;
  }

  /** Until the next {@link wake}. */
  wait(): Promise<void> {
    this.#waiting ??= Promise.withResolvers<void>();
    return this.#waiting.promise;
  }

  wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}

export class Transcript {
  readonly requestId: string;
  readonly parametersHash: string;
  readonly #bytesMax: number;
  readonly #onBytes: (change: number) => void;
  readonly #parser = createSseParser();
  #head: TranscriptHead | undefined;
  #frames: Uint8Array[] = [];
  /** Frames before this index were let go because the answer outgrew its bound. */
  #released = 0;
  #bytes = 0;
  #isForgotten = false;
  #state: State = 'running';
  #failure: unknown;
  readonly #followers = new Set<Follower>();

  /** @param onBytes told by how much the bytes in memory have grown or shrunk */
  constructor(
    requestId: string,
    parametersHash: string,
    bytesMax: number,
    onBytes: (change: number) => void = () => {},
  ) {
    this.requestId = requestId;
    this.parametersHash = parametersHash;
    this.#bytesMax = bytesMax;
    this.#onBytes = onBytes;
  }

  get head(): TranscriptHead | undefined {
    return this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it can still be read from its beginning. */
  get repeatable(): boolean {
    return this.#released === 0;
  }

  get stored(): StoredTranscript | undefined {
    return this.#head && this.#state === 'complete' && this.repeatable
      ? { head: this.#head, frames: this.#frames }
      : undefined;
  }

  begin(head: TranscriptHead): void {
    this.#head = head;
    this.#wake();
  }

  /** Streams of the other framing, a JSON array, cannot be resumed. */
  get #hasEvents(): boolean {
    const { streamed = false, headers = {} } = this.#head ?? {};
    return streamed && headers['content-type']?.startsWith('text/event-stream') === true;
  }

  /** Wire bytes of a stream; each event gets its number as SSE id, so that it can be resumed. */
  write(bytes: Uint8Array): void {
    if (!this.#hasEvents) return this.#append(bytes);
    for (const frame of this.#parser.push(Buffer.from(bytes))) {
      const index = this.#released + this.#frames.length + 1;
      this.#append(
        frame.data === '' ? frame.raw : Buffer.concat([Buffer.from(`id: ${index}\n`), frame.raw]),
      );
    }
  }

  /** The request was refused before it had an answer: all who wait for one are told why. */
  fail(error: unknown): void {
    this.#failure = error;
    this.end('broken');
  }

  end(state: 'complete' | 'broken'): void {
    if (this.#state !== 'running') return;
    const rest = this.#hasEvents ? this.#parser.rest() : undefined;
    if (rest && rest.length > 0) this.#append(rest);
    this.#state = state;
    this.#wake();
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /** Nobody will ask for it any more: its bytes go as soon as those who read it now are done. */
  forget(): void {
    this.#isForgotten = true;
    this.#dropIfUnread();
  }

  #dropIfUnread(): void {
    if (!this.#isForgotten || this.isRunning || this.#followers.size > 0) return;
    this.#frames = [];
    this.#count(-this.#bytes);
  }

  #count(change: number): void {
    this.#bytes += change;
    this.#onBytes(change);
  }

  #append(bytes: Uint8Array): void {
    this.#frames.push(bytes);
    this.#count(bytes.length);
    if (this.#bytes > this.#bytesMax) this.#release();
    this.#wake();
  }

  /** Keeps only what those who listen now have not yet read, and who hardly reads is left behind. */
  #release(): void {
    const isPatient = this.#bytes <= 2 * this.#bytesMax;
    const next = Math.min(
      this.#released + this.#frames.length,
      ...[...(isPatient ? this.#followers : [])].map((follower) => follower.next),
    );
    const count = Math.max(0, next - this.#released);
    for (const frame of this.#frames.splice(0, count)) this.#count(-frame.length);
    this.#released += count;
  }

  #wake(): void {
    for (const follower of this.#followers) follower.wake();
  }

  /** Sends the answer to one client, after the event it has already seen, and follows to the end. `headers` are added. */
  async follow(exchange: Exchange, after: number, headers: ResponseHeaders = {}): Promise<void> {
    const follower = new Follower(after);
    this.#followers.add(follower);
    const onAbort = (): void => follower.wake();
    exchange.signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!this.#head && this.#state === 'running' && !hasLeft(exchange)) await follower.wait();
      if (hasLeft(exchange)) return;
      if (!this.#head) throw this.#failure;
      const head = { ...this.#head, headers: { ...this.#head.headers, ...headers } };
      if (!head.streamed) return await this.#whole(exchange, head, follower);
      await this.#stream(exchange, head, follower);
    } finally {
      exchange.signal.removeEventListener('abort', onAbort);
      this.#followers.delete(follower);
      this.#dropIfUnread();
    }
  }

  async #whole(exchange: Exchange, head: TranscriptHead, follower: Follower): Promise<void> {
    while (this.#state === 'running' && !hasLeft(exchange)) await follower.wait();
    if (!hasLeft(exchange))
      exchange.respond(head.status, head.headers, Buffer.concat(this.#frames));
  }

  async #stream(exchange: Exchange, head: TranscriptHead, follower: Follower): Promise<void> {
    const stream = exchange.stream(head.status, head.headers);
    for (;;) {
      while (follower.next < this.#released + this.#frames.length) {
        const frame = this.#frames[follower.next - this.#released];
        if (!frame || hasLeft(exchange)) return stream.destroy();
        follower.next += 1;
        if (!stream.write(frame)) await drained(stream, exchange, follower);
      }
      if (hasLeft(exchange)) return stream.destroy();
      if (this.#state === 'complete') return stream.end();
      if (this.#state === 'broken') return stream.destroy();
      await follower.wait();
    }
  }
}

/** Until the client has read on, or has left. */
async function drained(
  stream: ResponseStream,
  exchange: Exchange,
  follower: Follower,
): Promise<void> {
  let isDrained = false;
  void stream.drained().then(() => {
    isDrained = true;
    follower.wake();
  });
  while (!isDrained && !hasLeft(exchange)) await follower.wait();
}

/** The exchange that a handler works on while clients come and go. */
export class DetachedExchange implements Exchange {
  readonly #origin: Exchange;
  readonly #transcript: Transcript;
  readonly #signal: AbortSignal;
  #responded = false;

  constructor(origin: Exchange, transcript: Transcript, signal: AbortSignal) {
    this.#origin = origin;
    this.#transcript = transcript;
    this.#signal = signal;
    this.body = origin.body;
    this.query = origin.query;
    this.pathParameters = origin.pathParameters;
    this.requestId = origin.requestId;
    this.method = origin.method;
    this.path = origin.path;
    this.remoteAddress = origin.remoteAddress;
    this.receivedAtMs = origin.receivedAtMs;
    this.clientRequestId = origin.clientRequestId;
  }

  body: Uint8Array;
  readonly query: URLSearchParams;
  readonly pathParameters: Exchange['pathParameters'];
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly remoteAddress: string;
  readonly receivedAtMs: number;
  readonly clientRequestId: Exchange['clientRequestId'];

  get signal(): AbortSignal {
    return this.#signal;
  }

  get aborted(): boolean {
    return this.#signal.aborted;
  }

  get responded(): boolean {
    return this.#responded;
  }

  header(name: string): string | undefined {
    return this.#origin.header(name);
  }

  releaseBody(): void {
    this.#origin.releaseBody();
    this.body = this.#origin.body;
  }

  respond(status: number, headers: ResponseHeaders, body: string | Uint8Array): void {
    this.#responded = true;
    this.#transcript.begin({ status, headers, streamed: false });
    this.#transcript.write(typeof body === 'string' ? Buffer.from(body) : body);
    this.#transcript.end('complete');
  }

  stream(status: number, headers: ResponseHeaders): ResponseStream {
    this.#responded = true;
    const transcript = this.#transcript;
    transcript.begin({ status, headers, streamed: true });
    return {
      write: (bytes) => {
        transcript.write(bytes);
        return true;
      },
      drained: () => Promise.resolve(),
      end: () => transcript.end('complete'),
      destroy: () => transcript.end('broken'),
    };
  }
}
