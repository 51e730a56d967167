/** Step 2: who is asking, and may they ask now. */

import {
  clientAddress,
  keyFromRequest,
  type Principal,
  type RateHeaders,
  type RateVerdict,
} from '#access';
import { fail, gatewayError, GatewayFailure } from '#canonical';
import type { Exchange } from './http/index.ts';
import type { Services } from './services.ts';
import type { Target } from './target.ts';
import type { Trail } from './trail.ts';

const remedies = {
  missing:
    'No API key was given. Send `Authorization: Bearer sk-…` (or `x-api-key`, `x-goog-api-key`).',
  malformed: 'This is not an API key of this gateway. Keys begin with `sk-mf-`.',
  unknown: 'The API key is not known here. Create one with `manifold key create`.',
  revoked: 'The API key was revoked.',
  expired: 'The API key has expired. The balance has not; create a new key.',
  address: 'The API key may not be used from this address.',
} as const;

export async function authenticate(services: Services, exchange: Exchange): Promise<Principal> {
  const key = keyFromRequest(
    (name) => exchange.header(name),
    (name) => exchange.query.get(name),
  );
  const found = await services.access.authenticate(
    key,
    clientAddress(
      exchange.remoteAddress,
      exchange.header('x-forwarded-for'),
      services.settings.isTrustedProxy,
    ),
  );
  if (!('reason' in found)) return found;
  return fail(
    found.reason === 'address' ? 'permission_denied' : 'invalid_api_key',
    remedies[found.reason],
  );
}

/** Gives the place back, told what was used. */
export type Release = (tokensUsed?: number) => void;

/** Takes the request's place in the key's own limits. The result gives it back, told what was used. */
export async function admit(
  services: Services,
  principal: Principal,
  target: Target,
  trail: Trail,
): Promise<Release> {
  const verdict = await services.rateLimiter.admit(
    principal.keyId,
    principal.limits,
    target.inputTokens,
  );
  trail.rateHeaders = verdict.headers;
  if (verdict.ok) return verdict.release;
  throw refusal(verdict);
}

/** What costs nothing is work all the same: it counts as a request of its key, and takes no tokens. */
export async function asFreeRequest(
  services: Services,
  exchange: Exchange,
  work: (principal: Principal, headers: RateHeaders) => Promise<void>,
): Promise<void> {
  const principal = await authenticate(services, exchange);
  const verdict = await services.rateLimiter.admit(principal.keyId, principal.limits, 0);
  if (!verdict.ok) throw refusal(verdict);
  try {
    await work(principal, verdict.headers);
  } finally {
    verdict.release();
  }
}

/** So many may be asked for in a minute whatever the limit of requests: interfaces look before they ask. */
const readingsMin = 60;

/**
 * Who reads what is here (models, stored responses). A key with a limit of requests may read as often again, in a
 * count of its own: a client that looks at its models must not be left without the request it looks for, nor be
 * refused while its only request runs.
 */
export async function authenticateReading(
  services: Services,
  exchange: Exchange,
): Promise<Principal> {
  const principal = await authenticate(services, exchange);
  const limit = principal.limits.requests_per_minute;
  if (limit === undefined) return principal;
  const limits = { requests_per_minute: Math.max(limit, readingsMin) };
  const verdict = await services.rateLimiter.admit(`${principal.keyId} readings`, limits, 0);
  if (!verdict.ok) throw refusal(verdict, 'readings per minute', {});
  verdict.release();
  return principal;
}

const limitNames = {
  requests: 'requests per minute',
  tokens: 'tokens per minute',
  concurrency: 'requests at once',
} as const;

function refusal(
  verdict: Extract<RateVerdict, { ok: false }>,
  what: string = limitNames[verdict.reason],
  headers: RateHeaders = verdict.headers,
): GatewayFailure {
  return new GatewayFailure(
    gatewayError('rate_limited', `This key's limit of ${what} is reached.`, {
      retryAfterMs: Math.ceil(verdict.retryAfterMs),
      details: { limit: verdict.reason },
      headers,
    }),
  );
}
