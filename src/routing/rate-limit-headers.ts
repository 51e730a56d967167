/**
 * Reads what a response says about rate limits. Pure and driven by data: a family describes a
 * format, a provider file chooses a family. Nothing here knows a vendor.
 *
 * Sources: OpenAI "Rate limits" guide (headers, Go durations), Anthropic "Rate limits" (RFC 3339),
 * Azure OpenAI quota guide (`retry-after-ms`), RFC 9110 §10.2.3 (`Retry-After`).
 */

import type { LimitName, LimitReading, RateLimitSnapshot } from './contract.ts';

/** How a `reset` header is written. */
export type ResetFormat =
  /** `6m0s`, `12ms`, `17.399999999s`. */
  | 'go-duration'
  | 'seconds'
  /** A point in time, RFC 3339. */
  | 'rfc3339'
  /** A point in time, milliseconds since the epoch. */
  | 'epoch-milliseconds';

export type LimitHeaders = {
  readonly name: LimitName;
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string | undefined;
};

export type RateLimitFamily = {
  readonly reset: ResetFormat;
  readonly limits: readonly LimitHeaders[];
};

function limitHeaders(name: LimitName, prefix: string, what: string): LimitHeaders {
  const part = (field: string): string =>
    what === '' ? `${prefix}-${field}` : `${prefix}-${field}-${what}`;
  return { name, limit: part('limit'), remaining: part('remaining'), reset: part('reset') };
}

function subjectFirst(name: LimitName, prefix: string, what: string): LimitHeaders {
  const part = (field: string): string => `${prefix}-${what}-${field}`;
  return { name, limit: part('limit'), remaining: part('remaining'), reset: part('reset') };
}

/** The formats met so far, named by what is written and not by who writes it. */
export const rateLimitFamilies = {
  /** `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, reset as a duration. */
  'x-ratelimit-duration': {
    reset: 'go-duration',
    limits: [
      limitHeaders('requests-per-minute', 'x-ratelimit', 'requests'),
      limitHeaders('tokens-per-minute', 'x-ratelimit', 'tokens'),
    ],
  },
  /** The same names, requests counted per day. */
  'x-ratelimit-duration-daily-requests': {
    reset: 'go-duration',
    limits: [
      limitHeaders('requests-per-day', 'x-ratelimit', 'requests'),
      limitHeaders('tokens-per-minute', 'x-ratelimit', 'tokens'),
    ],
  },
  /** The same names, reset in whole seconds. */
  'x-ratelimit-seconds': {
    reset: 'seconds',
    limits: [
      limitHeaders('requests-per-minute', 'x-ratelimit', 'requests'),
      limitHeaders('tokens-per-minute', 'x-ratelimit', 'tokens'),
    ],
  },
  /** `x-ratelimit-{limit,remaining}-{req-minute,tokens-minute}` without reset. */
  'x-ratelimit-named-window': {
    reset: 'seconds',
    limits: [
      limitHeaders('requests-per-minute', 'x-ratelimit', 'req-minute'),
      limitHeaders('tokens-per-minute', 'x-ratelimit', 'tokens-minute'),
    ],
  },
  /** `anthropic-ratelimit-{requests,input-tokens,output-tokens}-{limit,remaining,reset}`. The total
   * `tokens` line is left out: it repeats whichever of the two is tighter. */
  'anthropic-ratelimit': {
    reset: 'rfc3339',
    limits: [
      subjectFirst('requests-per-minute', 'anthropic-ratelimit', 'requests'),
      subjectFirst('input-tokens-per-minute', 'anthropic-ratelimit', 'input-tokens'),
      subjectFirst('output-tokens-per-minute', 'anthropic-ratelimit', 'output-tokens'),
    ],
  },
  /** One unnamed limit on requests, reset as epoch milliseconds. */
  'x-ratelimit-plain-epoch': {
    reset: 'epoch-milliseconds',
    limits: [limitHeaders('requests-per-minute', 'x-ratelimit', '')],
  },
  /** One unnamed limit on requests, reset in seconds. */
  'x-ratelimit-plain-seconds': {
    reset: 'seconds',
    limits: [limitHeaders('requests-per-minute', 'x-ratelimit', '')],
  },
  /** Nothing but `retry-after` and friends. */
  'retry-after-only': { reset: 'seconds', limits: [] },
} as const satisfies Record<string, RateLimitFamily>;

export type RateLimitFamilyName = keyof typeof rateLimitFamilies;

/** Case-insensitive access to response headers; absent is `undefined`. */
export type HeaderLookup = (lowerCaseName: string) => string | undefined;

const noReadings: readonly LimitReading[] = [];
const delayMaximumMs = 31 * 86_400_000;
/** A request limit that takes longer than this to refill is counted per day. */
const dailyWindowMs = 600_000;

/**
 * What the headers of one response say.
 *
 * @param family format by name or as data
 * @param lookup header access by lower-case name
 * @param nowMs wall clock, for formats that name a point in time
 * @returns readings without nonsense (negative, not a number); never throws
 */
export function readRateLimitHeaders(
  family: RateLimitFamilyName | RateLimitFamily,
  lookup: HeaderLookup,
  nowMs: number,
): RateLimitSnapshot {
  const format: RateLimitFamily = typeof family === 'string' ? rateLimitFamilies[family] : family;
  let readings: LimitReading[] | undefined;
  for (const headers of format.limits) {
    const limit = readCount(lookup(headers.limit));
    const remaining = readCount(lookup(headers.remaining));
    if (limit === undefined && remaining === undefined) continue;
    const reset = headers.reset === undefined ? undefined : lookup(headers.reset);
    const resetMs = reset === undefined ? undefined : readDelay(reset, format.reset, nowMs);
    readings ??= [];
    readings.push({
      name: windowOf(headers.name, limit, remaining, resetMs),
      limit,
      remaining,
      resetMs,
    });
  }
  return { readings: readings ?? noReadings, retryAfterMs: readRetryAfter(lookup, nowMs) };
}

/** Some vendors give the daily limit of a free tier under the name of the limit per minute. */
function windowOf(
  name: LimitName,
  limit: number | undefined,
  remaining: number | undefined,
  resetMs: number | undefined,
): LimitName {
  if (name !== 'requests-per-minute') return name;
  if (limit === undefined || remaining === undefined || resetMs === undefined) return name;
  if (remaining >= limit) return name;
  const windowMs = (resetMs / (limit - remaining)) * limit;
  return resetMs > 2_000 && windowMs > dailyWindowMs ? 'requests-per-day' : name;
}

/**
 * `retry-after-ms` first, then `x-ms-retry-after-ms`, then `retry-after` as seconds or HTTP date
 * (RFC 9110 §10.2.3). Beware: some vendors send it on success too, where it means nothing.
 */
export function readRetryAfter(lookup: HeaderLookup, nowMs: number): number | undefined {
  const exact = readCount(lookup('retry-after-ms')) ?? readCount(lookup('x-ms-retry-after-ms'));
  if (exact !== undefined) return Math.min(exact, delayMaximumMs);
  const text = lookup('retry-after');
  if (text === undefined) return undefined;
  const seconds = readCount(text);
  if (seconds !== undefined) return Math.min(seconds * 1_000, delayMaximumMs);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : clampDelay(at - nowMs);
}

/**
 * A delay as error bodies write it: `34.07s`, `1m30s`, or inside a sentence (`Please try again in
 * 1.2s`, `retry in 20 seconds`).
 */
export function readRetryDelayText(text: string): number | undefined {
  const bounded = text.slice(0, 2_000);
  const whole = readGoDuration(bounded.trim());
  if (whole !== undefined) return clampDelay(whole);
  const spoken =
    /\b(?:again|retry|wait)\D{0,20}?((?:\d{1,9}(?:\.\d{1,12})?(?:h|ms|m|s)){1,4})\b/i.exec(bounded);
  if (spoken?.[1] !== undefined) return clampDelay(readGoDuration(spoken[1].toLowerCase()));
  const seconds = /\b(?:again|retry|wait)\D{0,20}?(\d{1,9}(?:\.\d{1,9})?) seconds?\b/i.exec(
    bounded,
  );
  return seconds?.[1] === undefined ? undefined : clampDelay(Number(seconds[1]) * 1_000);
}

function readDelay(text: string, format: ResetFormat, nowMs: number): number | undefined {
  switch (format) {
    case 'go-duration':
      return clampDelay(readGoDuration(text) ?? secondsToMs(readCount(text)));
    case 'seconds':
      return clampDelay(secondsToMs(readCount(text)) ?? readGoDuration(text));
    case 'rfc3339':
      return clampDelay(Date.parse(text) - nowMs);
    case 'epoch-milliseconds': {
      const at = readCount(text);
      return at === undefined ? undefined : clampDelay(at - nowMs);
    }
  }
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a Go duration (`1h2m3.5s`, `12ms`), `undefined` when it is none. */
export function readGoDuration(text: string): number | undefined {
  if (text.length === 0 || text.length > 64) return undefined;
  const part = /(\d{1,15}(?:\.\d{0,18})?)(ns|us|µs|ms|s|m|h)/y;
  let totalMs = 0;
  while (part.lastIndex < text.length) {
    const found = part.exec(text);
    if (found === null) return undefined;
    totalMs += Number(found[1]) * (unitMs[found[2] ?? ''] ?? 0);
  }
  return totalMs;
}

function secondsToMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

/** A decimal number that is not negative; anything else says nothing. */
function readCount(text: string | undefined): number | undefined {
  if (text === undefined || text.length === 0 || text.length > 24) return undefined;
  const first = text.charCodeAt(0);
  if (first < 48 || first > 57) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function clampDelay(delayMs: number | undefined): number | undefined {
  if (delayMs === undefined || Number.isNaN(delayMs)) return undefined;
  return Math.min(Math.max(delayMs, 0), delayMaximumMs);
}
