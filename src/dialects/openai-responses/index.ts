import { asCount, type JsonObject } from '#std';
import type { CountTokensForm, Dialect } from '../dialect.ts';
import { decodeUpstreamError } from '../upstream-error.ts';
import { annotateUsage } from '../bill.ts';
import { encodeError } from './error.ts';
import { responsesQuirkNames } from './quirks.ts';
import { decodeRequest } from './request-decode.ts';
import { encodeRequest, urlsToInline } from './request-encode.ts';
import { decodeResponse, encodeResponse, usageOfBody } from './response.ts';
import { streamDecoder } from './stream-decode.ts';
import { streamEncoder } from './stream-encode.ts';
import { streamTap } from './tap.ts';

export {
  historyItems,
  inputItems,
  isSelfContained,
  previousResponseNotFound,
  stateNeeds,
  withHistory,
  type StateNeeds,
} from './state.ts';

/** OpenAI's Responses API: `POST /v1/responses`. */
export const openaiResponses: Dialect = {
  id: 'openai-responses',
  quirkNames: responsesQuirkNames,
  request: { decode: decodeRequest, encode: encodeRequest, urlsToInline },
  response: {
    decode: decodeResponse,
    encode: encodeResponse,
    usage: usageOfBody,
    annotate: (body, bill) => annotateUsage(body, bill) ?? body,
  },
  error: { decode: decodeUpstreamError, encode: encodeError },
  stream: {
    decoder: streamDecoder,
    encoder: streamEncoder,
    tap: streamTap,
    heartbeat: () => ': keep-alive\n\n',
  },
};

/** `POST /v1/responses/input_tokens`. */
export const responsesInputTokens: CountTokensForm = {
  id: 'openai-responses',
  prepare: (wire, model) => ({ ...wire, model }),
  decode: (wire: JsonObject) => asCount(wire['input_tokens']),
  encode: (inputTokens) => ({ object: 'response.input_tokens', input_tokens: inputTokens }),
};
