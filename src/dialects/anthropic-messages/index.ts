import { asCount, unknownFields } from '#std';
import type { CountTokensForm, Dialect } from '../dialect.ts';
import { decodeUpstreamError } from '../upstream-error.ts';
import { annotateUsage } from '../bill.ts';
import { encodeError } from './error.ts';
import { quirkNames, readQuirks } from './quirks.ts';
import { decodeRequest } from './request-decode.ts';
import { encodeRequest, urlsToInline } from './request-encode.ts';
import { decodeResponse, encodeResponse, isPlainAnswer, responseUsage } from './response.ts';
import { MessagesStreamDecoder } from './stream-decode.ts';
import { MessagesStreamEncoder } from './stream-encode.ts';
import { MessagesStreamTap } from './tap.ts';

/** Anthropic's Messages API, `POST /v1/messages`, versions 2023-06-01 and 2026-10-21. */
export const anthropicMessages: Dialect = {
  id: 'anthropic-messages',
  quirkNames,
  request: {
    required: ['max_tokens'],
    decode: decodeRequest,
    encode: encodeRequest,
    urlsToInline,
    takesPrefill: (quirks) => readQuirks(quirks).prefillAllowed,
  },
  response: {
    decode: decodeResponse,
    encode: encodeResponse,
    isPlain: isPlainAnswer,
    usage: (wire) => responseUsage(wire),
    annotate: (body, bill) => annotateUsage(body, bill) ?? body,
  },
  error: { decode: decodeUpstreamError, encode: encodeError },
  stream: {
    decoder: (quirks) => new MessagesStreamDecoder(quirks),
    encoder: (request, _form, onLoss) => new MessagesStreamEncoder(request, onLoss),
    tap: () => new MessagesStreamTap(),
    heartbeat: () => 'event: ping\ndata: {"type":"ping"}\n\n',
  },
};

/** What counting refuses as extra input, because it concerns only generation. */
const generationFields = new Set([
  'max_tokens',
  'stream',
  'stop_sequences',
  'temperature',
  'top_p',
  'top_k',
  'metadata',
  'service_tier',
  'container',
  'inference_geo',
]);

/** `POST /v1/messages/count_tokens`: the request is a message request, the answer one number. */
export const anthropicCountTokens: CountTokensForm = {
  id: 'anthropic-messages',
  prepare: (wire, model) => ({ ...unknownFields(wire, generationFields), model }),
  decode: (wire) => asCount(wire['input_tokens']),
  encode: (inputTokens) => ({ input_tokens: inputTokens }),
};
