import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  rateLimitFamilies,
  readGoDuration,
  readRateLimitHeaders,
  readRetryAfter,
  readRetryDelayText,
  type RateLimitFamilyName,
} from './rate-limit-headers.ts';

const nowMs = Date.parse('2026-08-19T14:34:50Z');
const from = (headers: Record<string, string>) => (name: string) => headers[name];

test('durations are read as Go writes them', () => {
  for (const [text, expected] of [
    ['12ms', 12],
    ['6m0s', 360_000],
    ['17.399999999s', 17_399.999999],
    ['1h2m3.5s', 3_723_500],
    ['', undefined],
    ['soon', undefined],
    ['5', undefined],
    ['1s junk', undefined],
  ] as const) {
    assert.equal(readGoDuration(text), expected, text);
  }
});

test('the duration family gives requests and tokens with limit, remaining and time to full', () => {
  const snapshot = readRateLimitHeaders(
    'x-ratelimit-duration',
    from({
      'x-ratelimit-limit-requests': '500',
      'x-ratelimit-remaining-requests': '499',
      'x-ratelimit-reset-requests': '120ms',
      'x-ratelimit-limit-tokens': '10000000',
      'x-ratelimit-remaining-tokens': '9999000',
      'x-ratelimit-reset-tokens': '6ms',
    }),
    nowMs,
  );
  assert.deepEqual(snapshot, {
    readings: [
      { name: 'requests-per-minute', limit: 500, remaining: 499, resetMs: 120 },
      { name: 'tokens-per-minute', limit: 10_000_000, remaining: 9_999_000, resetMs: 6 },
    ],
    retryAfterMs: undefined,
  });
});

test('a request limit that takes hours to refill is recognised as a daily one', () => {
  const snapshot = readRateLimitHeaders(
    'x-ratelimit-duration',
    from({
      'x-ratelimit-limit-requests': '14400',
      'x-ratelimit-remaining-requests': '14370',
      'x-ratelimit-reset-requests': '2m59.56s',
    }),
    nowMs,
  );
  assert.equal(snapshot.readings[0]?.name, 'requests-per-day');
});

test('points in time become delays from now', () => {
  const anthropic = readRateLimitHeaders(
    'anthropic-ratelimit',
    from({
      'anthropic-ratelimit-input-tokens-limit': '4000000',
      'anthropic-ratelimit-input-tokens-remaining': '3990000',
      'anthropic-ratelimit-input-tokens-reset': '2026-08-19T14:34:55Z',
      'anthropic-ratelimit-tokens-limit': '4800000',
      'retry-after': '30',
    }),
    nowMs,
  );
  assert.deepEqual(anthropic, {
    readings: [
      { name: 'input-tokens-per-minute', limit: 4_000_000, remaining: 3_990_000, resetMs: 5_000 },
    ],
    retryAfterMs: 30_000,
  });
  const epoch = readRateLimitHeaders(
    'x-ratelimit-plain-epoch',
    from({
      'x-ratelimit-limit': '20',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': String(nowMs + 7_000),
    }),
    nowMs,
  );
  assert.equal(epoch.readings[0]?.resetMs, 7_000);
});

test('a limit without reset is still a reading', () => {
  const snapshot = readRateLimitHeaders(
    'x-ratelimit-named-window',
    from({
      'x-ratelimit-limit-tokens-minute': '100000',
      'x-ratelimit-remaining-tokens-minute': '98500',
    }),
    nowMs,
  );
  assert.deepEqual(snapshot.readings, [
    { name: 'tokens-per-minute', limit: 100_000, remaining: 98_500, resetMs: undefined },
  ]);
});

test('retry-after is read in milliseconds first, then seconds, then as a date', () => {
  assert.equal(readRetryAfter(from({ 'retry-after-ms': '250', 'retry-after': '1' }), nowMs), 250);
  assert.equal(readRetryAfter(from({ 'retry-after': '2' }), nowMs), 2_000);
  assert.equal(
    readRetryAfter(from({ 'retry-after': 'Wed, 19 Aug 2026 14:35:00 GMT' }), nowMs),
    10_000,
  );
  assert.equal(readRetryAfter(from({ 'retry-after': 'later' }), nowMs), undefined);
  assert.equal(readRetryAfter(from({}), nowMs), undefined);
});

test('delays in error bodies are read as fields and inside sentences', () => {
  for (const [text, expected] of [
    ['34.07s', 34_070],
    ['Please try again in 1.2s. Visit the console.', 1_200],
    ['Please try again in 7m12s.', 432_000],
    ['Please retry after 20 seconds.', 20_000],
    ['Rate limit reached, try again in 250ms', 250],
    ['You exceeded your current quota.', undefined],
  ] as const) {
    assert.equal(readRetryDelayText(text), expected, text);
  }
});

test('no header text makes the reader throw or return nonsense', () => {
  const seed = 20261123;
  const families = Object.keys(rateLimitFamilies) as RateLimitFamilyName[];
  fc.assert(
    fc.property(fc.constantFrom(...families), fc.string({ maxLength: 40 }), (family, text) => {
      const snapshot = readRateLimitHeaders(family, () => text, nowMs);
      for (const reading of snapshot.readings) {
        for (const value of [reading.limit, reading.remaining, reading.resetMs]) {
          assert.ok(value === undefined || (Number.isFinite(value) && value >= 0));
        }
      }
      const delay = readRetryDelayText(text);
      assert.ok(delay === undefined || (delay >= 0 && Number.isFinite(delay)));
    }),
    { seed, numRuns: 500 },
  );
});
