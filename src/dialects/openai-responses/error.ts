import { errorRegistry, type GatewayError } from '#canonical';
import { asObject, asString, compact, type JsonObject } from '#std';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';

/** Codes of `response.error` and of in-stream errors, with the status the same fault has over HTTP. */
const statusOfCode: { readonly [code: string]: number } = {
  insufficient_quota: 429,
  rate_limit_exceeded: 429,
  server_error: 500,
  internal_error: 500,
  server_is_overloaded: 503,
  slow_down: 503,
  vector_store_timeout: 504,
  model_not_found: 404,
  invalid_api_key: 401,
  invalid_prompt: 400,
  context_length_exceeded: 400,
  content_filter: 400,
  bio_policy: 400,
  cyber_policy: 400,
  previous_response_not_found: 400,
};

/** An error found inside an answer or a stream: `{code, message, …}`, bare or under `error`. */
export function vendorError(value: JsonObject): GatewayError {
  const error = asObject(value['error']) ?? value;
  const code = asString(error['code']) ?? asString(error['type']) ?? '';
  const imageFault = /image/.test(code) ? 400 : 200;
  return decodeUpstreamErrorValue(statusOfCode[code] ?? imageFault, { error });
}

/** `error.code` as OpenAI's clients know it, else the registry's own. */
export function openaiErrorCode(error: GatewayError): string {
  switch (error.code) {
    case 'rate_limited':
    case 'capacity_exhausted':
      return 'rate_limit_exceeded';
    case 'insufficient_balance':
      return 'insufficient_quota';
    default:
      return requestCode(error);
  }
}

/** The registry's code; a fault of the request keeps the vendor's, which clients act upon. */
function requestCode({ code, upstream }: GatewayError): string {
  return upstream?.kind === 'request' ? (upstream.code ?? code) : code;
}

/** `{"error": {message, type, param, code}}` (OpenAI API reference, errors). */
export function encodeError(
  error: GatewayError,
  requestId: string,
): { status: number; body: JsonObject } {
  const body = compact({
    message: error.message,
    type: errorRegistry[error.code].openai,
    param: error.path ?? null,
    code: requestCode(error),
    details: error.details,
    request_id: requestId,
  });
  return { status: error.status, body: { error: body } };
}

/** Data of the `error` event in a stream, without its sequence number. */
export function errorEvent(error: GatewayError): JsonObject {
  return { code: openaiErrorCode(error), message: error.message, param: error.path ?? null };
}
