import type { GatewayError } from '#canonical';
import { asArray, asCount, asObject, asString, type JsonObject } from '#std';
import type { Quirks } from '../dialect.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { readChatQuirks } from './quirks.ts';

/**
 * An error in an answer or a stream that came with a good status: `error` in the chunk or its choice,
 * Groq's `x_groq.error`, vLLM's bare object.
 */
export function findError(
  wire: JsonObject,
  event: string | undefined,
  quirks: Quirks,
): GatewayError | undefined {
  const { error } = wire;
  if ((typeof error === 'object' && error !== null) || (typeof error === 'string' && error !== ''))
    return decodeUpstreamErrorValue(200, wire);
  if (event === 'error' || (wire['object'] === 'error' && wire['choices'] === undefined))
    return decodeUpstreamErrorValue(200, wire);
  const inner = asObject(asObject(asArray(wire['choices'])?.[0])?.['error']);
  if (inner) return decodeUpstreamErrorValue(200, { error: inner });
  const groq = asString(asObject(wire['x_groq'])?.['error']);
  return groq === undefined || groq === ''
    ? numberedError(wire, quirks)
    : decodeUpstreamErrorValue(200, { error: { message: groq } });
}

/** `base_resp` of vendors that number their errors; 0 is none. */
function numberedError(wire: JsonObject, quirks: Quirks): GatewayError | undefined {
  const statuses = readChatQuirks(quirks).baseResponseStatuses;
  const base = statuses && asObject(wire['base_resp']);
  const number = asCount(base?.['status_code']) ?? 0;
  if (!statuses || number === 0) return undefined;
  const message = asString(base?.['status_msg']) ?? '';
  return decodeUpstreamErrorValue(asCount(statuses[number]) ?? 500, {
    error: { message, code: String(number) },
  });
}
