/**
 * The registry of all errors that the gateway tells a client. Codes are stable, never reused, and
 * documented in docs/reference/errors.md; a test compares both ways. Each dialect renders them in its
 * own form with the words given here.
 */

import type { JsonObject } from '#std';

type ErrorDefinition = {
  readonly status: number;
  /** `error.type` in the OpenAI dialects. */
  readonly openai: string;
  /** `error.type` in the Anthropic dialect. */
  readonly anthropic: string;
  /** `error.status` in the Gemini dialect. */
  readonly gemini: string;
};

const define = (
  status: number,
  openai: string,
  anthropic: string,
  gemini: string,
): ErrorDefinition => ({
  status,
  openai,
  anthropic,
  gemini,
});

export const errorRegistry = {
  invalid_request: define(
    400,
    'invalid_request_error',
    'invalid_request_error',
    'INVALID_ARGUMENT',
  ),
  invalid_json: define(400, 'invalid_request_error', 'invalid_request_error', 'INVALID_ARGUMENT'),
  malformed_http: define(400, 'invalid_request_error', 'invalid_request_error', 'INVALID_ARGUMENT'),
  unsupported_parameter: define(
    400,
    'invalid_request_error',
    'invalid_request_error',
    'INVALID_ARGUMENT',
  ),
  lossy_translation: define(
    400,
    'invalid_request_error',
    'invalid_request_error',
    'INVALID_ARGUMENT',
  ),
  context_length_exceeded: define(
    400,
    'invalid_request_error',
    'invalid_request_error',
    'INVALID_ARGUMENT',
  ),
  content_filtered: define(
    400,
    'invalid_request_error',
    'invalid_request_error',
    'INVALID_ARGUMENT',
  ),
  forbidden_url: define(400, 'invalid_request_error', 'invalid_request_error', 'INVALID_ARGUMENT'),
  model_without_price: define(
    400,
    'invalid_request_error',
    'invalid_request_error',
    'FAILED_PRECONDITION',
  ),
  cost_cap_exceeded: define(
    400,
    'invalid_request_error',
    'invalid_request_error',
    'FAILED_PRECONDITION',
  ),
  invalid_api_key: define(401, 'invalid_request_error', 'authentication_error', 'UNAUTHENTICATED'),
  insufficient_balance: define(402, 'insufficient_quota', 'billing_error', 'FAILED_PRECONDITION'),
  budget_exceeded: define(402, 'insufficient_quota', 'billing_error', 'FAILED_PRECONDITION'),
  permission_denied: define(403, 'invalid_request_error', 'permission_error', 'PERMISSION_DENIED'),
  model_not_allowed: define(403, 'invalid_request_error', 'permission_error', 'PERMISSION_DENIED'),
  not_found: define(404, 'invalid_request_error', 'not_found_error', 'NOT_FOUND'),
  model_not_found: define(404, 'invalid_request_error', 'not_found_error', 'NOT_FOUND'),
  method_not_allowed: define(
    405,
    'invalid_request_error',
    'invalid_request_error',
    'INVALID_ARGUMENT',
  ),
  request_timeout: define(408, 'invalid_request_error', 'timeout_error', 'DEADLINE_EXCEEDED'),
  request_in_progress: define(409, 'invalid_request_error', 'conflict_error', 'ABORTED'),
  answer_expired: define(410, 'invalid_request_error', 'not_found_error', 'NOT_FOUND'),
  body_too_large: define(413, 'invalid_request_error', 'request_too_large', 'INVALID_ARGUMENT'),
  unsupported_media_type: define(
    415,
    'invalid_request_error',
    'invalid_request_error',
    'INVALID_ARGUMENT',
  ),
  idempotency_mismatch: define(
    422,
    'invalid_request_error',
    'invalid_request_error',
    'INVALID_ARGUMENT',
  ),
  rate_limited: define(429, 'rate_limit_error', 'rate_limit_error', 'RESOURCE_EXHAUSTED'),
  capacity_exhausted: define(429, 'rate_limit_error', 'rate_limit_error', 'RESOURCE_EXHAUSTED'),
  client_closed_request: define(499, 'invalid_request_error', 'invalid_request_error', 'CANCELLED'),
  internal_error: define(500, 'server_error', 'api_error', 'INTERNAL'),
  upstream_failed: define(502, 'server_error', 'api_error', 'UNAVAILABLE'),
  upstream_invalid: define(502, 'server_error', 'api_error', 'UNAVAILABLE'),
  upstream_cut: define(502, 'server_error', 'api_error', 'UNAVAILABLE'),
  upstream_empty: define(502, 'server_error', 'api_error', 'UNAVAILABLE'),
  upstream_credential: define(502, 'server_error', 'api_error', 'UNAVAILABLE'),
  overloaded: define(503, 'server_error', 'overloaded_error', 'UNAVAILABLE'),
  no_channel: define(503, 'server_error', 'overloaded_error', 'UNAVAILABLE'),
  storage_unavailable: define(503, 'server_error', 'api_error', 'UNAVAILABLE'),
  shutting_down: define(503, 'server_error', 'overloaded_error', 'UNAVAILABLE'),
  upstream_timeout: define(504, 'server_error', 'timeout_error', 'DEADLINE_EXCEEDED'),
} as const satisfies { readonly [code: string]: ErrorDefinition };

export type ErrorCode = keyof typeof errorRegistry;

/** What went wrong, in words safe to show. The private cause goes to the log, never to the client. */
export type GatewayError = {
  readonly code: ErrorCode;
  readonly status: number;
  readonly message: string;
  /** The field at fault, `messages[2].content`. */
  readonly path?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  /** Numbers a program can use: available, required, nearest names. Never secrets. */
  readonly details?: JsonObject | undefined;
  /** Fields of the answer's head besides those that every error has. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What the upstream said, kept for routing decisions and, cleaned, for the client. */
  readonly upstream?: UpstreamError | undefined;
};

export type UpstreamError = {
  readonly status: number;
  readonly kind: UpstreamErrorKind;
  /** The vendor's own code or type. */
  readonly code?: string | undefined;
  readonly message?: string | undefined;
};

/** What an upstream error means for the next step. Decided from status and body together (429 ≠ 429). */
export type UpstreamErrorKind =
  /** The request's own fault: returned to the client, never retried. */
  | 'request'
  | 'context-length'
  | 'content-filter'
  | 'credential'
  | 'quota-exhausted'
  | 'rate-limited'
  | 'overloaded'
  | 'model-missing'
  | 'server';

export type GatewayErrorDetails = Omit<GatewayError, 'code' | 'status' | 'message'> & {
  readonly status?: number;
};

export function gatewayError(
  code: ErrorCode,
  message: string,
  details: GatewayErrorDetails = {},
): GatewayError {
  return { status: errorRegistry[code].status, ...details, code, message };
}

/** A {@link GatewayError} on its way out of nested calls. `cause` is private and only logged. */
export class GatewayFailure extends Error {
  readonly error: GatewayError;
  constructor(error: GatewayError, cause?: unknown) {
    super(error.message, { cause });
    this.name = 'GatewayFailure';
    this.error = error;
  }
}

export function fail(code: ErrorCode, message: string, details?: GatewayErrorDetails): never {
  throw new GatewayFailure(gatewayError(code, message, details));
}
