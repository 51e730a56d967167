/**
 * Bedrock's InvokeModelWithResponseStream: each message of the binary event stream holds one event of
 * the model's own dialect in base64 (`{"bytes": …, "p": padding}`), a failure is a message of type
 * exception. Both are handed on as server-sent events, so that a client of that dialect can have them
 * as they are. Source: Amazon Bedrock API reference, ResponseStream.
 */

import {
  asString,
  createAwsEventStreamParser,
  parseJsonObject,
  type AwsEventFrame,
  type FrameParser,
  type StreamFrame,
} from '#std';

/** Kinds of exceptions in the words of Anthropic Messages; everything else is the server's fault. */
const errorTypes: { readonly [exception: string]: string } = {
  throttlingException: 'rate_limit_error',
  serviceUnavailableException: 'overloaded_error',
  modelTimeoutException: 'timeout_error',
  validationException: 'invalid_request_error',
};

export function createAwsChunkParser(): FrameParser {
  const inner = createAwsEventStreamParser();
  return {
    push: (bytes) => inner.push(bytes).map(unwrap),
    end: () => {
      const rest = inner.end();
      return rest && { data: rest.data, raw: rest.raw };
    },
    rest: () => inner.rest(),
  };
}

function unwrap(frame: AwsEventFrame): StreamFrame {
  const payload = parseJsonObject(frame.data);
  if (frame.messageType !== 'event') {
    const type = errorTypes[frame.event ?? ''] ?? 'api_error';
    // Of a fault inside the model only the original message says what it was.
    const message = asString(payload?.['originalMessage']) ?? asString(payload?.['message']) ?? '';
    return serverSent('error', JSON.stringify({ type: 'error', error: { type, message } }));
  }
  const data = Buffer.from(asString(payload?.['bytes']) ?? '', 'base64').toString('utf8');
  return serverSent(asString(parseJsonObject(data)?.['type']) ?? '', data);
}

function serverSent(event: string, data: string): StreamFrame {
  return { event, data, raw: Buffer.from(`event: ${event}\ndata: ${data}\n\n`) };
}
