import { errorRegistry, type GatewayError } from '#canonical';
import { compact, type JsonObject } from '#std';

/** `{error: {message, type, param, code}}`, with the request's id, which OpenAI only sends as a header. */
export function encodeError(
  error: GatewayError,
  requestId: string,
): { readonly status: number; readonly body: JsonObject } {
  const { code, status, message, path, details } = error;
  const inner = compact({
    message,
    type: errorRegistry[code].openai,
    param: path ?? null,
    code: error.upstream?.kind === 'request' ? (error.upstream.code ?? code) : code,
    details,
    request_id: requestId === '' ? undefined : requestId,
  });
  return { status, body: { error: inner } };
}
