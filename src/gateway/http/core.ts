/** What the two ways of speaking HTTP share: routes, limits, the handlers and their failures. */

import type { RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import { gatewayError, GatewayFailure, type GatewayError } from '#canonical';
import type { Clock } from '#std';
import { BodyUpload, createHeldBytes, type BodyOutcome, type HeldBytes } from './body.ts';
import { corsHeaders } from './cors.ts';
import type { BaseExchange, Exchange, ExchangeContext, ResponseHeaders } from './exchange.ts';
import { createRouteTable, type RouteMatch, type RoutePlace, type RouteTable } from './routes.ts';
import { resolveHttpLimits, type HttpLimits, type ListenerSettings } from './settings.ts';
import type { VetRules } from './vet.ts';

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

/** The value of a header, by its name in lower case. */
export type HeaderReader = (name: string) => string | undefined;

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
  /** What a handler threw, as the GatewayFailure that it means, or as it is. */
  readonly failureOf?: (thrown: unknown) => unknown;
  /** Told of every failure of a handler that is no GatewayFailure, for the log. */
  readonly onFault: (error: unknown, exchange: Exchange) => void;
  /**
   * Other programs on the same port (console, control plane). Asked after the request was found
   * clean and before the routes; they read the body themselves.
   */
  readonly mount?: (path: string, header: HeaderReader) => RequestListener | undefined;
  /** Told when the grace of a stop is over: handlers whose clients have left must end as well. */
  readonly onTimeUp?: () => void;
  /** Leaves every connection to `node:http`, to compare with; by default it gets what is not plain. */
  readonly nodeOnly?: boolean;
};

/** The part of a front that does not depend on who speaks HTTP with the client. */
export class FrontCore<Route extends HttpRoute> {
  readonly settings: HttpFrontSettings<Route>;
  readonly limits: HttpLimits;
  readonly held: HeldBytes;
  readonly rules: VetRules;
  readonly context: ExchangeContext;
  readonly live = new Set<BaseExchange>();
  stopping = false;
  /** Handlers at work, also for clients that have left. */
  #handlers = 0;
  #idle: PromiseWithResolvers<void> | undefined;
  readonly #table: RouteTable<Route>;

  constructor(settings: HttpFrontSettings<Route>) {
    this.settings = settings;
    this.limits = resolveHttpLimits(settings.limits);
    this.#table = createRouteTable(settings.routes);
    this.held = createHeldBytes(this.limits.heldBytesMax);
    const { allowedHosts } = settings.listener;
    this.rules = {
      headersMax: this.limits.headersMax,
      allowedHosts: allowedHosts && new Set(allowedHosts.map((host) => host.toLowerCase())),
    };
    this.context = {
      limits: this.limits,
      held: this.held,
      now: () => settings.clock.monotonic(),
      date: createDate(settings.clock),
      isStopping: () => this.stopping,
    };
  }

  match(method: string, path: string): RouteMatch<Route> {
    return this.#table.match(method, path);
  }

  mounted(path: string, header: HeaderReader): RequestListener | undefined {
    return this.settings.mount?.(path, header);
  }

  bodyBytesMax(route: Route): number {
    return route.bodyBytesMax ?? this.limits.bodyBytesMax;
  }

  /** Sets what lets pages of other origins read the response. */
  allowOrigin(exchange: BaseExchange): void {
    const { cors } = this.settings.listener;
    if (cors !== undefined) exchange.extraHeaders = corsHeaders(cors, exchange.header('origin'));
  }

  /** The response is over, delivered or not. */
  closed(exchange: BaseExchange): void {
    this.live.delete(exchange);
    this.#release(exchange);
  }

  /** Gives the held bytes back once neither the response nor the handler needs the body. */
  #release(exchange: BaseExchange): void {
    if (exchange.handling || !exchange.closed) return;
    exchange.releaseBody();
  }

  /** A body to be received, after which `done` goes on. */
  upload(exchange: BaseExchange, route: Route, done: (outcome: BodyOutcome) => void): BodyUpload {
    const upload = new BodyUpload(
      this.bodyBytesMax(route),
      this.held,
      exchange.receivedAtMs,
      (outcome) => {
        exchange.upload = undefined;
        done(outcome);
      },
    );
    exchange.upload = upload;
    return upload;
  }

  received(exchange: BaseExchange, route: Route, outcome: BodyOutcome): void {
    const { failure, takenBytes, body } = outcome;
    if (failure !== undefined || exchange.closed) {
      this.held.give(takenBytes);
      if (failure !== undefined && failure !== 'gone') this.refuse(exchange, route, failure);
      else if (!exchange.closed) exchange.destroy();
      return;
    }
    exchange.heldBytes = takenBytes;
    exchange.body = body;
    void this.handle(exchange, route);
  }

  /** Resolves when no handler is at work. Asked when no connection is left to bring another. */
  idle(): Promise<void> {
    if (this.#handlers === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  async handle(exchange: BaseExchange, route: Route): Promise<void> {
    exchange.handling = true;
    this.#handlers += 1;
    try {
      await route.handle(exchange);
      if (!exchange.responded && !exchange.destroyed) throw new Error('the handler gave no answer');
    } catch (error) {
      this.#fail(exchange, route, error);
    } finally {
      exchange.handling = false;
      this.#release(exchange);
      this.#handlers -= 1;
      if (this.#handlers === 0) this.#idle?.resolve();
    }
  }

  #fail(exchange: BaseExchange, route: Route, thrown: unknown): void {
    const error = this.settings.failureOf?.(thrown) ?? thrown;
    if (!(error instanceof GatewayFailure)) this.settings.onFault(error, exchange);
    if (exchange.destroyed) return;
    if (exchange.responded) {
      if (!exchange.ended) exchange.destroy();
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
    { path, requestId }: Pick<BaseExchange, 'path' | 'requestId'>,
  ): RenderedError {
    const rendered = this.settings.renderError(route, error, path, requestId);
    if (error.retryAfterMs === undefined) return rendered;
    const seconds = String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000)));
    return { ...rendered, headers: { 'retry-after': seconds, ...rendered.headers } };
  }

  /** Answers with an error and closes the connection, unless the request was merely misplaced. */
  refuse(
    exchange: BaseExchange,
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

  /** Answers on the bare socket, where no answer is under way. */
  endRaw(socket: Duplex, error: GatewayError): void {
    const requestId = this.settings.newRequestId();
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
    setTimeout(() => socket.destroy(), Math.min(500, this.limits.lingerMs)).unref();
  }
}

/** The value of the Date field, made once a second. */
function createDate(clock: Clock): () => string {
  let second = NaN;
  let text = '';
  return () => {
    const now = Math.floor(clock.now() / 1_000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1_000).toUTCString();
    }
    return text;
  };
}

function isWithoutBody(exchange: BaseExchange): boolean {
  const length = exchange.header('content-length');
  return (
    exchange.header('transfer-encoding') === undefined && (length === undefined || length === '0')
  );
}

/** The head did not come in time. */
export function slowHead(): GatewayError {
  return gatewayError('request_timeout', 'the request head arrives too slowly');
}

/** Nothing new is begun. */
export function stopping(): GatewayError {
  return gatewayError('shutting_down', 'the server is stopping', { retryAfterMs: 1_000 });
}
