/** What workers ask of the owner of the books, and what the owner asks of its workers. */

import type { KeyLimits, RateHeaders } from '#access';
import type { Part } from '#canonical';
import type { KeptState } from '#gateway';
import type {
  AttemptIntent,
  AttemptOutcome,
  AttemptResult,
  Balance,
  ExtendRequest,
  ExtendResult,
  ReserveRequest,
  ReserveResult,
  Settlement,
  SettleResult,
  VoidRequest,
  VoidResult,
} from '#ledger';
import type { ChannelDefinition } from '#providers';
import type {
  AttemptTimeouts,
  AttemptUsage,
  Candidate,
  Explanation,
  Failure,
  GiveUp,
  RateLimitSnapshot,
  RouteRequest,
  Wait,
} from '#routing';
import type { KeyRecord, RequestRecord, Store } from '#store';
import type { RequestFacts } from '#telemetry';

type Blobs = Store['blobs'];

/** A verdict on a key's limits; `place` is given back with `released`. */
export type PlaceVerdict =
  | { readonly ok: true; readonly place: number; readonly headers: RateHeaders }
  | {
      readonly ok: false;
      readonly reason: 'requests' | 'tokens' | 'concurrency';
      readonly retryAfterMs: number;
      readonly headers: RateHeaders;
    };

/** A request for a route; `candidates` only when the owner has not seen this list. */
export type PlanBegin = Omit<RouteRequest, 'candidates'> & {
  readonly list: number;
  readonly candidates?: readonly Candidate[];
};

/** A step of a plan; the candidate by its place in the list. */
export type DistantStep =
  | Wait
  | GiveUp
  | {
      readonly kind: 'attempt';
      readonly candidate: number;
      readonly index: number;
      readonly timeouts: AttemptTimeouts;
      readonly probe: boolean;
    };

/** What one process carries, for the sum of all. */
export type Load = {
  readonly connections: number;
  readonly heldBytes: number;
  readonly streams: number;
  readonly upstreamCalls: number;
};

export type OwnerCalls = {
  reserve(request: ReserveRequest): Promise<ReserveResult>;
  attempt(
    requestId: string,
    intent: AttemptIntent,
    previous?: AttemptOutcome,
  ): Promise<AttemptResult>;
  extend(request: ExtendRequest): Promise<ExtendResult>;
  settle(settlement: Settlement): Promise<SettleResult>;
  void(request: VoidRequest): Promise<VoidResult>;
  balance(walletId: string): Promise<Balance>;
  appendRequest(record: RequestRecord): Promise<void>;
  putBlob(...entry: Parameters<Blobs['put']>): ReturnType<Blobs['put']>;
  getBlob(...place: Parameters<Blobs['get']>): ReturnType<Blobs['get']>;
  removeBlob(...place: Parameters<Blobs['remove']>): ReturnType<Blobs['remove']>;
  findKey(digest: string): Promise<KeyRecord | undefined>;
  admit(keyId: string, limits: KeyLimits, tokens: number): PlaceVerdict;
  released(place: number, tokensUsed: number | undefined): void;
  next(plan: number, begin: PlanBegin | undefined, failure: Failure | undefined): DistantStep;
  forgetCandidates(list: number): void;
  sent(plan: number, attempt: number): void;
  headers(plan: number, attempt: number, snapshot: RateLimitSnapshot): void;
  isLost(plan: number, attempt: number): boolean;
  firstContent(plan: number, attempt: number): void;
  finished(plan: number, attempt: number, usage: AttemptUsage | undefined): void;
  failed(plan: number, attempt: number, failure: Failure): void;
  explain(plan: number): Explanation | undefined;
  /** Forgets the plan; the explanation is its last word. */
  closePlan(plan: number): Explanation | undefined;
  requestBegun(): void;
  requestEnded(facts: RequestFacts): void;
  remember(owner: string, parts: readonly Part[]): void;
  recall(owner: string, callIds: readonly string[]): readonly KeptState[];
  load(load: Load): void;
};

/** What a worker begins with. */
export type WorkerSetup = {
  /** The configuration as the command line has it. */
  readonly config: unknown;
  readonly extra: readonly ChannelDefinition[];
  readonly channels: readonly ChannelDefinition[];
  readonly pepper: Uint8Array;
  /** Where the owner takes over what workers do not do: a Unix socket, or a named pipe. */
  readonly ownerPath: string;
};

export type WorkerCalls = {
  start(setup: WorkerSetup): Promise<{ readonly host: string; readonly port: number }>;
  channels(channels: readonly ChannelDefinition[]): void;
  forgetKey(keyId: string): void;
  /** Resolves when the running requests have ended, or were ended after `graceMs`. */
  stop(graceMs: number): Promise<void>;
};
