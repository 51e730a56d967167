import type { Dialect } from '../dialect.ts';
import { annotateUsage } from '../bill.ts';
import { encodeError } from '../openai-chat/error.ts';
import { usageOf } from '../openai-chat/response.ts';
import { createTap } from '../openai-chat/tap.ts';
import { decodeUpstreamError } from '../upstream-error.ts';
import { decodeRequest, encodeRequest } from './request.ts';
import { decodeResponse, encodeResponse } from './response.ts';
import { createCompletionsDecoder, createCompletionsEncoder } from './stream.ts';

export { nativeOnlyReason } from './native-only.ts';

/** The endpoint before chat, `POST /v1/completions`: a prompt in, its continuation out. */
export const openaiCompletions: Dialect = {
  id: 'openai-completions',
  quirkNames: [
    'streamUsage',
    'stopMax',
    'refused',
    'usageExcludesReasoning',
    'usageGapIsReasoning',
  ],
  request: { decode: decodeRequest, encode: encodeRequest, urlsToInline: () => [] },
  response: {
    decode: decodeResponse,
    encode: encodeResponse,
    usage: usageOf,
    annotate: (body, bill) => annotateUsage(body, bill) ?? body,
  },
  error: { decode: decodeUpstreamError, encode: encodeError },
  stream: {
    decoder: createCompletionsDecoder,
    encoder: (request, _form, onLoss) => createCompletionsEncoder(request, onLoss),
    tap: (request, quirks) =>
      createTap(
        { ...request, choiceCount: (request.choiceCount ?? 1) * request.messages.length },
        quirks,
        'completions',
      ),
    heartbeat: () => ': keep-alive\n\n',
  },
};
