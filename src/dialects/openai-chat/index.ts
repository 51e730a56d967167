import type { Dialect } from '../dialect.ts';
import { decodeUpstreamError } from '../upstream-error.ts';
import { annotateUsage, withoutMetadataCosts } from '../bill.ts';
import { encodeError } from './error.ts';
import { chatQuirkNames, readChatQuirks } from './quirks.ts';
import { decodeRequest } from './request-decode.ts';
import { encodeRequest, urlsToInline } from './request-encode.ts';
import { decodeResponse, encodeResponse, isPlainAnswer, usageOf } from './response.ts';
import { createStreamDecoder } from './stream-decode.ts';
import { createStreamEncoder } from './stream-encode.ts';
import { createTap } from './tap.ts';

/** OpenAI Chat Completions, `POST /v1/chat/completions`, and the two dozen vendors that speak it. */
export const openaiChat: Dialect = {
  id: 'openai-chat',
  quirkNames: chatQuirkNames,
  request: {
    decode: decodeRequest,
    encode: encodeRequest,
    urlsToInline,
    takesPrefill: (quirks) => readChatQuirks(quirks).prefill !== 'none',
  },
  response: {
    decode: decodeResponse,
    encode: encodeResponse,
    isPlain: isPlainAnswer,
    usage: usageOf,
    annotate: (body, bill) => withoutMetadataCosts(annotateUsage(body, bill) ?? body),
  },
  error: { decode: decodeUpstreamError, encode: encodeError },
  stream: {
    decoder: (quirks) => createStreamDecoder(quirks),
    encoder: (request, _form, onLoss) => createStreamEncoder(request, onLoss),
    tap: (request, quirks) => createTap(request, quirks),
    heartbeat: () => ': keep-alive\n\n',
  },
};
