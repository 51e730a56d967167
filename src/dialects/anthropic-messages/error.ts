import { errorRegistry, type GatewayError } from '#canonical';
import { compact, type JsonObject } from '#std';

/** `{"type":"error","error":{"type","message"},"request_id"}` with the words of the registry. */
export function encodeError(
  error: GatewayError,
  requestId: string,
): { status: number; body: JsonObject } {
  return { status: error.status, body: errorBody(error, requestId) };
}

/** Also the data of an `error` event in a stream, where no request id is at hand. */
export function errorBody(error: GatewayError, requestId?: string): JsonObject {
  const { anthropic } = errorRegistry[error.code];
  return compact({
    type: 'error',
    error: compact({ type: anthropic, message: messageWithPath(error), details: detailsOf(error) }),
    request_id: requestId,
  });
}

/** Anthropic names the field at the head of the message: `messages.0.content: …`. */
function messageWithPath(error: GatewayError): string {
  const { path, message } = error;
  return path === undefined || path === '' || message.includes(path)
    ? message
    : `${path}: ${message}`;
}

function detailsOf(error: GatewayError): JsonObject {
  return { ...error.details, error_code: error.code };
}
