/** A key's own limits: buckets that refill continuously, and places that are given back once. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimiter, type RateVerdict } from './rate-limit.ts';

function limiter(): { readonly limits: RateLimiter; at: number } {
  const own = { limits: undefined as unknown as RateLimiter, at: 0 };
  return Object.assign(own, {
    limits: new RateLimiter({ now: () => own.at, monotonic: () => own.at }),
  });
}

function admitted(verdict: RateVerdict): Extract<RateVerdict, { ok: true }> {
  assert.ok(verdict.ok);
  return verdict;
}

function refused(verdict: RateVerdict): Extract<RateVerdict, { ok: false }> {
  assert.ok(!verdict.ok);
  return verdict;
}

test('a key without limits is never counted', () => {
  const own = limiter();
  for (let count = 0; count < 10_000; count += 1) admitted(own.limits.admit('k', {}, 1e9));
});

test('requests per minute refill one by one, and the refusal says when', () => {
  const own = limiter();
  const rule = { requests_per_minute: 6 };
  for (let count = 0; count < 6; count += 1) admitted(own.limits.admit('k', rule, 1));
  const verdict = refused(own.limits.admit('k', rule, 1));
  assert.equal(verdict.reason, 'requests');
  assert.equal(verdict.retryAfterMs, 10_000);
  own.at += 9_999;
  refused(own.limits.admit('k', rule, 1));
  own.at += 1;
  admitted(own.limits.admit('k', rule, 1));
  refused(own.limits.admit('k', rule, 1));
  admitted(own.limits.admit('another', rule, 1));
});

test('tokens that were estimated too low are owed, too high come back', () => {
  const own = limiter();
  const rule = { tokens_per_minute: 1_000 };
  admitted(own.limits.admit('k', rule, 100)).release(600);
  const verdict = refused(own.limits.admit('k', rule, 500));
  assert.equal(verdict.reason, 'tokens');
  assert.equal(Math.round(verdict.retryAfterMs), 6_000);
  admitted(own.limits.admit('k', rule, 400)).release(0);
  admitted(own.limits.admit('k', rule, 400));
});

test('an answer far above the limit owes a minute at most', () => {
  const own = limiter();
  const rule = { tokens_per_minute: 1_000 };
  admitted(own.limits.admit('k', rule, 1)).release(1_000_000);
  own.at += 60_000;
  refused(own.limits.admit('k', rule, 10));
  own.at += 60_000;
  admitted(own.limits.admit('k', rule, 1_000));
});

test('a request above the whole bucket passes when the bucket is full, not before', () => {
  const own = limiter();
  const rule = { tokens_per_minute: 1_000 };
  admitted(own.limits.admit('k', rule, 5_000)).release(5_000);
  refused(own.limits.admit('k', rule, 5_000));
  own.at += 2 * 60_000;
  admitted(own.limits.admit('k', rule, 5_000));
});

test('places at once are given back once, however often it is said', () => {
  const own = limiter();
  const rule = { concurrency: 2 };
  const first = admitted(own.limits.admit('k', rule, 1));
  admitted(own.limits.admit('k', rule, 1));
  assert.equal(refused(own.limits.admit('k', rule, 1)).reason, 'concurrency');
  first.release();
  first.release();
  admitted(own.limits.admit('k', rule, 1));
  refused(own.limits.admit('k', rule, 1));
});

test('counters are bounded, and one with requests in flight is not forgotten', () => {
  const own = limiter();
  const rule = { concurrency: 1, requests_per_minute: 1 };
  admitted(own.limits.admit('busy', rule, 1));
  for (let count = 0; count < 50_100; count += 1) {
    admitted(own.limits.admit(`k${count}`, rule, 1)).release();
  }
  assert.equal(refused(own.limits.admit('busy', rule, 1)).reason, 'concurrency');
});
