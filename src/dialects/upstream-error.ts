/**
 * Upstream errors of all vendors read by one table: forms of bodies first, then what they mean.
 * Status alone decides little: an overflow comes as 400 or 429, a wrong key as 400 or 401, an empty
 * account as 402, 403 or 429 (vendors' error pages; forms seen in recorded traffic).
 */

import { gatewayError, type ErrorCode, type GatewayError, type UpstreamErrorKind } from '#canonical';
import { asArray, asNumber, asObject, asObjects, asString, parseJson, type JsonObject, type JsonValue } from '#std';

/** What a vendor's error says, whatever its form. `status` is 200 for an error inside a stream. */
type VendorError = {
  readonly status: number;
  readonly code: string | undefined;
  readonly type: string | undefined;
  readonly message: string | undefined;
  readonly parameter: string | undefined;
  readonly retryAfterMs: number | undefined;
};

/** Reads the body of an answer with a status of 400 or more, or an error document inside a 200. */
export function decodeUpstreamError(status: number, body: string): GatewayError {
  const parsed = parseJson(body);
  return decodeUpstreamErrorValue(status, parsed.ok ? parsed.value : undefined);
}

/** The same for a body or an error object that is parsed already (in-stream errors: status 200). */
export function decodeUpstreamErrorValue(status: number, value: JsonValue | undefined): GatewayError {
  const error = readVendorError(status, value);
  const kind = kindOf(error);
  return toGatewayError(error, kind);
}

function readVendorError(status: number, value: JsonValue | undefined): VendorError {
  const first = asArray(value)?.[0] ?? value;
  const outer = asObject(first) ?? {};
  const inner = asObject(outer['error']) ?? asObject(asObject(outer['response'])?.['error']) ?? outer;
  const details = asObjects(inner['details']);
  const code = codeText(inner['code']) ?? codeText(outer['code']) ?? codeText(asObject(inner['details'])?.['error_code']);
  const type = asString(inner['status']) ?? asString(inner['type']) ?? asString(outer['type']);
  return {
    status: status >= 400 ? status : (statusOf(type, inner['code']) ?? 500),
    code: reasonOf(details) ?? innerErrorCode(inner) ?? code,
    type: type === 'error' ? undefined : type,
    message: messageOf(outer, inner),
    parameter: asString(inner['param']),
    retryAfterMs: retryDelayMs(details),
  };
}

function codeText(value: JsonValue | undefined): string | undefined {
  return typeof value === 'number' ? String(value) : asString(value);
}

function messageOf(outer: JsonObject, inner: JsonObject): string | undefined {
  const detail = outer['detail'];
  const firstDetail = asObject(asArray(detail)?.[0]);
  return (
    asString(inner['message']) ??
    asString(outer['error']) ??
    asString(detail) ??
    asString(firstDetail?.['msg']) ??
    asString(outer['message'])
  );
}

/** Google's ErrorInfo: `reason` says what the status does not (`API_KEY_INVALID`). */
function reasonOf(details: readonly JsonObject[]): string | undefined {
  for (const detail of details) {
    const reason = asString(detail['reason']);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function innerErrorCode(inner: JsonObject): string | undefined {
  return asString(asObject(inner['innererror'])?.['code']);
}

function retryDelayMs(details: readonly JsonObject[]): number | undefined {
  for (const detail of details) {
    const delay = /^(\d{1,6}(?:\.\d{1,9})?)s$/.exec(asString(detail['retryDelay']) ?? '');
    if (delay) return Math.ceil(Number(delay[1]) * 1000);
  }
  return undefined;
}

const statusByType: { readonly [type: string]: number } = {
  invalid_request_error: 400,
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  authentication_error: 401,
  UNAUTHENTICATED: 401,
  billing_error: 402,
  permission_error: 403,
  PERMISSION_DENIED: 403,
  not_found_error: 404,
  NOT_FOUND: 404,
  conflict_error: 409,
  request_too_large: 413,
  rate_limit_error: 429,
  RESOURCE_EXHAUSTED: 429,
  api_error: 500,
  server_error: 500,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  timeout_error: 504,
  DEADLINE_EXCEEDED: 504,
  overloaded_error: 529,
};

function statusOf(type: string | undefined, code: JsonValue | undefined): number | undefined {
  const numeric = asNumber(code) ?? (typeof code === 'string' && /^[45]\d\d$/.test(code) ? Number(code) : undefined);
  if (numeric !== undefined && Number.isInteger(numeric) && numeric >= 400 && numeric <= 599) return numeric;
  if (code === 'rate_limit_exceeded') return 429;
  if (code === 'server_error') return 500;
  return type !== undefined && Object.hasOwn(statusByType, type) ? statusByType[type] : undefined;
}

// ---- what it means --------------------------------------------------------------------------

const contextLength =
  /context[ _-]?(length|window)|prompt is too long|too many (prompt )?tokens|maximum context|input token count.{0,40}exceeds|exceeds? the (model'?s )?(maximum|context|max)|too_many_prompt_tokens|context_length_exceeded|string_above_max_length|maximum prompt length|reduce the length of the (messages|prompt|input)|input (is )?too long/i;
const contentFilter =
  /content[_ ](filter|policy|management)|responsible ?ai|content_filtered|data_inspection_failed|usage policies|moderation_blocked|safety system|PROHIBITED_CONTENT/i;
const quotaExhausted =
  /insufficient[_ ](quota|balance|funds|credits?)|billing|credit balance|exceeded your current quota|quota exhausted|exceeded_current_quota|payment required|out of credits|spending limit|no credits/i;
const credential =
  /api[_ -]?key|incorrect key|invalid[_ ](authentication|token|credentials)|unauthenticated|unauthorized|x-api-key|access token|account (is )?(deactivated|disabled|suspended)/i;
const modelMissing =
  /model[_ ]?not[_ ]?found|deploymentnotfound|(model|deployment).{0,120}(does not exist|not exist|not found|is not available|no longer available|is not supported for generatecontent|has been (deprecated|retired))|unknown model|invalid model|no such model|not a valid model/i;
const overloaded = /overloaded|capacity|temporarily unavailable|try again later|server is busy|engine is currently/i;

function kindOf(error: VendorError): UpstreamErrorKind {
  const { status } = error;
  const text = `${error.code ?? ''} ${error.type ?? ''} ${error.message ?? ''}`.slice(0, 4096);
  if (status < 500 && status !== 401 && status !== 403 && contextLength.test(text)) return 'context-length';
  if (status === 401) return 'credential';
  if (status === 402) return 'quota-exhausted';
  if (status < 500 && contentFilter.test(text)) return 'content-filter';
  if (status === 429) return isQuota(text) ? 'quota-exhausted' : 'rate-limited';
  if (status === 403) return quotaExhausted.test(text) ? 'quota-exhausted' : 'credential';
  if (status === 404) return modelMissing.test(text) ? 'model-missing' : 'request';
  if (status === 529 || status === 503) return 'overloaded';
  if (status >= 500) return overloaded.test(text) && status === 500 ? 'overloaded' : 'server';
  if (status === 400 || status === 422 || status === 413) return badRequestKind(text);
  return status === 408 || status === 409 || status === 425 ? 'server' : 'request';
}

/** Google writes "exceeded your current quota … check your plan and billing" for short limits as well. */
function isQuota(text: string): boolean {
  return quotaExhausted.test(text) && !/RESOURCE_EXHAUSTED|RATE_LIMIT_EXCEEDED|per[ _]?minute|PerMinute|retry in/i.test(text);
}

function badRequestKind(text: string): UpstreamErrorKind {
  if (/API_KEY_INVALID|invalid api key|incorrect api key|api key (not valid|expired)|invalid_api_key/i.test(text)) return 'credential';
  if (/insufficient[_ ](quota|balance|funds)|credit balance is too low|billing (is not|not) (enabled|active)|hard limit/i.test(text)) return 'quota-exhausted';
  return modelMissing.test(text) ? 'model-missing' : 'request';
}

// ---- what the client is told ------------------------------------------------------------------

const codeByKind: { readonly [kind in UpstreamErrorKind]: ErrorCode } = {
  request: 'invalid_request',
  'context-length': 'context_length_exceeded',
  'content-filter': 'content_filtered',
  credential: 'upstream_credential',
  'quota-exhausted': 'upstream_credential',
  'rate-limited': 'capacity_exhausted',
  overloaded: 'overloaded',
  'model-missing': 'model_not_found',
  server: 'upstream_failed',
};

const plainMessage: { readonly [kind in UpstreamErrorKind]: string } = {
  request: 'The upstream refused the request.',
  'context-length': 'The conversation is longer than the model can take.',
  'content-filter': 'The upstream refused the content of the request.',
  credential: 'The upstream refused the credential of this gateway.',
  'quota-exhausted': 'The account of this gateway at the upstream is exhausted.',
  'rate-limited': 'The upstream takes no more requests at the moment.',
  overloaded: 'The upstream is overloaded.',
  'model-missing': 'The upstream does not have this model.',
  server: 'The upstream failed.',
};

function toGatewayError(error: VendorError, kind: UpstreamErrorKind): GatewayError {
  const message = error.message === undefined ? undefined : cleanMessage(error.message);
  const upstream = { status: error.status, kind, code: error.code ?? error.type, message };
  const details = { upstream, retryAfterMs: error.retryAfterMs };
  if (kind === 'request') {
    const status = [404, 409, 413, 415, 422].includes(error.status) ? error.status : 400;
    const path = error.parameter;
    return gatewayError('invalid_request', message ?? plainMessage.request, { ...details, status, path });
  }
  if (kind === 'server' && (error.status === 504 || error.status === 408)) {
    return gatewayError('upstream_timeout', 'The upstream did not answer in time.', details);
  }
  const showsUpstreamWords = kind === 'context-length' || kind === 'content-filter';
  return gatewayError(codeByKind[kind], (showsUpstreamWords ? message : undefined) ?? plainMessage[kind], details);
}

const messageLengthMax = 2000;

/** A vendor's words without keys, account ids and addresses. */
export function cleanMessage(message: string): string {
  return message
    .slice(0, messageLengthMax)
    .replace(/https?:\/\/[^\s"'<>)\]]+/gi, '[link]')
    .replace(/\b(bearer)\s+[\w.~+/=-]{8,}/gi, '$1 [hidden]')
    .replace(/\b(sk|pk|rk|xai|gsk|pplx|hf|key|tgp|csk|fw)[-_][\w*.-]{6,}/gi, '[hidden]')
    .replace(/\b(AIza|ya29\.|AKIA|eyJ)[\w*.-]{8,}/g, '[hidden]')
    .replace(/\b(org|proj|project|user|acct|team|workspace)[-_][\w-]{6,}/gi, '[hidden]')
    .replace(/\bprojects?\/[\w-]+/gi, 'project [hidden]')
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '[hidden]');
}
