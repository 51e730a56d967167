import type { Socket } from 'node:net';
import { emptyBody, type BodyUpload, type HeldBytes } from './body.ts';
import type { PathParameters } from './routes.ts';
import type { HttpLimits } from './settings.ts';
import type { ResponseStream } from './stream.ts';
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
  /** Complete and decompressed; empty once it was released. */
  readonly body: Uint8Array;
  /** Gives the bytes of the body back before the response is over: nobody will read them any more. */
  releaseBody(): void;
  /**
   * Aborted when the client has left before the response was complete, when it has stopped
   * reading, or when the server must end; the reason is an `ExchangeAborted`.
   */
  readonly signal: AbortSignal;
  /** What `signal` says, without making one. */
  readonly aborted: boolean;
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

/** Whether nobody reads an answer any more. What the server ends itself is still told so. */
export function hasLeft(exchange: Pick<Exchange, 'aborted' | 'signal'>): boolean {
  if (!exchange.aborted) return false;
  const reason: unknown = exchange.signal.reason;
  return reason instanceof ExchangeAborted && reason.abortCause !== 'shutting-down';
}

/** What all exchanges of a front share. */
export type ExchangeContext = {
  readonly limits: HttpLimits;
  readonly held: HeldBytes;
  /** By the monotonic clock. */
  now(): number;
  /** The present in the form of the Date field. */
  date(): string;
  isStopping(): boolean;
};

/** What was read of a request before its exchange is made. */
export type RequestHead = {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  readonly headers: HeaderList;
};

/**
 * The part of an exchange that does not depend on who speaks HTTP with the client. Members that
 * are not part of `Exchange` are for the front alone.
 */
export abstract class BaseExchange implements Exchange {
  readonly requestId: string;
  readonly clientRequestId: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly receivedAtMs: number;
  readonly headers: HeaderList;
  readonly socket: Socket;
  protected readonly context: ExchangeContext;
  readonly #search: string;
  pathParameters: PathParameters = {};
  body: Uint8Array = emptyBody;
  upload: BodyUpload | undefined;
  /** Whether the handler is at work. */
  handling = false;
  /** Body bytes to give back when both the response and the handler are done, if not before. */
  heldBytes = 0;
  /** Header pairs for the response besides the handler's own, for CORS. */
  extraHeaders: readonly string[] = [];
  #query: URLSearchParams | undefined;
  #controller: AbortController | undefined;
  #aborted: ExchangeAborted | undefined;
  #progressBytes = 0;
  #progressAt: number;

  constructor(head: RequestHead, socket: Socket, requestId: string, context: ExchangeContext) {
    const { method, target, headers } = head;
    const queryAt = target.indexOf('?');
    this.requestId = requestId;
    const given = headerValue(headers, 'x-request-id');
    this.clientRequestId = given !== undefined && requestIdPattern.test(given) ? given : undefined;
    this.method = method;
    this.path = queryAt < 0 ? target : target.slice(0, queryAt);
    this.#search = queryAt < 0 ? '' : target.slice(queryAt + 1);
    this.headers = headers;
    this.socket = socket;
    this.context = context;
    this.receivedAtMs = context.now();
    this.#progressAt = this.receivedAtMs;
  }

  abstract readonly responded: boolean;
  /** Whether all of the response was given, though perhaps not all has left. */
  abstract readonly ended: boolean;
  /** Whether the response is over: it has left, or its connection is gone. */
  abstract readonly closed: boolean;
  /** Whether nothing can be sent any more. */
  abstract readonly destroyed: boolean;
  /** Bytes of the response that wait in this process. */
  abstract readonly writableLength: number;
  abstract respond(status: number, headers: ResponseHeaders, body: string | Uint8Array): void;
  abstract stream(status: number, headers: ResponseHeaders): ResponseStream;
  /**
   * Answers and gives the connection up. When the sender is still writing its body, the rest is
   * read and thrown away for a while: closing at once would reset the connection, and the sender
   * would never see the answer.
   */
  abstract refuse(status: number, headers: ResponseHeaders, body: string | Uint8Array): void;
  /** Breaks the connection off. */
  abstract destroy(): void;

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#search);
    return this.#query;
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? '';
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  get aborted(): boolean {
    return this.#aborted !== undefined;
  }

  header(name: string): string | undefined {
    return headerValue(this.headers, name);
  }

  releaseBody(): void {
    this.context.held.give(this.heldBytes);
    this.heldBytes = 0;
    this.body = emptyBody;
  }

  /** Tells the handler to stop. Only the first cause counts. */
  abort(cause: AbortCause): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = new ExchangeAborted(cause);
    this.#controller?.abort(this.#aborted);
  }

  /** Name and value by turns, all that is sent but for the fields of the connection. */
  protected headFields(
    status: number,
    headers: ResponseHeaders,
    bodyBytes: number | undefined,
  ): string[] {
    const flat = ['x-request-id', this.requestId, 'x-content-type-options', 'nosniff'];
    if (this.clientRequestId !== undefined) flat.push('x-client-request-id', this.clientRequestId);
    for (const value of this.extraHeaders) flat.push(value);
    for (const name in headers) flat.push(name, headers[name] ?? '');
    if (bodyBytes !== undefined && hasBody(status)) flat.push('content-length', String(bodyBytes));
    return flat;
  }

  /** Called about twice a second: ends slow uploads and stalled readers. */
  sweep(now: number): void {
    const { limits } = this.context;
    this.upload?.checkPace(now, limits);
    if (this.writableLength === 0) {
      this.#progressAt = now;
      return;
    }
    // What the system has taken: everything written less what still waits in this process.
    const taken = this.socket.bytesWritten - this.socket.writableLength;
    if (taken !== this.#progressBytes) {
      this.#progressBytes = taken;
      this.#progressAt = now;
    } else if (now - this.#progressAt >= limits.stalledReaderTimeoutMs) {
      this.abort('stalled-reader');
      this.destroy();
    }
  }
}

/** Whether answers of this status carry a body (RFC 9112, 6.3). */
export function hasBody(status: number): boolean {
  return status !== 204 && status !== 304;
}

export function bodyLength(body: string | Uint8Array): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length;
}
