/** Everything a request needs, built once in main.ts and passed in. */

import type { Access, RateLimiter } from '#access';
import type { Dialect, EmbeddingDialect } from '#dialects';
import type { DialectId } from '#canonical';
import type { Ledger } from '#ledger';
import type { Router } from '#routing';
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

export type Services = {
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: NewId;
  readonly log: Log;
  readonly metrics: RequestMetrics;
  readonly store: Store;
  readonly ledger: Ledger;
  readonly access: Access;
  readonly rateLimiter: RateLimiter;
  readonly router: Router;
  readonly upstream: Upstream;
  readonly egress: Egress;
  readonly dialects: { readonly [id in DialectId]: Dialect };
  readonly embeddingDialects: { readonly [id in EmbeddingDialect['id']]: EmbeddingDialect };
  readonly heartbeats: Heartbeats;
  readonly drains: Drains;
  readonly transcripts: Transcripts;
  readonly stateMemory: StateMemory;
  readonly tokenCache: Map<string, { readonly value: string; readonly expiresAtMs: number }>;
  readonly settings: GatewaySettings;
  /** The current configuration; swapped as a whole when it changes. */
  snapshot(): Snapshot;
};
