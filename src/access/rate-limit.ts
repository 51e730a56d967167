/**
 * Limits of a key in this process: requests and tokens per minute as continuously refilled buckets,
 * and requests in flight. Bounded: idle counters are dropped, the least recently used first.
 */

import type { Clock } from '#std';
import type { KeyLimits } from './limits.ts';

type Counter = { requests: number; tokens: number; refilledAtMs: number; active: number };

export type RateVerdict =
  | {
      readonly ok: true;
      readonly release: (tokensUsed?: number) => void;
      readonly headers: RateHeaders;
    }
  | {
      readonly ok: false;
      readonly reason: 'requests' | 'tokens' | 'concurrency';
      readonly retryAfterMs: number;
      readonly headers: RateHeaders;
    };

/** The standard `x-ratelimit-*` headers, as OpenAI's clients read them. */
export type RateHeaders = { readonly [name: string]: string };

const countersMax = 50_000;
const minuteMs = 60_000;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #counters = new Map<string, Counter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes one request and `tokens`, an estimate, from the key's buckets, or says when to come again. What costs no
   * tokens is not refused for want of them.
   * `release` gives the place back; told what was used in the end, it corrects the estimate.
   */
  admit(keyId: string, limits: KeyLimits, tokens: number): RateVerdict {
    const {
      requests_per_minute: requestLimit,
      tokens_per_minute: tokenLimit,
      concurrency,
    } = limits;
    if (requestLimit === undefined && tokenLimit === undefined && concurrency === undefined) {
      return { ok: true, release: nothing, headers: {} };
    }
    const counter = this.#refilled(keyId, limits);
    const refuse = (
      reason: 'requests' | 'tokens' | 'concurrency',
      retryAfterMs: number,
    ): RateVerdict => {
      return { ok: false, reason, retryAfterMs, headers: headersOf(counter, limits) };
    };
    if (concurrency !== undefined && counter.active >= concurrency)
      return refuse('concurrency', 1000);
    if (requestLimit !== undefined && counter.requests < 1) {
      return refuse('requests', ((1 - counter.requests) / requestLimit) * minuteMs);
    }
    // A request larger than the whole bucket may pass when the bucket is full; else it never could.
    if (tokenLimit !== undefined && tokens > 0 && counter.tokens < Math.min(tokens, tokenLimit)) {
      return refuse(
        'tokens',
        ((Math.min(tokens, tokenLimit) - counter.tokens) / tokenLimit) * minuteMs,
      );
    }
    counter.requests -= 1;
    counter.tokens -= tokens;
    counter.active += 1;
    let released = false;
    const release = (tokensUsed = tokens): void => {
      if (released) return;
      released = true;
      counter.active -= 1;
      // A debt of more than a minute would punish one large answer for hours.
      if (tokenLimit !== undefined) {
        counter.tokens = Math.max(-tokenLimit, counter.tokens + tokens - tokensUsed);
      }
    };
    return { ok: true, release, headers: headersOf(counter, limits) };
  }

  #refilled(keyId: string, limits: KeyLimits): Counter {
    const nowMs = this.#clock.monotonic();
    let counter = this.#counters.get(keyId);
    if (counter) this.#counters.delete(keyId);
    else {
      counter = {
        requests: limits.requests_per_minute ?? 0,
        tokens: limits.tokens_per_minute ?? 0,
        refilledAtMs: nowMs,
        active: 0,
      };
    }
    this.#counters.set(keyId, counter);
    this.#trim();
    const minutes = (nowMs - counter.refilledAtMs) / minuteMs;
    counter.refilledAtMs = nowMs;
    const { requests_per_minute: requestLimit = 0, tokens_per_minute: tokenLimit = 0 } = limits;
    counter.requests = Math.min(requestLimit, counter.requests + minutes * requestLimit);
    counter.tokens = Math.min(tokenLimit, counter.tokens + minutes * tokenLimit);
    return counter;
  }

  #trim(): void {
    if (this.#counters.size <= countersMax) return;
    for (const [keyId, counter] of this.#counters) {
      if (counter.active === 0) {
        this.#counters.delete(keyId);
        return;
      }
    }
  }
}

function nothing(): void {}

function headersOf(counter: Counter, limits: KeyLimits): RateHeaders {
  const headers: Record<string, string> = {};
  const add = (name: string, limit: number | undefined, left: number): void => {
    if (limit === undefined) return;
    headers[`x-ratelimit-limit-${name}`] = String(limit);
    headers[`x-ratelimit-remaining-${name}`] = String(Math.max(0, Math.floor(left)));
    headers[`x-ratelimit-reset-${name}`] = `${Math.ceil(((limit - left) / limit) * 60_000)}ms`;
  };
  add('requests', limits.requests_per_minute, counter.requests);
  add('tokens', limits.tokens_per_minute, counter.tokens);
  return headers;
}
