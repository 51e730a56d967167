import type { Socket } from 'node:net';
import { slowHead, type FrontCore, type HttpRoute } from './core.ts';
import { PlainExchange } from './plain-exchange.ts';
import { mayBecomePlain, readPlainHead, type PlainHead } from './plain-head.ts';
import { headerValue } from './vet.ts';

const emptyLine = Buffer.from('\r\n\r\n');
/** In how many reads a head may come; each is looked through from its beginning. */
const headReadsMax = 8;
/** How much longer than announced an idle connection is kept, for a request on its way. */
const keepAliveGraceMs = 1_000;

/**
 * Gives the connection to `node:http`, from the bytes on that were read already; they are `early`
 * when they came before the last answer had left.
 */
export type HandOver = (socket: Socket, bytes: Uint8Array, early: boolean) => void;

/**
 * A connection as long as all that comes on it is plain. The first bytes that are not make it one
 * of `node:http` for the rest of its life: they are given back unread, so that what is malformed
 * or unusual has one judge.
 */
export class PlainConnection<Route extends HttpRoute> {
  readonly #core: FrontCore<Route>;
  readonly #socket: Socket;
  readonly #handOver: HandOver;
  /** The exchange whose body is arriving, whose handler is at work or whose response is leaving. */
  #exchange: PlainExchange | undefined;
  /** A head that is not complete. */
  #begun: Buffer | undefined;
  #headReads = 0;
  #bodyBytesLeft = 0;
  /** What came behind the request at work. */
  #surplus: Buffer | undefined;
  #requests = 0;
  /** Since when the connection waits for a head. */
  #waitsSince: number;
  /** Since when nothing is answered any more. */
  #closingSince: number | undefined;

  constructor(core: FrontCore<Route>, socket: Socket, handOver: HandOver) {
    this.#core = core;
    this.#socket = socket;
    this.#handOver = handOver;
    this.#waitsSince = core.context.now();
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.on('drain', this.#onDrain);
    socket.on('error', ignore);
  }

  readonly #onData = (piece: Buffer): void => {
    if (this.#closingSince !== undefined) return;
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.#read(this.#begun === undefined ? piece : Buffer.concat([this.#begun, piece]));
    } else if (exchange.upload !== undefined) this.#takeBody(exchange, piece);
    else if (!exchange.closes) this.#keepSurplus(piece);
  };

  readonly #onEnd = (): void => {
    const exchange = this.#exchange;
    if (this.#begun !== undefined || exchange?.upload !== undefined) {
      this.#socket.destroy();
      return;
    }
    // Like Node, we take a client that closes its side for one that has left.
    if (exchange?.ended === false) exchange.abort('client-gone');
    this.#socket.end();
  };

  readonly #onClose = (): void => {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    exchange.close();
    exchange.abort('client-gone');
    exchange.upload?.fail('gone');
    this.#core.closed(exchange);
  };

  readonly #onDrain = (): void => this.#exchange?.drained();

  readonly #onEnded = (): void => {
    const socket = this.#socket;
    if (!socket.writable) return;
    if (socket.writableLength === 0) this.#finish();
    else socket.write('', 'latin1', this.#onFlushed);
  };

  readonly #onFlushed = (error?: Error | null): void => {
    if (error === undefined || error === null) this.#finish();
  };

  #read(bytes: Buffer): void {
    const { rules, limits, context } = this.#core;
    const end = bytes.indexOf(emptyLine);
    if (end < 0) {
      this.#waitForHead(bytes);
      return;
    }
    const bodyAt = end + emptyLine.length;
    const head =
      bodyAt <= limits.headerBytesMax && !context.isStopping()
        ? readPlainHead(bytes.toString('latin1', 0, end), rules)
        : undefined;
    if (head === undefined || !this.#serve(head, bytes, bodyAt)) this.#leave(bytes, false);
  }

  /** Keeps what has come of a head, as long as it can become a plain one. */
  #waitForHead(bytes: Buffer): void {
    const { rules, limits, context } = this.#core;
    this.#headReads += 1;
    if (
      bytes.length > limits.headerBytesMax ||
      this.#headReads > headReadsMax ||
      !mayBecomePlain(bytes.toString('latin1'), rules)
    ) {
      this.#leave(bytes, false);
      return;
    }
    if (this.#begun === undefined && this.#requests > 0) this.#waitsSince = context.now();
    this.#begun = bytes;
  }

  /** False when no route of ours is meant, its body has no room, or something follows it already. */
  #serve(head: PlainHead, bytes: Buffer, bodyAt: number): boolean {
    const core = this.#core;
    const { contentLength } = head;
    const queryAt = head.target.indexOf('?');
    const path = queryAt < 0 ? head.target : head.target.slice(0, queryAt);
    if (core.mounted(path, (name) => headerValue(head.headers, name)) !== undefined) return false;
    const match = core.match(head.method, path);
    if (match.kind !== 'found') return false;
    const { route, parameters } = match;
    if (contentLength > Math.min(core.bodyBytesMax(route), core.held.free)) return false;
    const bodyEnd = bodyAt + contentLength;
    if (bytes.length > bodyEnd) return false;
    this.#begun = undefined;
    this.#headReads = 0;
    this.#requests += 1;
    const exchange = new PlainExchange(head, this.#socket, {
      requestId: core.settings.newRequestId(),
      context: core.context,
      closes: this.#requests >= core.limits.requestsPerConnectionMax,
      onEnded: this.#onEnded,
    });
    exchange.pathParameters = parameters;
    this.#exchange = exchange;
    core.live.add(exchange);
    core.allowOrigin(exchange);
    if (bytes.length < bodyEnd) {
      this.#bodyBytesLeft = contentLength;
      core.upload(exchange, route, (outcome) => core.received(exchange, route, outcome));
      if (bytes.length > bodyAt) this.#takeBody(exchange, bytes.subarray(bodyAt));
      return true;
    }
    if (contentLength > 0) {
      core.held.take(contentLength);
      exchange.heldBytes = contentLength;
      exchange.body = bytes.subarray(bodyAt, bodyEnd);
    }
    void core.handle(exchange, route);
    return true;
  }

  #takeBody(exchange: PlainExchange, piece: Buffer): void {
    const { upload } = exchange;
    const own =
      piece.length <= this.#bodyBytesLeft ? piece : piece.subarray(0, this.#bodyBytesLeft);
    this.#bodyBytesLeft -= own.length;
    if (own.length < piece.length) this.#keepSurplus(piece.subarray(own.length));
    upload?.take(own);
    if (this.#bodyBytesLeft === 0) upload?.complete();
  }

  /** Nothing may come before the answer; what does is judged by `node:http`, once that has left. */
  #keepSurplus(piece: Buffer): void {
    const surplus = this.#surplus === undefined ? piece : Buffer.concat([this.#surplus, piece]);
    this.#surplus = surplus;
    if (surplus.length > this.#core.limits.headerBytesMax) this.#socket.pause();
  }

  /** The response has left. */
  #finish(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    exchange.close();
    this.#core.closed(exchange);
    const surplus = this.#surplus;
    this.#surplus = undefined;
    this.#waitsSince = this.#core.context.now();
    if (exchange.closes || this.#core.stopping) this.#close();
    else if (surplus !== undefined) this.#leave(surplus, true);
  }

  /**
   * Closes in the order of RFC 9112, 9.6: our side first, the rest when the client has closed too
   * or has had time for it. Closing both at once would reset what the client is sending, and with
   * it an answer that the client has not read.
   */
  #close(): void {
    this.#closingSince = this.#core.context.now();
    this.#begun = undefined;
    this.#socket.resume();
    this.#socket.end();
  }

  #leave(bytes: Buffer, early: boolean): void {
    const socket = this.#socket;
    this.#begun = undefined;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
    socket.off('drain', this.#onDrain);
    socket.off('error', ignore);
    this.#handOver(socket, bytes, early);
  }

  /** No more requests; one that is under way is answered. */
  stop(): void {
    if (this.#exchange === undefined && this.#closingSince === undefined) this.#close();
  }

  /** Called about twice a second: ends what waits for too long. */
  sweep(now: number): void {
    const { headersTimeoutMs, keepAliveTimeoutMs, lingerMs } = this.#core.limits;
    if (this.#closingSince !== undefined) {
      if (now - this.#closingSince >= lingerMs) this.#socket.destroy();
      return;
    }
    if (this.#exchange !== undefined) return;
    const waits = now - this.#waitsSince;
    if (this.#begun !== undefined || this.#requests === 0) {
      if (waits < headersTimeoutMs) return;
      this.#closingSince = now;
      this.#begun = undefined;
      this.#core.endRaw(this.#socket, slowHead());
    } else if (waits >= keepAliveTimeoutMs + keepAliveGraceMs) this.#close();
  }
}

function ignore(): void {
  // What follows an error is 'close', and that is handled.
}
