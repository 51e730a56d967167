import type { GatewayError } from '#canonical';
import { asArray, asCount, asObject, asObjects, asString, type JsonObject } from '#std';
import type { Quirks } from '../dialect.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { readChatQuirks } from './quirks.ts';

/**
 * An error in an answer or a stream that came with a good status: `error` in the chunk or its choice,
 * Groq's `x_groq.error`, a bare object without an answer.
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
  if (isBareError(wire)) return decodeUpstreamErrorValue(200, wire);
  for (const choice of asObjects(wire['choices'])) {
    const inner = asObject(choice['error']);
    if (inner) return decodeUpstreamErrorValue(200, { error: inner });
  }
  const groq = asString(asObject(wire['x_groq'])?.['error']);
  return groq === undefined || groq === ''
    ? numberedError(wire, quirks)
    : decodeUpstreamErrorValue(200, { error: { message: groq } });
}

/**
 * An error without a wrapper, as frameworks and proxies write it: `errors`, FastAPI's `detail`, or a message
 * beside what went wrong. A message alone may be a notice of a queue.
 */
function isBareError(wire: JsonObject): boolean {
  if ((asArray(wire['choices'])?.length ?? 0) > 0) return false;
  const { detail, code, type } = wire;
  if (asObjects(wire['errors']).length > 0) return true;
  if (typeof detail === 'string' ? detail !== '' : asObjects(detail).length > 0) return true;
  if ((asString(wire['message']) ?? asString(wire['msg']) ?? '') === '') return false;
  if (wire['error'] === true || wire['success'] === false) return true;
  const words = [asString(type), asString(wire['status'])].join(' ');
  const numbers = [code, wire['status'], wire['status_code']].map((value) => asCount(value) ?? 0);
  return (
    numbers.some((number) => number >= 400) ||
    /error|fail/i.test(words) ||
    /^(?!ok$|success$)[a-z]/i.test(asString(code) ?? '')
  );
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
