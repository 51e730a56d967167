import type { CorsSettings } from './settings.ts';

/** Response headers that a page of another origin may read. */
const exposedHeaders = [
  'x-request-id',
  'x-client-request-id',
  'retry-after',
  'retry-after-ms',
  'x-manifold-losses',
  'x-manifold-receipt',
  'x-manifold-cost-usd',
  'x-manifold-max-tokens',
  'x-manifold-channel',
  'x-manifold-attempts',
  'x-manifold-replayed',
  'x-should-retry',
  'x-ratelimit-limit-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-requests',
  'x-ratelimit-reset-tokens',
].join(', ');

/** Header names that a preflight may ask for: tokens separated by commas. */
const headerListPattern = /^[A-Za-z0-9-]+(?: *, *[A-Za-z0-9-]+){0,63}$/;

/** Flat header pairs for a response to `origin`; none when the origin is not allowed. */
export function corsHeaders(
  settings: CorsSettings | undefined,
  origin: string | undefined,
): readonly string[] {
  if (settings === undefined || origin === undefined) return [];
  const { origins } = settings;
  if (origins === '*') {
    return ['access-control-allow-origin', '*', 'access-control-expose-headers', exposedHeaders];
  }
  if (!origins.includes(origin)) return ['vary', 'origin'];
  return [
    'access-control-allow-origin',
    origin,
    'vary',
    'origin',
    'access-control-expose-headers',
    exposedHeaders,
  ];
}

/** Flat header pairs that answer a preflight (Fetch standard, 3.2.2), besides `corsHeaders`. */
export function preflightHeaders(
  settings: CorsSettings | undefined,
  allow: string,
  requestedHeaders: string | undefined,
): readonly string[] {
  if (settings === undefined) return [];
  const headers = ['access-control-allow-methods', allow];
  headers.push('access-control-max-age', String(settings.maxAgeSeconds ?? 600));
  if (requestedHeaders !== undefined && headerListPattern.test(requestedHeaders)) {
    headers.push('access-control-allow-headers', requestedHeaders);
  }
  return headers;
}
