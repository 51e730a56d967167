/**
 * The contract of routing: which upstream channel a request goes to next.
 *
 * The module is pure. It performs no I/O, sets no timer and reads no clock of its own: the gateway
 * awaits, sends and reports back. The same code runs in the gateway and in the deterministic
 * simulator (`npm run bench:routing`).
 *
 * How a caller drives it:
 *
 * ```ts
 * const plan = router.plan(request)
 * if (plan.admission.kind === 'refused') return answer429(plan.admission)   // nothing is reserved yet
 * // … quote, reserve …
 * let step = plan.next()
 * for (;;) {
 *   if (step.kind === 'wait') { await sleep(step.delayMs); step = plan.next(); continue }
 *   if (step.kind === 'give-up') return answerError(step)
 *   step.sent()                                    // the bytes leave now
 *   step.headers(readRateLimitHeaders(family, lookup, now))
 *   if (it failed before content) { step = plan.next({ kind: 'server-error' }); continue }
 *   // no content after timeouts.recheckMs? every 250 ms: if (step.isLost()) step = plan.next({ kind: 'timeout-content' })
 *   step.firstContent()                            // the commit point: no silent failover after it
 *   step.finished(usage)                           // or step.failed({ kind: 'cut' })
 *   break
 * }
 * plan.close()                                     // always, in a `finally`; safe to repeat
 * ```
 */

import type { Clock, Random } from '#std';
import type { RoutingSettings } from './settings.ts';

/** Service classes, served and shed in this order: interactive first, flex last. */
export type ServiceClass = 'interactive' | 'batch' | 'flex';

/** Weighting of speed against price. Presets are nothing but the two exponents of the score. */
export type Preset = 'fast' | 'balanced' | 'cheap';

/**
 * Limits an upstream puts on one credential. A missing value is *unknown* and is learned from 429s
 * and headers; `Infinity` says there is none.
 */
export type Limits = {
  readonly requestsPerMinute?: number;
  readonly requestsPerDay?: number;
  /** Input and output tokens together. */
  readonly tokensPerMinute?: number;
  readonly inputTokensPerMinute?: number;
  readonly outputTokensPerMinute?: number;
  /** Requests in flight. */
  readonly concurrency?: number;
};

/** How the upstream counts tokens against its limits: facts of a provider, refined per channel. */
export type TokenAccounting = {
  /** What is debited for output when the request is admitted upstream. Default `maximum` (OpenAI). */
  readonly outputAtAdmission: 'maximum' | 'expected' | 'none';
  /** Whether the debit is corrected to real usage at the end. Default false: the cautious reading. */
  readonly settlesToActual: boolean;
  /** Whether input read from the prompt cache counts in full. Default true. */
  readonly cachedInputCounts: boolean;
};

/** One credential × one endpoint × one provider, offering models. Keys are first-class channels. */
export type ChannelConfig = {
  readonly id: string;
  /** Provider id; hints may name it. Default: the channel id. */
  readonly provider?: string;
  /** Labels that hints may name. */
  readonly tags?: readonly string[];
  /** Default true. */
  readonly enabled?: boolean;
  /** Preference of the operator: 2 counts as if the channel cost half. Default 1; 0 means last resort. */
  readonly weight?: number;
  /** Limits of each limit group of this channel (see `Candidate.limitGroup`). */
  readonly limits?: Limits;
  /** Limits of single groups, over `limits`. */
  readonly limitsByGroup?: Readonly<Record<string, Limits>>;
  readonly accounting?: Partial<TokenAccounting>;
  /** Change it (a new key, a human's "try again") to forget that the channel was switched off. */
  readonly revision?: number | string;
};

/** A price that comes into force at a moment (vendors with peak and off-peak windows). */
export type PriceChange = {
  readonly atMs: number;
  readonly inputNanoUsdPerMillion: number;
  readonly outputNanoUsdPerMillion: number;
};

/** One way to serve the request: a channel and the name of the model there. */
export type Candidate = {
  readonly channelId: string;
  /** Name of the model at the upstream. */
  readonly model: string;
  readonly inputNanoUsdPerMillion: number;
  readonly outputNanoUsdPerMillion: number;
  /** Input read from the prompt cache; default: the input price. */
  readonly cachedInputNanoUsdPerMillion?: number;
  /** Ascending by time, at most a handful; the dearer side is taken ± 60 s around a change. */
  readonly priceChanges?: readonly PriceChange[];
  /** Bit set of what the offer can do; the catalogue owns the meaning of the bits. Default: all. */
  readonly capabilities?: number;
  /** Most input tokens it takes; default unlimited. */
  readonly contextTokens?: number;
  /** Candidates of a higher tier (model fallbacks) are tried only when lower ones are out. Default 0. */
  readonly tier?: number;
  /** Models that share one upstream limit (a model class) name the same group. Default: `model`. */
  readonly limitGroup?: string;
  /** Least time allowed to first content (reasoning models think silently). */
  readonly firstContentFloorMs?: number;
  /** Longest silence between deltas. Default: the setting. */
  readonly idleMs?: number;
};

/** Wishes of the client, in the sense of OpenRouter's `provider` object. Names are channel ids, providers or tags. */
export type Hints = {
  /** Tried first, in this order. */
  readonly order?: readonly string[];
  readonly only?: readonly string[];
  readonly ignore?: readonly string[];
  /** Ranks by this alone instead of by the weighted score. */
  readonly sort?: 'price' | 'latency' | 'throughput';
  readonly maxPrice?: {
    readonly inputNanoUsdPerMillion?: number;
    readonly outputNanoUsdPerMillion?: number;
  };
  /** False: the first choice or nothing; with `order`: nothing but the listed. Default true. */
  readonly allowFallbacks?: boolean;
  readonly preset?: Preset;
};

export type RouteRequest = {
  /** Public model name; only for the explanation. */
  readonly model: string;
  /** Pass the same array for the same catalogue snapshot: what is derived from it is cached by identity. */
  readonly candidates: readonly Candidate[];
  readonly inputTokens: number;
  /** Bound the upstream will count (`max_tokens`), or the model's. */
  readonly outputTokensMaximum: number;
  readonly outputTokensExpected: number;
  readonly class: ServiceClass;
  /** Whom fair share is for: user or organisation. */
  readonly userId: string;
  /** Session id, else a hash of the first messages: requests that share a prompt prefix share it. */
  readonly sessionKey?: string;
  readonly hints?: Hints;
  /** Bits every candidate must have. Default 0. */
  readonly requiredCapabilities?: number;
  /** Absolute time by which the answer must have begun, in milliseconds of `clock.now()`. */
  readonly deadlineMs: number;
};

/** Why an attempt failed, as classified by `upstream` from sockets, statuses and error bodies. */
export type FailureKind =
  | 'connect'
  | 'tls'
  | 'dns'
  | 'timeout-headers'
  | 'timeout-content'
  /** 400, 404, 413, 422 …: the request's own fault; goes back to the client, never retried. */
  | 'status-4xx-request'
  /** The offer cannot serve it (context overflow, content filter) where a rule allows another one to try. */
  | 'unsuitable'
  /** 401, 403, and a bad key by whatever status. */
  | 'auth'
  /** insufficient_quota, billing, monthly limits: not retried on this key until reset. */
  | 'quota'
  | 'rate-limited'
  /** 529, 503 with an overload code. */
  | 'overloaded'
  | 'server-error'
  /** Unparseable answer, wrong content type. */
  | 'invalid-response'
  /** A clean end without content. */
  | 'empty'
  /** The stream ended early. */
  | 'cut'
  | 'aborted-by-client';

export type Failure = {
  readonly kind: FailureKind;
  /** What the upstream asked for, from headers or body. */
  readonly retryAfterMs?: number;
  /** Which limit a 429 named, if it did. */
  readonly limit?: LimitName;
};

/** The buckets of a limit group. */
export type LimitName =
  | 'requests-per-minute'
  | 'requests-per-day'
  | 'tokens-per-minute'
  | 'input-tokens-per-minute'
  | 'output-tokens-per-minute';

/** One limit as the upstream stated it when it admitted the request, in units of the limit. */
export type LimitReading = {
  readonly name: LimitName;
  readonly limit: number | undefined;
  readonly remaining: number | undefined;
  /** Time until full again, from now. */
  readonly resetMs: number | undefined;
};

/** What the rate-limit headers of one response said; see `rate-limit-headers.ts`. */
export type RateLimitSnapshot = {
  readonly readings: readonly LimitReading[];
  readonly retryAfterMs: number | undefined;
};

/** Real usage at the end; `undefined` means the upstream did not say. */
export type AttemptUsage = {
  readonly inputTokens?: number | undefined;
  readonly cachedInputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
};

/** Time-outs of one attempt, relative to the moment it is sent. */
export type AttemptTimeouts = {
  readonly connectMs: number;
  /** To the first *content* (not headers, not role-only chunks). */
  readonly firstContentMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  /** From here on, without content, ask `isLost()` now and then (every 250 ms will do). */
  readonly recheckMs: number;
};

/**
 * One outbound attempt. Feedback methods are cheap, ordered as listed, and harmless when repeated
 * or when left out; after `finished` or `failed` the rest is ignored.
 */
export type Attempt = {
  readonly kind: 'attempt';
  readonly channelId: string;
  readonly model: string;
  /** The very object the caller passed in. */
  readonly candidate: Candidate;
  /** 0 for the first. */
  readonly index: number;
  readonly timeouts: AttemptTimeouts;
  /** The single trial of a half-open breaker: do not make it longer than needed. */
  readonly probe: boolean;
  /** The bytes leave now. */
  sent(): void;
  headers(snapshot: RateLimitSnapshot): void;
  /**
   * True when this request and several others wait far longer than usual and nothing at all comes
   * from this lane: report `timeout-content` and move on instead of waiting for the time-out. May
   * be left unasked.
   */
  isLost(): boolean;
  /** First content seen; time to first token is measured here. */
  firstContent(): void;
  finished(usage?: AttemptUsage): void;
  /** Failure without wish for another attempt (after content). Before content, `plan.next(failure)` does both. */
  failed(failure: Failure): void;
};

export type GiveUp = {
  readonly kind: 'give-up';
  readonly reason: GiveUpReason;
  /** The failure of the last attempt, if there was one. */
  readonly failure: Failure | undefined;
  /** For a 429 or 503 of our own: when trying again makes sense. */
  readonly retryAfterMs: number | undefined;
};

export type GiveUpReason =
  /** No candidate passes capability, hints and price cap, or all are switched off. */
  | 'no-candidate'
  /** Nothing has room within the time this class may wait: 429 with `Retry-After`. */
  | 'no-capacity'
  /** All candidates were tried, or as many as allowed. */
  | 'exhausted'
  /** Too many retries lately across the gateway: retrying would make an outage worse. */
  | 'retry-budget'
  | 'deadline'
  /** The failure is the request's own: hand it to the client. */
  | 'request-fault'
  | 'client-gone'
  /** Content already reached the client. */
  | 'committed';

/** Nothing has room yet: call `next()` again after `delayMs` (not before; not much after). */
export type Wait = {
  readonly kind: 'wait';
  readonly delayMs: number;
  readonly reason: 'no-capacity' | 'cheaper-window';
};

export type Step = Attempt | Wait | GiveUp;

/** The verdict before any money or upstream is touched. */
export type Admission =
  | { readonly kind: 'admitted' }
  | Wait
  | {
      readonly kind: 'refused';
      readonly reason: GiveUpReason;
      readonly retryAfterMs: number | undefined;
    };

/** Why a candidate was not chosen. */
export type RejectionReason =
  | 'unknown-channel'
  | 'disabled'
  | 'capability'
  | 'context-length'
  | 'hint'
  | 'price-cap'
  | 'switched-off'
  | 'breaker-open'
  | 'bucket-empty'
  | 'concurrency'
  | 'reserved-for-waiter'
  | 'too-new'
  | 'already-tried'
  /** Stalled or lately ill: looked at by one request now and then. */
  | 'slow'
  | 'worse-score';

/** JSON-able account of one request's routing, for its record and for `manifold route explain`. */
export type Explanation = {
  readonly model: string;
  readonly class: ServiceClass;
  readonly admission: Admission['kind'];
  readonly decisions: readonly {
    readonly at_ms: number;
    readonly panic: boolean;
    readonly how: 'score' | 'affinity' | 'rendezvous' | 'probe' | 'exploration' | 'wait' | 'none';
    readonly candidates: readonly {
      readonly channel: string;
      readonly model: string;
      readonly score: number | null;
      readonly rejected: RejectionReason | null;
    }[];
  }[];
  readonly attempts: readonly {
    readonly channel: string;
    readonly model: string;
    readonly chosen_at_ms: number;
    readonly sent_after_ms: number | null;
    readonly first_content_after_ms: number | null;
    readonly ended_after_ms: number | null;
    readonly outcome: 'running' | 'finished' | FailureKind;
  }[];
};

export type Plan = {
  readonly admission: Admission;
  /**
   * The next attempt; with a failure, reports the running attempt as failed first.
   *
   * @throws Error when called without a failure while an attempt is running: a fault of the caller
   */
  next(failure?: Failure): Step;
  explain(): Explanation;
  /** Releases whatever is still held (a running attempt counts as aborted by the client). */
  close(): void;
};

/** An answer at once, or one that has to come from another process. */
export type Later<T> = T | Promise<T>;

/** A plan as its caller sees it, wherever the router lives: {@link Plan} is one. */
export type DistantPlan = {
  next(failure?: Failure): Later<Step>;
  explain(): Later<Explanation>;
  close(): void;
};

/** A router as its caller sees it, wherever it lives: {@link Router} is one. */
export type DistantRouter = { plan(request: RouteRequest): DistantPlan };

/** One line per channel × model for the CLI and metrics. */
export type LaneStatus = {
  readonly channel: string;
  readonly model: string;
  readonly state: 'ok' | 'new' | 'half-open' | 'open' | 'off' | 'disabled';
  readonly off_reason: 'auth' | 'quota' | null;
  readonly open_until_ms: number | null;
  readonly error_level: number;
  readonly first_content_ms: number;
  readonly deviation_ms: number;
  readonly inter_token_ms: number | null;
  readonly samples: number;
  readonly active: number;
  readonly concurrency_limit: number;
  readonly buckets: readonly {
    readonly limit: LimitName;
    readonly level: number;
    readonly capacity: number;
    readonly per_minute: number;
    readonly source: 'configured' | 'learned' | 'header';
  }[];
};

export type RouterStatus = {
  /** Ids of all channels, also of those that were not asked yet. */
  readonly channels: readonly string[];
  readonly lanes: readonly LaneStatus[];
  readonly waiting: number;
  readonly sessions: number;
  readonly retry_budget: number;
  readonly users: number;
};

/** Something a human must look at. */
export type RoutingAlarm = {
  readonly kind: 'channel-off';
  readonly channelId: string;
  readonly reason: 'auth' | 'quota';
  readonly atMs: number;
};

export type Router = {
  /** Replaces the snapshot of channels. State of channels that stay (same id and revision) is kept. */
  update(channels: readonly ChannelConfig[]): void;
  plan(request: RouteRequest): Plan;
  status(): RouterStatus;
};

/** What `createRouter` takes. Settings left out have the defaults of `settings.ts`. */
export type RouterOptions = {
  readonly clock: Clock;
  readonly random: Random;
  readonly settings?: Partial<RoutingSettings>;
  /** Called when a channel goes off for a reason only a human can mend. Must not throw. */
  readonly onAlarm?: (alarm: RoutingAlarm) => void;
};
