import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { gatewayError, GatewayFailure, type GatewayError } from '#canonical';
import type { Clock } from '#std';
import {
  BodyUpload,
  createHeldBytes,
  decompressBody,
  vetBodyHead,
  type BodyOutcome,
} from './body.ts';
import { corsHeaders, preflightHeaders } from './cors.ts';
import { HttpExchange, type Exchange, type ResponseHeaders } from './exchange.ts';
import { createRouteTable, type RoutePlace } from './routes.ts';
import { resolveHttpLimits, type HttpLimits, type ListenerSettings } from './settings.ts';
import { readHeaders, vetRequest } from './vet.ts';

// Imported as a module, node:http would load Node's own fetch and WebSocket too: 13 MB, 35 ms.
const { createServer } = process.getBuiltinModule('node:http');

/** A place of the data plane and what answers there. */
export type HttpRoute = RoutePlace & {
  /** Other bound than the front's, for uploads. */
  readonly bodyBytesMax?: number;
  /** Answers the exchange. What it throws is answered as an error, or cuts a started stream. */
  handle(exchange: Exchange): Promise<void> | void;
};

/** An error in the form that the client's dialect asks for. */
export type RenderedError = {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly body: string | Uint8Array;
};

/** What a front needs. */
export type HttpFrontSettings<Route extends HttpRoute> = {
  readonly listener: ListenerSettings;
  readonly routes: readonly Route[];
  readonly limits?: Partial<HttpLimits>;
  readonly clock: Clock;
  readonly newRequestId: () => string;
  /** `route` is undefined before one is known; then `path` may give the dialect away. */
  readonly renderError: (
    route: Route | undefined,
    error: GatewayError,
    path: string,
    requestId: string,
  ) => RenderedError;
  /** Told of every failure of a handler that is no GatewayFailure, for the log. */
  readonly onFault: (error: unknown, exchange: Exchange) => void;
  /**
   * Other programs on the same port (console, control plane). Asked after the request was found
   * clean and before the routes; they read the body themselves.
   */
  readonly mount?: (path: string) => RequestListener | undefined;
};

export type HttpFrontStatus = {
  readonly connections: number;
  readonly exchanges: number;
  readonly heldBytes: number;
};

/** The HTTP server of the gateway. */
export type HttpFront = {
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /**
   * Stops accepting, closes idle connections and waits for running exchanges. After `graceMs`
   * their signals are aborted with 'shutting-down'; two seconds later the rest is cut.
   */
  close(graceMs?: number): Promise<void>;
  status(): HttpFrontStatus;
};

const sweepMs = 500;
const farewellMs = 2_000;

/** Creates the front; it serves after `listen`. Throws RangeError on bad settings. */
export function createHttpFront<Route extends HttpRoute>(
  settings: HttpFrontSettings<Route>,
): HttpFront {
  return new Front(settings);
}

class Front<Route extends HttpRoute> implements HttpFront {
  readonly #settings: HttpFrontSettings<Route>;
  readonly #limits: HttpLimits;
  readonly #table;
  readonly #held;
  readonly #server: Server;
  readonly #rules;
  readonly #live = new Set<HttpExchange>();
  /** The exchange that each connection is busy with. */
  readonly #busy = new WeakMap<Duplex, HttpExchange>();
  readonly #connectionsByAddress = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  #stopping = false;
  #sweeper: NodeJS.Timeout | undefined;
  readonly #context;

  constructor(settings: HttpFrontSettings<Route>) {
    this.#settings = settings;
    this.#limits = resolveHttpLimits(settings.limits);
    this.#table = createRouteTable(settings.routes);
    this.#held = createHeldBytes(this.#limits.heldBytesMax);
    const { allowedHosts } = settings.listener;
    this.#rules = {
      headersMax: this.#limits.headersMax,
      allowedHosts: allowedHosts && new Set(allowedHosts.map((host) => host.toLowerCase())),
    };
    this.#context = {
      limits: this.#limits,
      now: () => settings.clock.monotonic(),
      isStopping: () => this.#stopping,
    };
    this.#server = this.#createServer();
  }

  #createServer(): Server {
    const limits = this.#limits;
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
    server.on('request', (request, response) => this.#accept(request, response, false));
    server.on('checkContinue', (request, response) => this.#accept(request, response, true));
    server.on('checkExpectation', (request, response) => {
      const exchange = this.#open(request, response);
      this.#refuse(
        exchange,
        undefined,
        gatewayError('malformed_http', 'unknown Expect', { status: 417 }),
      );
    });
    server.on('connection', (socket) => this.#count(socket));
    // Node types it as any duplex; a server without TLS hands out sockets.
    server.on('clientError', (error, socket) => this.#answerUnparsable(error, socket as Socket));
    server.on('connect', (_request, socket) => {
      this.#endRaw(socket, gatewayError('method_not_allowed', 'CONNECT is not served here'));
    });
    return server;
  }

  listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port, reusePort = false } = this.#settings.listener;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, reusePort, backlog: 1_024 }, () => {
        this.#server.off('error', reject);
        this.#sweeper = setInterval(() => this.#sweep(), sweepMs);
        this.#sweeper.unref();
        const address = this.#server.address() as AddressInfo;
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  async close(graceMs = 60_000): Promise<void> {
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // Node counts a connection that has not asked anything yet as active.
    for (const socket of this.#sockets) if (!this.#busy.has(socket)) socket.destroy();
    const grace = setTimeout(() => {
      for (const exchange of this.#live) exchange.abort('shutting-down');
    }, graceMs);
    const farewell = setTimeout(() => this.#server.closeAllConnections(), graceMs + farewellMs);
    await closed;
    clearTimeout(grace);
    clearTimeout(farewell);
    clearInterval(this.#sweeper);
  }

  status(): HttpFrontStatus {
    return {
      connections: this.#sockets.size,
      exchanges: this.#live.size,
      heldBytes: this.#held.held,
    };
  }

  #sweep(): void {
    const now = this.#context.now();
    for (const exchange of this.#live) exchange.sweep(now);
    if (this.#stopping) this.#server.closeIdleConnections();
  }

  #count(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const open = (this.#connectionsByAddress.get(address) ?? 0) + 1;
    if (open > this.#limits.connectionsPerAddressMax && !isLoopback(address)) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#connectionsByAddress.set(address, open);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const rest = (this.#connectionsByAddress.get(address) ?? 1) - 1;
      if (rest === 0) this.#connectionsByAddress.delete(address);
      else this.#connectionsByAddress.set(address, rest);
    });
  }

  #open(request: IncomingMessage, response: ServerResponse): HttpExchange {
    const headers = readHeaders(request);
    const exchange = new HttpExchange(
      request,
      response,
      headers,
      this.#settings.newRequestId(),
      this.#context,
    );
    this.#live.add(exchange);
    response.once('close', () => {
      if (!response.writableFinished) exchange.abort('client-gone');
      this.#live.delete(exchange);
      this.#release(exchange);
    });
    return exchange;
  }

  /** Gives the held bytes back once neither the response nor the handler needs the body. */
  #release(exchange: HttpExchange): void {
    if (exchange.handling || !exchange.response.closed) return;
    this.#held.give(exchange.heldBytes);
    exchange.heldBytes = 0;
    exchange.body = new Uint8Array(0);
  }

  #accept(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const exchange = this.#open(request, response);
    const previous = this.#busy.get(request.socket);
    this.#busy.set(request.socket, exchange);
    const fault =
      vetRequest(request, exchange.headers, this.#rules) ??
      (previous === undefined || previous.response.writableFinished ? undefined : pipelined()) ??
      (this.#stopping ? gatewayError('shutting_down', 'the server is stopping') : undefined);
    if (fault !== undefined) {
      this.#refuse(exchange, undefined, fault);
      return;
    }
    const mounted = this.#settings.mount?.(exchange.path);
    if (mounted !== undefined) {
      this.#mount(exchange, mounted, expectsContinue);
      return;
    }
    const { cors } = this.#settings.listener;
    if (cors !== undefined) exchange.extraHeaders = corsHeaders(cors, exchange.header('origin'));
    this.#route(exchange, expectsContinue);
  }

  /** Hands a clean request to another program, which reads the body under its own bound. */
  #mount(exchange: HttpExchange, mounted: RequestListener, expectsContinue: boolean): void {
    const { request, response } = exchange;
    const { bodyBytesMax } = this.#limits;
    if (Number(exchange.header('content-length') ?? 0) > bodyBytesMax) {
      const message = `the request body exceeds ${bodyBytesMax} bytes`;
      this.#refuse(exchange, undefined, gatewayError('body_too_large', message));
      return;
    }
    exchange.mounted = true;
    if (expectsContinue) response.writeContinue();
    mounted(request, response);
  }

  #route(exchange: HttpExchange, expectsContinue: boolean): void {
    const { method, path } = exchange;
    const match = this.#table.match(method, path);
    if (match.kind === 'unknown') {
      this.#refuse(
        exchange,
        undefined,
        gatewayError('not_found', `there is nothing at ${method} ${path}`),
      );
    } else if (match.kind === 'malformed') {
      this.#refuse(
        exchange,
        undefined,
        gatewayError('malformed_http', 'the path cannot be decoded'),
      );
    } else if (match.kind === 'found') {
      exchange.pathParameters = match.parameters;
      this.#receive(exchange, match.route, expectsContinue);
    } else if (method === 'OPTIONS') {
      const requested = exchange.header('access-control-request-headers');
      const preflight = preflightHeaders(this.#settings.listener.cors, match.allow, requested);
      exchange.extraHeaders = [...exchange.extraHeaders, ...preflight];
      exchange.respond(204, { allow: match.allow }, '');
    } else {
      const error = gatewayError(
        'method_not_allowed',
        `${path} answers ${match.allow}, not ${method}`,
      );
      this.#refuse(exchange, match.route, error, { allow: match.allow });
    }
  }

  #receive(exchange: HttpExchange, route: Route, expectsContinue: boolean): void {
    const length = exchange.header('content-length');
    const chunked = exchange.header('transfer-encoding') !== undefined;
    if (!chunked && (length === undefined || length === '0')) {
      void this.#handle(exchange, route);
      return;
    }
    const bytesMax = route.bodyBytesMax ?? this.#limits.bodyBytesMax;
    const encoding = bodyEncoding(exchange.header('content-encoding'));
    const head = { contentLength: length === undefined ? undefined : Number(length), encoding };
    const fault = vetBodyHead(head, bytesMax, this.#held);
    if (fault !== undefined) {
      this.#refuse(exchange, route, fault);
      return;
    }
    if (expectsContinue) exchange.response.writeContinue();
    const { request } = exchange;
    exchange.upload = new BodyUpload(
      request,
      bytesMax,
      this.#held,
      exchange.receivedAtMs,
      (outcome) => {
        exchange.upload = undefined;
        if (encoding === undefined || outcome.failure !== undefined)
          this.#received(exchange, route, outcome);
        else {
          void decompressBody(outcome, encoding, bytesMax, this.#limits, this.#held).then((plain) =>
            this.#received(exchange, route, plain),
          );
        }
      },
    );
  }

  #received(exchange: HttpExchange, route: Route, outcome: BodyOutcome): void {
    const { failure, takenBytes, body } = outcome;
    if (failure !== undefined || exchange.response.closed) {
      this.#held.give(takenBytes);
      if (failure !== undefined && failure !== 'gone') this.#refuse(exchange, route, failure);
      else if (!exchange.response.closed) exchange.response.destroy();
      return;
    }
    exchange.heldBytes = takenBytes;
    exchange.body = body;
    void this.#handle(exchange, route);
  }

  async #handle(exchange: HttpExchange, route: Route): Promise<void> {
    exchange.handling = true;
    try {
      await route.handle(exchange);
      if (!exchange.responded && !exchange.response.destroyed)
        throw new Error('the handler gave no answer');
    } catch (error) {
      this.#fail(exchange, route, error);
    } finally {
      exchange.handling = false;
      this.#release(exchange);
    }
  }

  #fail(exchange: HttpExchange, route: Route, error: unknown): void {
    if (!(error instanceof GatewayFailure)) this.#settings.onFault(error, exchange);
    if (exchange.response.destroyed) return;
    if (exchange.responded) {
      if (!exchange.response.writableEnded) exchange.response.destroy();
      return;
    }
    const told =
      error instanceof GatewayFailure
        ? error.error
        : gatewayError('internal_error', 'internal error');
    const { status, headers, body } = this.#render(route, told, exchange);
    exchange.respond(status, headers, body);
  }

  #render(
    route: Route | undefined,
    error: GatewayError,
    { path, requestId }: Pick<HttpExchange, 'path' | 'requestId'>,
  ): RenderedError {
    const rendered = this.#settings.renderError(route, error, path, requestId);
    if (error.retryAfterMs === undefined) return rendered;
    const seconds = String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000)));
    return { ...rendered, headers: { 'retry-after': seconds, ...rendered.headers } };
  }

  /** Answers with an error and closes the connection, unless the request was merely misplaced. */
  #refuse(
    exchange: HttpExchange,
    route: Route | undefined,
    error: GatewayError,
    extra?: ResponseHeaders,
  ): void {
    const { status, headers, body } = this.#render(route, error, exchange);
    const all = extra === undefined ? headers : { ...headers, ...extra };
    const misplaced = error.code === 'not_found' || error.code === 'method_not_allowed';
    if (misplaced && isWithoutBody(exchange)) exchange.respond(status, all, body);
    else exchange.refuse(status, all, body);
  }

  #answerUnparsable(error: Error & { code?: string }, socket: Socket): void {
    // The last: the peer has closed in the middle of its request.
    if (error.code === 'ECONNRESET' || error.code === 'HPE_INVALID_EOF_STATE' || !socket.writable) {
      socket.destroy();
      return;
    }
    const exchange = this.#busy.get(socket);
    const told = parserError(error.code);
    if (exchange === undefined || exchange.response.writableFinished) this.#endRaw(socket, told);
    else if (exchange.upload !== undefined) exchange.upload.fail(told);
    else if (!exchange.endLinger()) socket.destroySoon();
  }

  /** Answers on the bare socket, where no answer is under way. */
  #endRaw(socket: Duplex, error: GatewayError): void {
    const requestId = this.#settings.newRequestId();
    const { status, headers, body } = this.#render(undefined, error, { path: '', requestId });
    const lines = [
      `HTTP/1.1 ${status} Refused`,
      'connection: close',
      `x-request-id: ${requestId}`,
      `content-length: ${Buffer.byteLength(body)}`,
    ];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    socket.end(body);
    // The peer may still be sending; closing at once would reset its view of the answer.
    setTimeout(() => socket.destroy(), Math.min(500, this.#limits.lingerMs)).unref();
  }
}

function pipelined(): GatewayError {
  return gatewayError('malformed_http', 'a request was sent before the previous one was answered');
}

function isWithoutBody(exchange: HttpExchange): boolean {
  const length = exchange.header('content-length');
  return (
    exchange.header('transfer-encoding') === undefined && (length === undefined || length === '0')
  );
}

function bodyEncoding(value: string | undefined): string | undefined {
  const encoding = value?.trim().toLowerCase();
  return encoding === '' || encoding === 'identity' ? undefined : encoding;
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function parserError(code: string | undefined): GatewayError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return gatewayError('malformed_http', 'the request head is too large', { status: 431 });
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return gatewayError('request_timeout', 'the request head arrives too slowly');
  }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW')
    return gatewayError('body_too_large', 'chunk extensions are too large');
  return gatewayError('malformed_http', 'the request is not well-formed HTTP/1.1');
}
