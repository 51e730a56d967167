import type { Socket } from 'node:net';
import {
  BaseExchange,
  bodyLength,
  hasBody,
  type ExchangeContext,
  type RequestHead,
  type ResponseHeaders,
} from './exchange.ts';
import {
  copyBytesMax,
  HttpResponseStream,
  type ResponseStream,
  type StreamSink,
} from './stream.ts';

const {
  STATUS_CODES: statusTexts,
  validateHeaderName,
  validateHeaderValue,
} = process.getBuiltinModule('node:http');

/** The exchange of a plain request: its response goes straight to the socket. */
export class PlainExchange extends BaseExchange implements StreamSink {
  responded = false;
  ended = false;
  closed = false;
  /** Whether the connection ends with this response. */
  closes: boolean;
  readonly #onEnded: () => void;
  /** The head of a stream as long as no byte of it has left. */
  #head = '';
  #bodiless = false;
  #stream: HttpResponseStream | undefined;

  /** `onEnded` is called when all of the response was given to the socket. */
  constructor(
    head: RequestHead,
    socket: Socket,
    settings: {
      readonly requestId: string;
      readonly context: ExchangeContext;
      readonly closes: boolean;
      readonly onEnded: () => void;
    },
  ) {
    super(head, socket, settings.requestId, settings.context);
    this.closes = settings.closes;
    this.#onEnded = settings.onEnded;
  }

  get destroyed(): boolean {
    return this.closed || !this.socket.writable;
  }

  get writableLength(): number {
    return this.closed ? 0 : this.socket.writableLength;
  }

  respond(status: number, headers: ResponseHeaders, body: string | Uint8Array): void {
    const bytes = bodyLength(body);
    const head = this.#begin(status, headers, bytes);
    this.ended = true;
    if (!this.destroyed) {
      if (this.#bodiless) this.socket.write(head, 'latin1');
      else this.#send(head, body, bytes);
    }
    this.#onEnded();
  }

  stream(status: number, headers: ResponseHeaders): ResponseStream {
    this.#head = this.#begin(status, headers, undefined);
    const { streamBufferBytesMax } = this.context.limits;
    this.#stream = new HttpResponseStream(this, !this.#bodiless, streamBufferBytesMax);
    return this.#stream;
  }

  refuse(status: number, headers: ResponseHeaders, body: string | Uint8Array): void {
    this.closes = true;
    this.respond(status, headers, body);
  }

  write(data: string | Uint8Array): void {
    if (this.destroyed || this.#bodiless) return;
    const head = this.#head;
    this.#head = '';
    if (head !== '') this.#send(head, data, data.length);
    else if (typeof data === 'string') this.socket.write(data, 'latin1');
    else this.socket.write(data);
  }

  flushHeaders(): void {
    if (this.#head !== '' && !this.destroyed) this.socket.write(this.#head, 'latin1');
    this.#head = '';
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.flushHeaders();
    this.#onEnded();
  }

  destroy(): void {
    if (!this.closed) this.socket.destroy();
  }

  /** There is room again. */
  drained(): void {
    this.#stream?.release();
  }

  /** The response has left, or its connection is gone. */
  close(): void {
    this.closed = true;
    this.#stream?.release();
  }

  /** Makes the head. Throws what Node throws on names and values that would break it. */
  #begin(status: number, headers: ResponseHeaders, bodyBytes: number | undefined): string {
    if (this.responded) throw new Error('the head of the response was sent already');
    const flat = this.headFields(status, headers, bodyBytes);
    let closes = this.closes || this.context.isStopping();
    let text = `HTTP/1.1 ${status} ${statusTexts[status] ?? 'unknown'}\r\n`;
    for (let index = 0; index < flat.length; index += 2) {
      const name = flat[index] ?? '';
      const value = flat[index + 1] ?? '';
      validateHeaderName(name);
      validateHeaderValue(name, value);
      if (name === 'connection') closes = true;
      else text += `${name}: ${value}\r\n`;
    }
    const { keepAliveTimeoutMs, requestsPerConnectionMax } = this.context.limits;
    text += `Date: ${this.context.date()}\r\n`;
    text += closes
      ? 'Connection: close\r\n'
      : `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1_000)}, max=${requestsPerConnectionMax}\r\n`;
    this.#bodiless = !hasBody(status);
    if (bodyBytes === undefined && !this.#bodiless) text += 'Transfer-Encoding: chunked\r\n';
    this.closes = closes;
    this.responded = true;
    return `${text}\r\n`;
  }

  /** Sends head and body in one write. */
  #send(head: string, body: string | Uint8Array, bytes: number): void {
    const { socket } = this;
    if (typeof body === 'string' && body.length === bytes) {
      socket.write(head + body, 'latin1');
    } else if (bytes <= copyBytesMax) {
      const whole = Buffer.allocUnsafe(head.length + bytes);
      whole.write(head, 0, 'latin1');
      if (typeof body === 'string') whole.write(body, head.length, 'utf8');
      else whole.set(body, head.length);
      socket.write(whole);
    } else {
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(body);
      socket.uncork();
    }
  }
}
