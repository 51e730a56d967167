import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  BaseExchange,
  bodyLength,
  type ExchangeContext,
  type ResponseHeaders,
} from './exchange.ts';
import { HttpResponseStream, type ResponseStream } from './stream.ts';
import { readHeaders } from './vet.ts';

/** The exchange over `node:http`. */
export class NodeExchange extends BaseExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Whether another program reads the body itself. */
  mounted = false;
  #lingerUntil: number | undefined;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    requestId: string,
    context: ExchangeContext,
  ) {
    const { method = '', url = '/', socket } = request;
    super({ method, target: url, headers: readHeaders(request) }, socket, requestId, context);
    this.request = request;
    this.response = response;
  }

  get responded(): boolean {
    return this.response.headersSent;
  }

  get ended(): boolean {
    return this.response.writableEnded;
  }

  get closed(): boolean {
    return this.response.closed;
  }

  get destroyed(): boolean {
    return this.response.destroyed;
  }

  get writableLength(): number {
    return this.response.writableLength;
  }

  respond(status: number, headers: ResponseHeaders, body: string | Uint8Array): void {
    this.#writeHead(status, headers, bodyLength(body));
    this.response.end(body);
  }

  stream(status: number, headers: ResponseHeaders): ResponseStream {
    const { response } = this;
    this.#writeHead(status, headers, undefined);
    const chunked = response.chunkedEncoding;
    // The chunks come ready.
    response.chunkedEncoding = false;
    const { streamBufferBytesMax } = this.context.limits;
    const stream = new HttpResponseStream(response, chunked, streamBufferBytesMax);
    response.on('drain', () => stream.release());
    response.once('close', () => stream.release());
    return stream;
  }

  refuse(status: number, headers: ResponseHeaders, body: string | Uint8Array): void {
    this.#writeHead(status, { ...headers, connection: 'close' }, bodyLength(body));
    if (this.request.complete) {
      this.response.end(body);
      return;
    }
    this.response.write(body);
    this.#lingerUntil = this.context.now() + this.context.limits.lingerMs;
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

  destroy(): void {
    this.response.destroy();
  }

  #writeHead(status: number, headers: ResponseHeaders, bodyBytes: number | undefined): void {
    const flat = this.headFields(status, headers, bodyBytes);
    if (headers['connection'] === undefined && this.context.isStopping())
      flat.push('connection', 'close');
    this.response.writeHead(status, flat);
  }

  #isSlow(now: number): boolean {
    const { uploadTimeoutMs, uploadBytesPerSecondMin } = this.context.limits;
    const creditMs = (this.socket.bytesRead / uploadBytesPerSecondMin) * 1_000;
    return now - this.receivedAtMs > uploadTimeoutMs + creditMs;
  }

  /** Ends lingering connections and slow uploads of mounted programs besides. */
  override sweep(now: number): void {
    if (this.mounted && !this.request.complete && this.#isSlow(now)) this.response.destroy();
    if (this.#lingerUntil === undefined) {
      super.sweep(now);
      return;
    }
    if (now >= this.#lingerUntil) this.response.end();
    if (now >= this.#lingerUntil + this.context.limits.lingerMs) this.response.destroy();
  }
}
