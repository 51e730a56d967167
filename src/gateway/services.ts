/** Everything a request needs, built once in main.ts and passed in. */

import type { Access, KeyLimits, RateVerdict } from '#access';
import type { Dialect, EmbeddingDialect } from '#dialects';
import type { DialectId } from '#canonical';
import type { Ledger } from '#ledger';
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
};

/** What the walk needs of what all requests share: in this process, or in the one that owns it. */
export type Shared = {
  readonly store: {
    readonly requests: Pick<Store['requests'], 'append'>;
    readonly blobs: Pick<Store['blobs'], 'get' | 'put' | 'remove'>;
  };
  readonly ledger: Pick<Ledger, 'reserve' | 'attempt' | 'extend' | 'settle' | 'void' | 'balance'>;
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
  readonly tokenCache: Map<string, { readonly value: string; readonly expiresAtMs: number }>;
  readonly settings: GatewaySettings;
  /** The current configuration; swapped as a whole when it changes. */
  snapshot(): Snapshot;
};
