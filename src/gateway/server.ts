/** The data plane as one object: listens, renders errors in the client's dialect, stops gracefully. */

import type { RequestListener } from 'node:http';
import { gatewayError, GatewayFailure, type GatewayError } from '#canonical';
import { anthropicMessages, geminiGenerate, openaiChat, type Dialect } from '#dialects';
import { StoreUnavailableError } from '#store';
import { storageFailure } from './failure.ts';
import {
  createHttpFront,
  type HttpFront,
  type HttpLimits,
  type ListenerSettings,
  type RenderedError,
} from './http/index.ts';
import { gatewayRoutes, type GatewayRoute } from './routes.ts';
import type { Services } from './services.ts';

export type Mounted = { readonly prefix: string; readonly listener: RequestListener };

export type GatewayOptions = {
  readonly services: Services;
  readonly listener: ListenerSettings;
  readonly limits: Partial<HttpLimits>;
  /** Other programs below prefixes of the same port: the control plane, the metrics. */
  readonly mounted?: readonly Mounted[];
  /** Takes requests that may be repeated while they run: all repeats have to meet in one process. */
  readonly repeatable?: RequestListener;
};

export function createGateway(options: GatewayOptions): HttpFront {
  const { services, listener, limits, mounted = [], repeatable } = options;
  const outage = new Outage(services);
  return createHttpFront<GatewayRoute>({
    listener,
    limits,
    routes: gatewayRoutes(services),
    mount: (path, header) =>
      mounted.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`))?.listener ??
      (repeatable && header('idempotency-key') !== undefined ? repeatable : undefined),
    clock: services.clock,
    newRequestId: () => services.newId('req'),
    renderError: (route, error, path, requestId) =>
      render(route?.dialect ?? dialectOfPath(path), error, requestId),
    failureOf: (thrown) => {
      const error = storageFailure(thrown);
      if (error instanceof GatewayFailure && error.cause instanceof StoreUnavailableError)
        outage.tell(error.cause);
      return error;
    },
    onTimeUp: () => {
      services.transcripts.stop();
      // Also what is awaited for its bill, whoever has left.
      void services.upstream.close();
    },
    onFault: (error, exchange) =>
      services.log('error', 'request.fault', {
        request_id: exchange.requestId,
        path: exchange.path,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  });
}

const outageMs = 10_000;

/** A database that cannot be used refuses every request; one line now and then is enough. */
class Outage {
  readonly #services: Pick<Services, 'clock' | 'log'>;
  #toldAtMs = -Infinity;

  constructor(services: Pick<Services, 'clock' | 'log'>) {
    this.#services = services;
  }

  tell(reason: StoreUnavailableError): void {
    const nowMs = this.#services.clock.monotonic();
    if (nowMs - this.#toldAtMs < outageMs) return;
    this.#toldAtMs = nowMs;
    this.#services.log('error', 'store.unavailable', { reason: reason.message });
  }
}

/** Which dialect a stranger to our routes probably speaks. */
function dialectOfPath(path: string): Dialect {
  if (path.startsWith('/v1beta') || /:[a-zA-Z]+$/.test(path)) return geminiGenerate;
  return path.startsWith('/v1/messages') ? anthropicMessages : openaiChat;
}

function render(dialect: Dialect, error: GatewayError, requestId: string): RenderedError {
  const { status, body } = dialect.error.encode(publicVersion(error), requestId);
  const headers: Record<string, string> = {
    'content-type': 'application/json; charset=utf-8',
    ...error.headers,
  };
  if (error.retryAfterMs !== undefined) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)));
    headers['retry-after-ms'] = String(Math.ceil(error.retryAfterMs));
  }
  // The SDKs retry 5xx and 429 on their own; a retry of what cannot get better only costs time.
  if (status < 500 && status !== 429 && status !== 408) headers['x-should-retry'] = 'false';
  return { status, headers, body: JSON.stringify(body) };
}

function publicVersion(error: GatewayError): GatewayError {
  return error.code === 'internal_error' ? gatewayError('internal_error', error.message) : error;
}
