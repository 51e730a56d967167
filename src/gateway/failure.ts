/** What a failed attempt means: for routing (try another?), and for the client (which error?). */

import {
  gatewayError,
  GatewayFailure,
  type GatewayError,
  type UpstreamErrorKind,
} from '#canonical';
import type { Failure, FailureKind, GiveUp } from '#routing';
import { StoreUnavailableError } from '#store';
import type { Route } from './target.ts';

/** An attempt that gave the client nothing. */
export type AttemptFailure = {
  readonly error: GatewayError;
  /** `unsuitable` names the rule by which another model may be asked, where the client allows it. */
  readonly failure: Failure & { readonly unsuitable?: 'context-length' | 'content-filter' };
};

const failureKinds: { readonly [kind in UpstreamErrorKind]: FailureKind } = {
  request: 'status-4xx-request',
  'context-length': 'status-4xx-request',
  'content-filter': 'status-4xx-request',
  credential: 'auth',
  'quota-exhausted': 'quota',
  'rate-limited': 'rate-limited',
  overloaded: 'overloaded',
  'model-missing': 'unsuitable',
  server: 'server-error',
};

export function failureOf(error: GatewayError, retryAfterMs?: number): AttemptFailure['failure'] {
  const said = error.upstream?.kind;
  const kind = said ? failureKinds[said] : byCode(error);
  const after = error.retryAfterMs ?? retryAfterMs;
  return {
    kind,
    ...(after === undefined ? {} : { retryAfterMs: after }),
    ...(said === 'context-length' || said === 'content-filter' ? { unsuitable: said } : {}),
  };
}

function byCode(error: GatewayError): FailureKind {
  switch (error.code) {
    case 'upstream_cut':
      return 'cut';
    case 'upstream_empty':
      return 'empty';
    case 'upstream_timeout':
      return 'timeout-content';
    case 'upstream_invalid':
      return 'invalid-response';
    case 'upstream_failed':
      return 'server-error';
    default:
      return 'status-4xx-request';
  }
}

/** What the client is told of whatever was thrown; a bug's own words stay in the log. */
export function clientError(thrown: unknown): GatewayError {
  return thrown instanceof GatewayFailure
    ? thrown.error
    : gatewayError('internal_error', 'Something went wrong inside the gateway.');
}

/** Shorter ones are no secrets, and might stand in any text. */
const secretLengthMin = 8;

/**
 * What a vendor says without the channel's key: some repeat the head of the request in an error, and no pattern knows
 * how the keys of all vendors look.
 */
export function withoutSecret(text: string, { offer }: Route): string {
  const { secret } = offer.channel;
  return secret.length < secretLengthMin ? text : text.replaceAll(secret, '[hidden]');
}

/** The same for what was found inside an answer. */
export function errorWithoutSecret(error: GatewayError, route: Route): GatewayError {
  const hide = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : withoutSecret(text, route);
  const { upstream } = error;
  return {
    ...error,
    message: withoutSecret(error.message, route),
    path: hide(error.path),
    upstream: upstream && {
      ...upstream,
      code: hide(upstream.code),
      message: hide(upstream.message),
    },
  };
}

/** The error the client gets when routing has given up. The last upstream's own words where they help. */
export function giveUpError(step: GiveUp, last: GatewayError | undefined): GatewayError {
  const retryAfterMs = step.retryAfterMs ?? last?.retryAfterMs;
  switch (step.reason) {
    case 'no-capacity':
      return gatewayError(
        'capacity_exhausted',
        'All channels for this model are at their limits.',
        { retryAfterMs: retryAfterMs ?? 1_000 },
      );
    case 'deadline':
      return last ?? gatewayError('upstream_timeout', 'No upstream answered in time.');
    case 'client-gone':
      return gatewayError('client_closed_request', 'The client closed the connection.');
    case 'request-fault':
    case 'committed':
    case 'exhausted':
    case 'retry-budget':
    case 'no-candidate':
      if (last) return clientVersion(last, retryAfterMs);
      return gatewayError(
        'no_channel',
        'No channel can serve this model now.',
        retryAfterMs === undefined ? {} : { retryAfterMs },
      );
  }
}

/** A 429 of all upstreams is a 429 of ours; faults of our own credentials are not the client's. */
function clientVersion(error: GatewayError, retryAfterMs: number | undefined): GatewayError {
  switch (error.upstream?.kind) {
    case 'rate-limited':
      return gatewayError('capacity_exhausted', 'The upstream is at its rate limit.', {
        retryAfterMs: retryAfterMs ?? 1_000,
        upstream: error.upstream,
      });
    case 'credential':
    case 'quota-exhausted':
      return gatewayError(
        'upstream_credential',
        'The channel cannot be used with its credential or balance. The operator has been told.',
        { upstream: error.upstream },
      );
    default:
      return error;
  }
}

/** A database that cannot be used is no fault of ours: the client may ask again. Other errors come back unchanged. */
export function storageFailure(error: unknown): unknown {
  if (!(error instanceof StoreUnavailableError)) return error;
  return new GatewayFailure(
    gatewayError('storage_unavailable', 'The database cannot be used now.', {
      retryAfterMs: 5_000,
    }),
    error,
  );
}
