/** Everything a request needs, built once in main.ts and passed in. */

import type { Access, AddressTest, KeyLimits, RateVerdict } from '#access';
import type { Dialect, EmbeddingDialect } from '#dialects';
import type { DialectId } from '#canonical';
import type {
  Balance,
  ExtendRequest,
  Hold,
  Ledger,
  Receipt,
  ReserveRequest,
  ReserveResult,
  Settlement,
  VoidRequest,
} from '#ledger';
import type { AuthorizeTools } from '#providers';
import type { DistantRouter, Later } from '#routing';
import type { Clock, NewId, Random } from '#std';
import type { Store } from '#store';
import type { Log, RequestMetrics } from '#telemetry';
import type { Egress, Upstream } from '#upstream';
import type { Heartbeats } from './client-stream.ts';
import type { Drains } from './drains.ts';
import type { Transcripts } from './idempotency.ts';
import type { Snapshot } from './offers.ts';
import type { StateMemory } from './state-memory.ts';

export type GatewaySettings = {
  /** Silence after which a heartbeat is sent to a streaming client. */
  readonly heartbeatMs: number;
  /** How long the status line waits for first content before headers go out. */
  readonly holdHeadersMs: number;
  readonly requestMs: number;
  /** Whether routing headers (`x-manifold-channel`, attempts) are shown to clients. */
  readonly routingHeaders: boolean;
  /** Whether an answer that an upstream breaks off may be continued by another one. */
  readonly continueCutAnswers: boolean;
  /** Whole answers larger than this are refused. */
  readonly answerBytesMax: number;
  readonly drainMs: number;
  /** Whether who connects from there passes on requests of others, and says whose. */
  readonly isTrustedProxy: AddressTest;
};

/** What a request reads of a hold and of its receipt; the rest stays with the ledger. */
export type HeldAmount = {
  readonly ok: true;
  readonly hold: Pick<Hold, 'amountNanoUsd'>;
};
export type Charged = Pick<Receipt, 'receiptId' | 'chargeNanoUsd' | 'ratedNanoUsd' | 'holdNanoUsd'>;

/** The ledger as a request uses it: {@link Ledger} is one. */
export type Charging = {
  reserve(
    request: ReserveRequest,
  ): Promise<HeldAmount | Exclude<ReserveResult, { readonly ok: true }>>;
  attempt(...call: Parameters<Ledger['attempt']>): Promise<{ readonly ok: boolean }>;
  extend(request: ExtendRequest): Promise<HeldAmount | { readonly ok: false }>;
  settle(
    settlement: Settlement,
  ): Promise<{ readonly ok: true; readonly receipt: Charged } | { readonly ok: false }>;
  void(request: VoidRequest): Promise<{ readonly ok: boolean }>;
  balance(walletId: string): Promise<Pick<Balance, 'availableNanoUsd'>>;
};

/** What the walk needs of what all requests share: in this process, or in the one that owns it. */
export type Shared = {
  readonly store: Pick<Store, 'checkWritable'> & {
    readonly requests: Pick<Store['requests'], 'append'>;
    readonly blobs: Pick<Store['blobs'], 'get' | 'put' | 'remove'>;
  };
  readonly ledger: Charging;
  readonly rateLimiter: {
    admit(keyId: string, limits: KeyLimits, tokens: number): Later<RateVerdict>;
  };
  readonly router: DistantRouter;
  readonly metrics: Pick<RequestMetrics, 'begun' | 'ended'>;
  readonly stateMemory: Pick<StateMemory, 'remember' | 'rememberAnswer'> & {
    recall(...asked: Parameters<StateMemory['recall']>): Later<ReturnType<StateMemory['recall']>>;
  };
};

export type Services = Shared & {
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: NewId;
  readonly log: Log;
  readonly access: Pick<Access, 'authenticate'>;
  readonly upstream: Upstream;
  readonly egress: Egress;
  readonly dialects: { readonly [id in DialectId]: Dialect };
  readonly embeddingDialects: { readonly [id in EmbeddingDialect['id']]: EmbeddingDialect };
  readonly heartbeats: Heartbeats;
  readonly drains: Drains;
  readonly transcripts: Transcripts;
  readonly tokenCache: AuthorizeTools['cache'];
  readonly settings: GatewaySettings;
  /** The current configuration; swapped as a whole when it changes. */
  snapshot(): Snapshot;
};
