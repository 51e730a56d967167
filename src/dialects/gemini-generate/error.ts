import { errorRegistry, type GatewayError } from '#canonical';
import type { JsonObject } from '#std';
import { decodeUpstreamError } from '../upstream-error.ts';

/**
 * An error answer of Gemini. Every 429 there speaks of "plan and billing", whichever bound was
 * passed: unless a quota of the day is named, the limit is one that the next minute lifts.
 */
export function decodeError(status: number, body: string): GatewayError {
  const isRate = /"RESOURCE_EXHAUSTED"/.test(body) && !/PerDay|per day|daily/i.test(body);
  return decodeUpstreamError(
    status,
    isRate
      ? body.replaceAll(/please check your plan and billing details/gi, 'too many requests')
      : body,
  );
}

/** The error as a client of this dialect reads it. */
export function encodeError(
  error: GatewayError,
  requestId: string,
): { readonly status: number; readonly body: JsonObject } {
  return { status: error.status, body: encodeErrorBody(error, requestId) };
}

/** `{"error": {code, message, status, details}}` in the forms of google.rpc. */
export function encodeErrorBody(error: GatewayError, requestId?: string): JsonObject {
  const details: JsonObject[] = [
    {
      '@type': typeUrl('ErrorInfo'),
      reason: error.code.toUpperCase(),
      domain: 'manifold',
      ...(error.details ? { metadata: error.details } : {}),
    },
  ];
  if (error.path !== undefined) {
    details.push({
      '@type': typeUrl('BadRequest'),
      fieldViolations: [{ field: error.path, description: error.message }],
    });
  }
  if (error.retryAfterMs !== undefined) {
    details.push({
      '@type': typeUrl('RetryInfo'),
      retryDelay: `${Math.ceil(error.retryAfterMs) / 1_000}s`,
    });
  }
  if (requestId !== undefined) details.push({ '@type': typeUrl('RequestInfo'), requestId });
  return {
    error: {
      code: error.status,
      message: error.message,
      status: errorRegistry[error.code].gemini,
      details,
    },
  };
}

function typeUrl(name: string): string {
  return `type.googleapis.com/google.rpc.${name}`;
}
