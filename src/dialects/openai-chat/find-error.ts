import type { GatewayError } from '#canonical';
import { asArray, asObject, asString, type JsonObject } from '#std';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';

/**
 * An error in an answer or a stream that came with a good status: `error` in the chunk or its choice,
 * Groq's `x_groq.error`, vLLM's bare object.
 */
export function findError(wire: JsonObject, event: string | undefined): GatewayError | undefined {
  const { error } = wire;
  if ((typeof error === 'object' && error !== null) || (typeof error === 'string' && error !== ''))
    return decodeUpstreamErrorValue(200, wire);
  if (event === 'error' || (wire['object'] === 'error' && wire['choices'] === undefined))
    return decodeUpstreamErrorValue(200, wire);
  const inner = asObject(asObject(asArray(wire['choices'])?.[0])?.['error']);
  if (inner) return decodeUpstreamErrorValue(200, { error: inner });
  const groq = asString(asObject(wire['x_groq'])?.['error']);
  return groq === undefined || groq === ''
    ? undefined
    : decodeUpstreamErrorValue(200, { error: { message: groq } });
}
