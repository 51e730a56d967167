/**
 * What workers ask of the owner of the books, and what the owner asks of its workers. All of it is
 * JSON on its way: bytes are base64, and what is not there is null where it has a place.
 */

import type { KeyLimits, RateHeaders, RateVerdict } from '#access';
import type { Part } from '#canonical';
import type { Charging, KeptState } from '#gateway';
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
type Base64 = string;
type BlobEntry = Omit<Parameters<Blobs['put']>[0], 'body'>;
type BlobHead = Omit<NonNullable<Awaited<ReturnType<Blobs['get']>>>, 'body'>;

/** A verdict on a key's limits; `place` is given back with `released`. */
export type PlaceVerdict =
  | { readonly ok: true; readonly place: number; readonly headers: RateHeaders }
  | Exclude<RateVerdict, { readonly ok: true }>;

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
  reserve: Charging['reserve'];
  attempt: Charging['attempt'];
  extend: Charging['extend'];
  settle: Charging['settle'];
  void: Charging['void'];
  balance: Charging['balance'];
  appendRequest(record: RequestRecord): void;
  putBlob(entry: BlobEntry, body: Base64): Promise<boolean>;
  getBlob(...place: Parameters<Blobs['get']>): Promise<readonly [BlobHead, Base64] | null>;
  removeBlob(...place: Parameters<Blobs['remove']>): ReturnType<Blobs['remove']>;
  checkWritable: Store['checkWritable'];
  findKey(digest: string): Promise<KeyRecord | null>;
  admit(keyId: string, limits: KeyLimits, tokens: number): Promise<PlaceVerdict>;
  released(place: number, tokensUsed: number | null): void;
  next(plan: number, begin: PlanBegin | null, failure: Failure | null): DistantStep;
  forgetCandidates(list: number): void;
  sent(plan: number, attempt: number): void;
  headers(plan: number, attempt: number, snapshot: RateLimitSnapshot): void;
  isLost(plan: number, attempt: number): boolean;
  firstContent(plan: number, attempt: number): void;
  finished(plan: number, attempt: number, usage: AttemptUsage | null): void;
  failed(plan: number, attempt: number, failure: Failure): void;
  explain(plan: number): Explanation | null;
  /** Forgets the plan; the explanation is its last word. */
  closePlan(plan: number): Explanation | null;
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
  /** The secret that guards the digests of keys, in base64. */
  readonly pepper: string;
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
