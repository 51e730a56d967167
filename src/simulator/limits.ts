/**
 * Rate limits as vendors have them: buckets that fill continuously, debited when a request is
 * admitted, told in `x-ratelimit-*` headers, and answered with 429 and `retry-after` when empty.
 */

import * as z from 'zod';
import { asArray, asNumber, asObject, type JsonObject, type JsonValue } from '#std';

const positive = z.number().int().positive();

export const limitsSchema = z.strictObject({
  requests_per_minute: positive.optional(),
  /** Input and the allowed output together, debited in full at admission. */
  tokens_per_minute: positive.optional(),
  /** Requests in flight. */
  concurrency: positive.optional(),
  /** Size of the buckets as part of a minute's worth; a whole minute's unless told. */
  burst: z.number().positive().max(1).optional(),
  /** How full the buckets are at the beginning, from 0 to 1. */
  start: z.number().min(0).max(1).optional(),
  /** False keeps the headers back: a vendor whose limits have to be learned. */
  headers: z.boolean().optional(),
});

export type Limits = z.infer<typeof limitsSchema>;

export type Verdict = {
  readonly admitted: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** To be called once when the answer is over. */
  release(): void;
};

class Bucket {
  readonly capacity: number;
  readonly #perMs: number;
  #level: number;
  #atMs: number;

  constructor(perMinute: number, burst: number, start: number, nowMs: number) {
    this.capacity = Math.max(1, perMinute * burst);
    this.#perMs = perMinute / 60_000;
    this.#level = this.capacity * start;
    this.#atMs = nowMs;
  }

  level(nowMs: number): number {
    this.#level = Math.min(this.capacity, this.#level + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
    return this.#level;
  }

  /** The level as of the last look. */
  get rest(): number {
    return this.#level;
  }

  take(amount: number): void {
    this.#level -= amount;
  }

  untilMs(amount: number): number {
    return Math.max(0, (Math.min(amount, this.capacity) - this.#level) / this.#perMs);
  }
}

/** The limits of one rule with their state. */
export class Quota {
  readonly #limits: Limits;
  readonly #requests: Bucket | undefined;
  readonly #tokens: Bucket | undefined;
  #active = 0;
  /** How many were admitted and refused, for tests. */
  readonly counts = { admitted: 0, refused: 0 };

  constructor(limits: Limits, nowMs: number) {
    const {
      requests_per_minute: requests,
      tokens_per_minute: tokens,
      burst = 1,
      start = 1,
    } = limits;
    this.#limits = limits;
    this.#requests = requests === undefined ? undefined : new Bucket(requests, burst, start, nowMs);
    this.#tokens = tokens === undefined ? undefined : new Bucket(tokens, burst, start, nowMs);
  }

  admit(tokens: number, nowMs: number): Verdict {
    const needed = this.#tokens === undefined ? 0 : Math.min(tokens, this.#tokens.capacity);
    const fits =
      (this.#requests?.level(nowMs) ?? 1) >= 1 &&
      (this.#tokens?.level(nowMs) ?? 0) >= needed &&
      this.#active < (this.#limits.concurrency ?? Infinity);
    if (!fits) {
      this.counts.refused += 1;
      const waitMs = Math.max(
        this.#requests?.untilMs(1) ?? 0,
        this.#tokens?.untilMs(needed) ?? 0,
        1,
      );
      const retry = {
        'retry-after': String(Math.ceil(waitMs / 1_000)),
        'retry-after-ms': String(Math.ceil(waitMs)),
      };
      return {
        admitted: false,
        headers: { ...this.#headers(), ...retry },
        release: () => undefined,
      };
    }
    this.counts.admitted += 1;
    this.#requests?.take(1);
    this.#tokens?.take(needed);
    this.#active += 1;
    let held = true;
    const release = (): void => {
      if (held) this.#active -= 1;
      held = false;
    };
    return { admitted: true, headers: this.#headers(), release };
  }

  /** As OpenAI writes them: durations such as `1.25s` until the bucket is full again. */
  #headers(): Readonly<Record<string, string>> {
    if (this.#limits.headers === false) return {};
    const headers: Record<string, string> = {};
    const buckets = { requests: this.#requests, tokens: this.#tokens };
    for (const [name, bucket] of Object.entries(buckets)) {
      if (!bucket) continue;
      const { capacity } = bucket;
      const untilFullMs = bucket.untilMs(capacity);
      headers[`x-ratelimit-limit-${name}`] = String(Math.floor(capacity));
      headers[`x-ratelimit-remaining-${name}`] = String(Math.max(0, Math.floor(bucket.rest)));
      headers[`x-ratelimit-reset-${name}`] = `${(untilFullMs / 1_000).toFixed(3)}s`;
    }
    return headers;
  }
}

const outputTokensDefault = 1_000;

/** What a vendor debits at admission: a token for every four characters of the prompt, and the whole allowed output. */
export function tokensOf(body: JsonObject): number {
  const generation = asObject(body['generationConfig']) ?? {};
  const output =
    asNumber(body['max_tokens']) ??
    asNumber(body['max_completion_tokens']) ??
    asNumber(body['max_output_tokens']) ??
    asNumber(generation['maxOutputTokens']) ??
    outputTokensDefault;
  const prompt = [
    'messages',
    'input',
    'contents',
    'system',
    'instructions',
    'systemInstruction',
    'prompt',
  ];
  const characters = prompt.reduce((sum, field) => sum + charactersOf(body[field]), 0);
  return Math.ceil(characters / 4) + output;
}

function charactersOf(value: JsonValue | undefined): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  const inner = Array.isArray(value)
    ? (asArray(value) ?? [])
    : Object.entries(value)
        .filter(([name]) => name !== 'role' && name !== 'type')
        .map(([, each]) => each);
  return inner.reduce<number>((sum, each) => sum + charactersOf(each), 0);
}
