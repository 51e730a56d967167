import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { BodyUpload } from './body.ts';
import { emptyBody } from './body.ts';
import type { PathParameters } from './routes.ts';
import type { HttpLimits } from './settings.ts';
import { HttpResponseStream, type ResponseStream } from './stream.ts';
import { headerValue, type HeaderList } from './vet.ts';

/** Header fields of a response. Values that Node refuses (line breaks, NUL) throw TypeError. */
export type ResponseHeaders = Readonly<Record<string, string>>;

/** One request and the means to answer it. */
export type Exchange = {
  /** Made here, so that nobody can repeat the id of another request; sent as `x-request-id`. */
  readonly requestId: string;
  /** What the client sent as `x-request-id`, for logs and traces only; sent as `x-client-request-id`. */
  readonly clientRequestId: string | undefined;
  readonly method: string;
  /** As sent, without the query; not percent-decoded. */
  readonly path: string;
  /** Percent-decoded. */
  readonly pathParameters: PathParameters;
  readonly query: URLSearchParams;
  readonly remoteAddress: string;
  /** When the head had arrived, by the monotonic clock. */
  readonly receivedAtMs: number;
  /** `name` in lower case; repeated headers are joined by ", ". */
  header(name: string): string | undefined;
  /** Complete and decompressed. */
  readonly body: Uint8Array;
  /**
   * Aborted when the client has left before the response was complete, when it has stopped
   * reading, or when the server must end; the reason is an `ExchangeAborted`.
   */
  readonly signal: AbortSignal;
  /** Whether a head was sent; after that only the stream may be used. */
  readonly responded: boolean;
  /** Answers in one piece. Throws when a head was sent already. */
  respond(status: number, headers: ResponseHeaders, body: string | Uint8Array): void;
  /** Sends the head at once and leaves the body to the stream. */
  stream(status: number, headers: ResponseHeaders): ResponseStream;
};

const requestIdPattern = /^[A-Za-z0-9._-]{1,128}$/;

export type AbortCause = 'client-gone' | 'stalled-reader' | 'shutting-down';

/** Why the work for a client should stop. */
export class ExchangeAborted extends Error {
  readonly abortCause: AbortCause;

  constructor(abortCause: AbortCause) {
    super(`the exchange was aborted: ${abortCause}`);
    this.name = 'ExchangeAborted';
    this.abortCause = abortCause;
  }
}

/** What all exchanges of a front share. */
export type ExchangeContext = {
  readonly limits: HttpLimits;
  now(): number;
  isStopping(): boolean;
};

/** The exchange over a socket. Methods that are not part of `Exchange` are for the front alone. */
export class HttpExchange implements Exchange {
  readonly requestId: string;
  readonly clientRequestId: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly receivedAtMs: number;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly headers: HeaderList;
  readonly #context: ExchangeContext;
  readonly #search: string;
  readonly #socket: Socket;
  pathParameters: PathParameters = {};
  body: Uint8Array = emptyBody;
  upload: BodyUpload | undefined;
  /** Whether another program reads the body itself. */
  mounted = false;
  /** Whether the handler is at work. */
  handling = false;
  /** Body bytes to give back when both the response and the handler are done. */
  heldBytes = 0;
  /** Header pairs for the response besides the handler's own, for CORS. */
  extraHeaders: readonly string[] = [];
  #query: URLSearchParams | undefined;
  #controller: AbortController | undefined;
  #aborted: ExchangeAborted | undefined;
  #lingerUntil: number | undefined;
  #progressBytes = 0;
  #progressAt: number;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    headers: HeaderList,
    requestId: string,
    context: ExchangeContext,
  ) {
    const target = request.url ?? '/';
    const queryAt = target.indexOf('?');
    this.request = request;
    this.response = response;
    this.headers = headers;
    this.requestId = requestId;
    const given = headerValue(headers, 'x-request-id');
    this.clientRequestId = given !== undefined && requestIdPattern.test(given) ? given : undefined;
    this.method = request.method ?? '';
    this.path = queryAt < 0 ? target : target.slice(0, queryAt);
    this.#search = queryAt < 0 ? '' : target.slice(queryAt + 1);
    this.#context = context;
    this.#socket = request.socket;
    this.receivedAtMs = context.now();
    this.#progressAt = this.receivedAtMs;
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#search);
    return this.#query;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  get responded(): boolean {
    return this.response.headersSent;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  header(name: string): string | undefined {
    return headerValue(this.headers, name);
  }

  respond(status: number, headers: ResponseHeaders, body: string | Uint8Array): void {
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    this.#writeHead(status, headers, bytes);
    this.response.end(body);
  }

  stream(status: number, headers: ResponseHeaders): ResponseStream {
    this.#writeHead(status, headers, undefined);
    return new HttpResponseStream(this.response, this.#context.limits.streamBufferBytesMax);
  }

  /**
   * Answers and gives the connection up. When the sender is still writing its body, the rest is
   * read and thrown away for a while: closing at once would reset the connection, and the sender
   * would never see the answer.
   */
  refuse(status: number, headers: ResponseHeaders, body: string | Uint8Array): void {
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    this.#writeHead(status, { ...headers, connection: 'close' }, bytes);
    if (this.request.complete) {
      this.response.end(body);
      return;
    }
    this.response.write(body);
    this.#lingerUntil = this.#context.now() + this.#context.limits.lingerMs;
    this.request.once('end', () => this.response.end());
    this.request.once('error', () => this.response.destroy());
    this.request.resume();
  }

  /** Ends what is left of a refused connection now, because its bytes cannot be read any more. */
  endLinger(): boolean {
    if (this.#lingerUntil === undefined) return false;
    this.response.end();
    return true;
  }

  #writeHead(status: number, headers: ResponseHeaders, bodyBytes: number | undefined): void {
    const flat = ['x-request-id', this.requestId, 'x-content-type-options', 'nosniff'];
    if (this.clientRequestId !== undefined) flat.push('x-client-request-id', this.clientRequestId);
    for (const value of this.extraHeaders) flat.push(value);
    let closes = false;
    for (const [name, value] of Object.entries(headers)) {
      if (name === 'connection') closes = true;
      flat.push(name, value);
    }
    if (bodyBytes !== undefined && status !== 204 && status !== 304) {
      flat.push('content-length', String(bodyBytes));
    }
    if (!closes && this.#context.isStopping()) flat.push('connection', 'close');
    this.response.writeHead(status, flat);
  }

  /** Tells the handler to stop. Only the first cause counts. */
  abort(cause: AbortCause): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = new ExchangeAborted(cause);
    this.#controller?.abort(this.#aborted);
  }

  #isSlow(now: number): boolean {
    const { uploadTimeoutMs, uploadBytesPerSecondMin } = this.#context.limits;
    const creditMs = (this.#socket.bytesRead / uploadBytesPerSecondMin) * 1_000;
    return now - this.receivedAtMs > uploadTimeoutMs + creditMs;
  }

  /** Called about twice a second: ends slow uploads, lingering connections and stalled readers. */
  sweep(now: number): void {
    const { limits } = this.#context;
    this.upload?.checkPace(now, limits);
    if (this.mounted && !this.request.complete && this.#isSlow(now)) this.response.destroy();
    if (this.#lingerUntil !== undefined) {
      if (now >= this.#lingerUntil) this.response.end();
      if (now >= this.#lingerUntil + limits.lingerMs) this.response.destroy();
      return;
    }
    if (this.response.writableLength === 0) {
      this.#progressAt = now;
      return;
    }
    // What the system has taken: everything written less what still waits in this process.
    const taken = this.#socket.bytesWritten - this.#socket.writableLength;
    if (taken !== this.#progressBytes) {
      this.#progressBytes = taken;
      this.#progressAt = now;
    } else if (now - this.#progressAt >= limits.stalledReaderTimeoutMs) {
      this.abort('stalled-reader');
      this.response.destroy();
    }
  }
}
