/** The connections that `node:http` serves: all that is not plain, and the programs mounted beside us. */

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { gatewayError, type GatewayError } from '#canonical';
import { decompressBody, vetBodyHead } from './body.ts';
import { slowHead, stopping, type FrontCore, type HttpRoute } from './core.ts';
import { preflightHeaders } from './cors.ts';
import { NodeExchange } from './node-exchange.ts';
import { peerAddressHeader } from './settings.ts';
import { vetRequest } from './vet.ts';

// Imported as a module, node:http would load Node's own fetch and WebSocket too: 13 MB, 35 ms.
const { createServer } = process.getBuiltinModule('node:http');

/** Serves connections with `node:http`; its server is also the one that listens. */
export class NodeConnections<Route extends HttpRoute> {
  readonly server: Server;
  readonly #core: FrontCore<Route>;
  readonly #serve: (socket: Socket) => void;
  /** The exchange that each connection is busy with. */
  readonly #busy = new WeakMap<Duplex, NodeExchange>();
  /** Connections whose next bytes came before their last answer had left. */
  readonly #early = new Set<Duplex>();

  constructor(core: FrontCore<Route>) {
    this.#core = core;
    this.server = this.#createServer();
    const [listener] = this.server.listeners('connection');
    if (listener === undefined) throw new Error('node:http serves connections in a new way');
    // Who gets a connection is decided before; what node:http accepts must not reach it unasked.
    this.server.removeAllListeners('connection');
    this.#serve = listener.bind(this.server) as (socket: Socket) => void;
  }

  /** Serves a connection from its beginning. */
  begin(socket: Socket): void {
    this.#serve(socket);
  }

  /**
   * Serves a connection from the bytes on that were read of it already. They are `early` when they
   * came before the last answer had left.
   */
  take(socket: Socket, bytes: Uint8Array, early: boolean): void {
    socket.pause();
    socket.unshift(bytes);
    this.#serve(socket);
    // Makes the stream give the bytes to the parser in the next tick, ahead of the one below.
    socket.resume();
    if (!early) return;
    this.#early.add(socket);
    process.nextTick(() => this.#early.delete(socket));
  }

  isBusy(socket: Socket): boolean {
    return this.#busy.has(socket);
  }

  #createServer(): Server {
    const { limits } = this.#core;
    const server = createServer({
      noDelay: true,
      insecureHTTPParser: false,
      // The vetting of the head asks for it, and answers in the form of the route.
      requireHostHeader: false,
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      // Uploads have their own clock, which knows how many bytes have come.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(2_000, limits.headersTimeoutMs),
    });
    // One more than allowed, because Node drops the surplus silently and it must be refused.
    server.maxHeadersCount = limits.headersMax + 1;
    server.maxRequestsPerSocket = limits.requestsPerConnectionMax;
    server.maxConnections = limits.connectionsMax;
    // In a worker the surplus would be dealt out again, without end. Node's types do not know it yet.
    Object.assign(server, { dropMaxConnection: true });
    server.on('request', (request, response) => this.#accept(request, response, false));
    server.on('checkContinue', (request, response) => this.#accept(request, response, true));
    server.on('checkExpectation', (request, response) => {
      const error = gatewayError('malformed_http', 'unknown Expect', { status: 417 });
      this.#core.refuse(this.#open(request, response), undefined, error);
    });
    // Node types it as any duplex; a server without TLS hands out sockets.
    server.on('clientError', (error, socket) => this.#answerUnparsable(error, socket as Socket));
    server.on('connect', (_request, socket) => {
      const error = gatewayError('method_not_allowed', 'CONNECT is not served here');
      this.#core.endRaw(socket, error);
    });
    return server;
  }

  #open(request: IncomingMessage, response: ServerResponse): NodeExchange {
    const { settings, context, live } = this.#core;
    const exchange = new NodeExchange(request, response, settings.newRequestId(), context);
    live.add(exchange);
    response.once('close', () => {
      if (!response.writableFinished) exchange.abort('client-gone');
      this.#core.closed(exchange);
    });
    return exchange;
  }

  #accept(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    if (this.#core.settings.listener.path !== undefined) nameClient(request);
    const exchange = this.#open(request, response);
    const { socket } = request;
    const previous = this.#busy.get(socket);
    this.#busy.set(socket, exchange);
    const isEarly =
      previous === undefined ? this.#early.has(socket) : !previous.response.writableFinished;
    const fault =
      vetRequest(request, exchange.headers, this.#core.rules) ??
      (isEarly ? pipelined() : undefined) ??
      (this.#core.stopping ? stopping() : undefined);
    if (fault !== undefined) {
      this.#core.refuse(exchange, undefined, fault);
      return;
    }
    const mounted = this.#core.mounted(exchange.path, (name) => exchange.header(name));
    if (mounted !== undefined) {
      this.#mount(exchange, mounted, expectsContinue);
      return;
    }
    this.#core.allowOrigin(exchange);
    this.#route(exchange, expectsContinue);
  }

  /** Hands a clean request to another program, which reads the body under its own bound. */
  #mount(exchange: NodeExchange, mounted: RequestListener, expectsContinue: boolean): void {
    const { request, response } = exchange;
    const { bodyBytesMax } = this.#core.limits;
    if (Number(exchange.header('content-length') ?? 0) > bodyBytesMax) {
      const message = `the request body exceeds ${bodyBytesMax} bytes`;
      this.#core.refuse(exchange, undefined, gatewayError('body_too_large', message));
      return;
    }
    exchange.mounted = true;
    if (expectsContinue) response.writeContinue();
    mounted(request, response);
  }

  #route(exchange: NodeExchange, expectsContinue: boolean): void {
    const { method, path } = exchange;
    const match = this.#core.match(method, path);
    if (match.kind === 'unknown') {
      const error = gatewayError('not_found', `there is nothing at ${method} ${path}`);
      this.#core.refuse(exchange, undefined, error);
    } else if (match.kind === 'malformed') {
      const error = gatewayError('malformed_http', 'the path cannot be decoded');
      this.#core.refuse(exchange, undefined, error);
    } else if (match.kind === 'found') {
      exchange.pathParameters = match.parameters;
      this.#receive(exchange, match.route, expectsContinue);
    } else if (method === 'OPTIONS') {
      const requested = exchange.header('access-control-request-headers');
      const preflight = preflightHeaders(this.#core.settings.listener.cors, match.allow, requested);
      exchange.extraHeaders = [...exchange.extraHeaders, ...preflight];
      exchange.respond(204, { allow: match.allow }, '');
    } else {
      const error = gatewayError(
        'method_not_allowed',
        `${path} answers ${match.allow}, not ${method}`,
      );
      this.#core.refuse(exchange, match.route, error, { allow: match.allow });
    }
  }

  #receive(exchange: NodeExchange, route: Route, expectsContinue: boolean): void {
    const length = exchange.header('content-length');
    const chunked = exchange.header('transfer-encoding') !== undefined;
    if (!chunked && (length === undefined || length === '0')) {
      void this.#core.handle(exchange, route);
      return;
    }
    const { held, limits } = this.#core;
    const bytesMax = this.#core.bodyBytesMax(route);
    const encoding = bodyEncoding(exchange.header('content-encoding'));
    const head = { contentLength: length === undefined ? undefined : Number(length), encoding };
    const fault = vetBodyHead(head, bytesMax, held);
    if (fault !== undefined) {
      this.#core.refuse(exchange, route, fault);
      return;
    }
    if (expectsContinue) exchange.response.writeContinue();
    const upload = this.#core.upload(exchange, route, (outcome) => {
      if (encoding === undefined || outcome.failure !== undefined)
        this.#core.received(exchange, route, outcome);
      else {
        void decompressBody(outcome, encoding, bytesMax, limits, held).then((plain) =>
          this.#core.received(exchange, route, plain),
        );
      }
    });
    upload.readFrom(exchange.request);
  }

  #answerUnparsable(error: Error & { code?: string }, socket: Socket): void {
    // The last: the peer has closed in the middle of its request.
    if (error.code === 'ECONNRESET' || error.code === 'HPE_INVALID_EOF_STATE' || !socket.writable) {
      socket.destroy();
      return;
    }
    const exchange = this.#busy.get(socket);
    const told = parserError(error.code);
    if (exchange === undefined && this.#early.has(socket)) socket.destroySoon();
    else if (exchange === undefined || exchange.response.writableFinished)
      this.#core.endRaw(socket, told);
    else if (exchange.upload !== undefined) exchange.upload.fail(told);
    else if (!exchange.endLinger()) socket.destroySoon();
  }
}

/** The connection carries this one request, so the client's address may be the connection's. */
function nameClient({ socket, headers }: IncomingMessage): void {
  const value = headers[peerAddressHeader];
  Object.defineProperty(socket, 'remoteAddress', { value, configurable: true });
}

function pipelined(): GatewayError {
  return gatewayError('malformed_http', 'a request was sent before the previous one was answered');
}

function bodyEncoding(value: string | undefined): string | undefined {
  const encoding = value?.trim().toLowerCase();
  return encoding === '' || encoding === 'identity' ? undefined : encoding;
}

function parserError(code: string | undefined): GatewayError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return gatewayError('malformed_http', 'the request head is too large', { status: 431 });
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return slowHead();
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW')
    return gatewayError('body_too_large', 'chunk extensions are too large');
  return gatewayError('malformed_http', 'the request is not well-formed HTTP/1.1');
}
