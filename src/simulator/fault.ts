/**
 * Faults on demand: what an upstream can do wrong, as data. A rule applies to the requests it matches,
 * in order of the list, `times` times at most.
 */

import * as z from 'zod';
import type { Clock, JsonObject, Random } from '#std';
import { limitsSchema, Quota, tokensOf, type Verdict } from './limits.ts';

const count = z.number().int().nonnegative();

/**
 * Lies about usage. Numbers become null, 0, negative, broken, texts or 2⁶³; a first report is twice
 * the last; the report comes twice, after the terminal mark only, or inside an error event.
 */
export const usageFaults = [
  'missing',
  'null',
  'zero',
  'negative',
  'float',
  'string',
  'huge',
  'decreasing',
  'twice',
  'after_end',
  'in_error',
] as const;

export type UsageFault = (typeof usageFaults)[number];

export const faultSchema = z.strictObject({
  /** Answer with this status and an error body in the request's dialect. */
  status: z.number().int().min(100).max(599).optional(),
  /** Headers added to the answer (`retry-after`, `x-ratelimit-…`). */
  headers: z.record(z.string(), z.string()).optional(),
  /** Body instead of the usual one, verbatim. */
  body: z.string().optional(),
  content_type: z.string().optional(),
  /** Wait before the head of the answer. */
  delay_ms: count.optional(),
  /** Wait between the head and the first body byte. */
  first_byte_delay_ms: count.optional(),
  /** Write the body in pieces of `drip_bytes` bytes, `drip_ms` apart. */
  drip_ms: count.optional(),
  drip_bytes: count.optional(),
  /** Break the connection after so many body bytes. */
  cut_at_byte: count.optional(),
  /** End the body cleanly after so many bytes: a stream that only looks complete. */
  end_at_byte: count.optional(),
  /** Replace everything after so many stream events by an error event of the dialect. */
  error_after_events: count.optional(),
  /** Leave usage out, or lie: one of the known lies, or an object of your own. */
  usage: z.union([z.enum(usageFaults), z.record(z.string(), z.json())]).optional(),
  /** Milliseconds between the events of a stream. */
  pace_ms: count.optional(),
  /** Stop for `pause_ms` after so many events of a stream. */
  pause_after_events: count.optional(),
  pause_ms: count.optional(),
  /** What becomes of a beginning of the answer in the request: as a rule the answer goes on from there. */
  prefill: z.enum(['ignored', 'overlapping']).optional(),
  /** Take the request and never answer. */
  silent: z.boolean().optional(),
  /** Close the socket without an answer. */
  reset: z.boolean().optional(),
});

export const ruleSchema = z.strictObject({
  /** Exact model name, or absent for all. */
  model: z.string().optional(),
  /** Beginning of the path. */
  path: z.string().optional(),
  /** Only while fewer than so many requests have used the rule. */
  times: z.number().int().positive().optional(),
  /** Skip so many matching requests first. */
  skip: count.optional(),
  /** Part of the matching requests that it hits, by chance; all when absent. */
  share: z.number().min(0).max(1).optional(),
  /** What goes wrong; absent in a rule that only has limits. */
  fault: faultSchema.optional(),
  /** Rate limits of the matching requests together. They do not hide other rules. */
  limits: limitsSchema.optional(),
});

export const scriptSchema = z.array(ruleSchema);

export type Fault = z.infer<typeof faultSchema>;
export type Rule = z.infer<typeof ruleSchema>;

/** Rules with their counters. */
export class Script {
  #rules: { readonly rule: Rule; readonly quota: Quota | undefined; seen: number }[] = [];
  readonly #random: Random;
  readonly #clock: Clock;

  constructor(rules: readonly Rule[], random: Random, clock: Clock) {
    this.#random = random;
    this.#clock = clock;
    this.replace(rules);
  }

  replace(rules: readonly Rule[]): void {
    const nowMs = this.#clock.monotonic();
    this.#rules = rules.map((rule) => ({
      rule,
      quota: rule.limits && new Quota(rule.limits, nowMs),
      seen: 0,
    }));
  }

  /** The fault for a request, counted; `undefined`: behave. */
  next(model: string, path: string): Fault | undefined {
    for (const entry of this.#rules) {
      const { times, skip = 0, share, fault } = entry.rule;
      if (fault === undefined || !applies(entry.rule, model, path)) continue;
      if (share !== undefined && this.#random() >= share) continue;
      entry.seen += 1;
      if (entry.seen <= skip) continue;
      if (times !== undefined && entry.seen > skip + times) continue;
      return fault;
    }
    return undefined;
  }

  /** Asks all limits that apply; the first that has no room refuses. */
  admit(model: string, path: string, body: JsonObject): Verdict {
    let headers: Readonly<Record<string, string>> = {};
    const releases: (() => void)[] = [];
    const release = (): void => {
      for (const each of releases) each();
    };
    for (const { rule, quota } of this.#rules) {
      if (!quota || !applies(rule, model, path)) continue;
      const verdict = quota.admit(tokensOf(body), this.#clock.monotonic());
      if (!verdict.admitted) {
        release();
        return verdict;
      }
      headers = { ...headers, ...verdict.headers };
      releases.push(verdict.release);
    }
    return { admitted: true, headers, release };
  }

  /** Requests that the limits admitted and refused since the rules were set. */
  get limited(): { readonly admitted: number; readonly refused: number } {
    let admitted = 0;
    let refused = 0;
    for (const { quota } of this.#rules) {
      admitted += quota?.counts.admitted ?? 0;
      refused += quota?.counts.refused ?? 0;
    }
    return { admitted, refused };
  }
}

function applies({ model: wanted, path: prefix }: Rule, model: string, path: string): boolean {
  return (
    (wanted === undefined || wanted === model) && (prefix === undefined || path.startsWith(prefix))
  );
}
