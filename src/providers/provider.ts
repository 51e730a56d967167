/**
 * The contract of a vendor: who it is, where it is, which dialects it speaks, how it wants to be
 * authorised, and what is known about its limits and its meter. One file per vendor, named by its id;
 * an endpoint that is merely compatible needs no file, it is a channel with `{dialect, base_url, quirks}`.
 */

import type { DialectId } from '#canonical';
import type { Quirks } from '#dialects';
import type { FrameParser } from '#std';

export type Operation = 'chat' | 'completions' | 'embeddings' | 'count-tokens';

export type WireFormat = DialectId | 'openai-embeddings' | 'gemini-embed';

export type Call = {
  readonly operation: Operation;
  readonly model: string;
  readonly stream: boolean;
  /** Parameters of the channel (region, project, resource, api_version …). */
  readonly parameters: { readonly [name: string]: string };
};

/** One way of speaking with the vendor. The first that fits the model is used; the client's own dialect is preferred. */
export type Speech = {
  readonly operation: Operation;
  readonly dialect: WireFormat;
  /** Path and query appended to the base URL, or a whole https URL where a way of speaking lives elsewhere. */
  readonly path: (call: Call) => string;
  readonly quirks?: Quirks;
  readonly framing?: 'sse' | 'json-array' | 'ndjson' | 'aws-event-stream';
  /** Cuts the stream into events of the dialect, where the framing wraps them once more. */
  readonly parser?: () => FrameParser;
  /** Models that this way serves; all when absent. */
  readonly models?: (model: string) => boolean;
  /** Headers that belong to the way of speaking (`anthropic-version`). */
  readonly headers?: { readonly [name: string]: string };
  /** The client's headers that go on when it speaks the same dialect (`anthropic-beta`). */
  readonly forwards?: readonly string[];
  /** The vendor is a router itself: wishes about its providers are left in the body. */
  readonly forwardsWishes?: boolean;
};

/** What the attempt is about to send. `authorize` is the last step before the socket. */
export type OutboundRequest = {
  readonly url: string;
  readonly method: 'POST' | 'GET';
  readonly headers: Record<string, string>;
  /** In pieces, so that a large body is not copied for a few bytes that change in it. */
  readonly body: readonly Uint8Array[];
};

export type Credential = {
  /** The secret of the channel: an API key, a service-account JSON, `access:secret`. */
  readonly secret: string;
  readonly parameters: { readonly [name: string]: string };
};

/** A token that was traded for a credential, and when it ends by either clock of `AuthorizeTools`. */
type CachedToken = {
  readonly value: string;
  readonly expiresAtMs: number;
  readonly expiresAtMonotonicMs: number;
};

export type AuthorizeTools = {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** Milliseconds by a clock that nobody sets, but that may stand still while the machine sleeps. */
  readonly monotonicMs: number;
  /** For vendors that trade a credential for a token; cached by the provider's own key in `cache`. */
  readonly fetchJson: (request: OutboundRequest) => Promise<{ status: number; body: string }>;
  readonly cache: Map<string, CachedToken>;
};

/** Families of rate-limit headers, by format (routing/rate-limit-headers.ts reads them). */
export type RateLimitFamily =
  | 'x-ratelimit-duration'
  | 'x-ratelimit-duration-daily-requests'
  | 'x-ratelimit-seconds'
  | 'x-ratelimit-named-window'
  | 'anthropic-ratelimit'
  | 'x-ratelimit-plain-epoch'
  | 'x-ratelimit-plain-seconds'
  | 'retry-after-only';

export type ProviderFacts = {
  /** Whether closing the connection stops the vendor's meter. */
  readonly abortStopsBilling: 'yes' | 'no' | 'unknown';
  readonly rateLimits: RateLimitFamily;
  /** Whether the vendor fetches image URLs by itself. */
  readonly fetchesUrls?: boolean;
};

export type Provider = {
  readonly id: string;
  readonly label: string;
  readonly docs: string;
  /** May hold `{name}` places, filled from the channel's parameters. */
  readonly baseUrl: string;
  /** Parameters a channel must or may give, with their defaults (`undefined`: required). */
  readonly parameters?: {
    readonly [name: string]: {
      readonly meaning: string;
      readonly fallback?: string;
      readonly environment?: string;
    };
  };
  /** Environment variables that make a channel by themselves; the first one set is the secret. */
  readonly environment: readonly string[];
  /** Local servers need no key. */
  readonly keyless?: boolean;
  readonly speaks: readonly Speech[];
  authorize(
    request: OutboundRequest,
    credential: Credential,
    tools: AuthorizeTools,
  ): OutboundRequest | Promise<OutboundRequest>;
  readonly facts: ProviderFacts;
};

// ---- what most provider files are made of -----------------------------------------------------

/** `Authorization: Bearer <secret>`. */
export function bearer(request: OutboundRequest, credential: Credential): OutboundRequest {
  return withHeader(request, 'authorization', `Bearer ${credential.secret}`);
}

export function withHeader(request: OutboundRequest, name: string, value: string): OutboundRequest {
  return { ...request, headers: { ...request.headers, [name]: value } };
}

/** Chat Completions at the usual path below the base URL. */
export function openaiChat(quirks: Quirks = {}, path = '/chat/completions'): Speech {
  return { operation: 'chat', dialect: 'openai-chat', path: () => path, quirks };
}

export function openaiResponses(quirks: Quirks = {}, path = '/responses'): Speech {
  return { operation: 'chat', dialect: 'openai-responses', path: () => path, quirks };
}

export function openaiCompletions(path = '/completions'): Speech {
  return { operation: 'completions', dialect: 'openai-completions', path: () => path };
}

export function openaiEmbeddings(quirks: Quirks = {}, path = '/embeddings'): Speech {
  return { operation: 'embeddings', dialect: 'openai-embeddings', path: () => path, quirks };
}

export function anthropicMessages(quirks: Quirks = {}, path = '/messages'): Speech {
  return {
    operation: 'chat',
    dialect: 'anthropic-messages',
    path: () => path,
    quirks,
    headers: { 'anthropic-version': '2023-06-01' },
    forwards: ['anthropic-version', 'anthropic-beta'],
  };
}

/** Quirks of nearly every compatible vendor: the older names of two things. */
export const compatible: Quirks = {
  systemRole: 'system',
  outputTokensField: 'max_tokens',
  customTools: false,
};
