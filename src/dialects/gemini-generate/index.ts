import type { Dialect } from '../dialect.ts';
import { annotateUsageMetadata } from '../bill.ts';
import { decodeError, encodeError } from './error.ts';
import { geminiId } from './fields.ts';
import { geminiQuirkNames } from './quirks.ts';
import { decodeRequest } from './request-decode.ts';
import { encodeRequest, urlsToInline } from './request-encode.ts';
import { decodeResponse } from './response-decode.ts';
import { encodeResponse, responseUsage } from './response-encode.ts';
import { GeminiStreamDecoder } from './stream-decode.ts';
import { GeminiStreamEncoder, heartbeat } from './stream-encode.ts';
import { GeminiTap } from './tap.ts';

export { geminiCountTokens } from './count-tokens.ts';

/** Google's generateContent, at the Gemini API and at Vertex. */
export const geminiGenerate: Dialect = {
  id: geminiId,
  quirkNames: geminiQuirkNames,
  request: { decode: decodeRequest, encode: encodeRequest, urlsToInline },
  response: {
    decode: (wire) => decodeResponse(wire),
    encode: (response) => encodeResponse(response),
    usage: (wire) => responseUsage(wire),
    annotate: (body, bill) => annotateUsageMetadata(body, bill) ?? body,
  },
  error: { decode: decodeError, encode: encodeError },
  stream: {
    decoder: () => new GeminiStreamDecoder(),
    encoder: (_request, form, onLoss) => new GeminiStreamEncoder(form, onLoss),
    tap: (request) => new GeminiTap(request),
    heartbeat,
  },
};
