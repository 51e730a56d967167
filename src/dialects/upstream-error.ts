/**
 * What an upstream's error means. One table for all vendors, because a vendor is a set of dialects
 * and compatible servers answer in whichever form they like. Decided from status and body together:
 * a bad key is a 400 at xAI and Gemini, an overlong prompt was a 429 at Azure.
 */

import {
  gatewayError,
  type ErrorCode,
  type GatewayError,
  type UpstreamErrorKind,
} from '#canonical';
import {
  asArray,
  asNumber,
  asObject,
  asObjects,
  asString,
  parseJson,
  type JsonObject,
  type JsonValue,
} from '#std';

/** The parts of a vendor's error body that decide, whatever its form. */
export type UpstreamErrorFacts = {
  readonly message: string;
  /** Vendor's code, type and status words, in the order they weigh. */
  readonly words: readonly string[];
  readonly path?: string | undefined;
  readonly retryAfterMs?: number | undefined;
};

const messageLengthMax = 2_000;

/** Decodes an error answer of any vendor. `status` may be 200 when the error came inside a stream. */
export function decodeUpstreamError(status: number, body: string): GatewayError {
  const parsed = parseJson(body);
  if (!parsed.ok)
    return upstreamError(status, { message: looksLikeMarkup(body) ? '' : body, words: [] });
  return decodeUpstreamErrorValue(status, parsed.value);
}

/** The same for a value that is parsed already: the chunk of a stream, the `error` of a response. */
export function decodeUpstreamErrorValue(status: number, value: JsonValue): GatewayError {
  const facts = readFacts(value);
  return upstreamError(status >= 400 ? status : statusOf(value, facts), facts);
}

/** Builds the gateway's error from a status and the facts; dialects with forms of their own call it. */
export function upstreamError(status: number, facts: UpstreamErrorFacts): GatewayError {
  const kind = classify(status, facts);
  const cleaned = cleanMessage(facts.message);
  const upstream = {
    status,
    kind,
    code: facts.words[0],
    message: cleaned === '' ? undefined : cleaned,
  };
  const { code, said } = presentation[kind];
  return gatewayError(code, said ?? (cleaned === '' ? fallbackMessage[kind] : cleaned), {
    ...(kind === 'request' ? { status: requestStatus(status) } : {}),
    ...(kind === 'request' && facts.path !== undefined ? { path: facts.path } : {}),
    ...(facts.retryAfterMs === undefined ? {} : { retryAfterMs: facts.retryAfterMs }),
    upstream,
  });
}

/** `said`: shown instead of the vendor's words, which speak of our account and not of the client's. */
const presentation: {
  readonly [K in UpstreamErrorKind]: { readonly code: ErrorCode; readonly said?: string };
} = {
  request: { code: 'invalid_request' },
  'context-length': { code: 'context_length_exceeded' },
  'content-filter': { code: 'content_filtered' },
  credential: {
    code: 'upstream_credential',
    said: 'The gateway could not sign in at the upstream provider.',
  },
  'quota-exhausted': {
    code: 'no_channel',
    said: 'The upstream provider has no quota left for this gateway.',
  },
  'rate-limited': {
    code: 'capacity_exhausted',
    said: 'The upstream provider limits the rate of requests. Try again later.',
  },
  overloaded: { code: 'overloaded', said: 'The upstream provider is overloaded. Try again later.' },
  'model-missing': {
    code: 'model_not_found',
    said: 'The upstream provider does not serve this model.',
  },
  server: { code: 'upstream_failed' },
};

const fallbackMessage: { readonly [K in UpstreamErrorKind]: string } = {
  request: 'The upstream provider refused the request.',
  'context-length': 'The prompt is longer than the context window of the model.',
  'content-filter': 'The content filter of the upstream provider refused the request.',
  credential: 'The gateway could not sign in at the upstream provider.',
  'quota-exhausted': 'The upstream provider has no quota left for this gateway.',
  'rate-limited': 'The upstream provider limits the rate of requests.',
  overloaded: 'The upstream provider is overloaded.',
  'model-missing': 'The upstream provider does not serve this model.',
  server: 'The upstream provider failed.',
};

/** Statuses of request errors that a client may see as they are. */
function requestStatus(status: number): number {
  return status === 413 || status === 415 || status === 422 ? status : 400;
}

// ---- classification -------------------------------------------------------------------------

const contextLength = new RegExp(
  [
    'context[ _-]?length[ _-]?exceeded',
    'maximum context length',
    'max(?:imum)? context length',
    'exceed(?:s|ed)?[^.]{0,60}context (?:length|window|size|limit)',
    'context (?:length|window|size|limit)[^.]{0,40}exceed',
    'prompt is too long',
    'prompt too long',
    'too_many_prompt_tokens',
    'model_context_window_exceeded',
    'input token count[^.]{0,60}exceeds',
    'input (?:is|was) too long',
    'input length[^.]{0,80}exceed',
    'range of input length should be',
    'too large for model with \\d+ maximum context',
    'reduce the length of the (?:messages|prompt|input)',
    'exceeds? the (?:maximum|max|model)[^.]{0,40}(?:tokens|context)',
    'request too large for model',
    'exceeds the available context size',
    'maximum prompt length is',
    'exceeded model token limit',
    'prompt exceeds max length',
    'too many tokens:[^.]{0,80}cannot exceed',
    'inputs`? tokens \\+ `?max_new_tokens`? must be',
    'must be less than (?:or equal to )?max_seq_len',
    'context length of only',
    'greater than the context length',
    'prompt 超长',
  ].join('|'),
  'i',
);
const quotaExhausted =
  /insufficient[_ ](?:quota|balance|funds|credits?)|exceeded_current_quota|billing_(?:error|hard_limit)|billing details|credit balance is too low|requires more credits|out of credits|arrearage|account[^.]{0,30}overdue|payment required|no longer has[^.]{0,20}credits|specified api usage limits|(?:used all|any) (?:available )?credits|balance (?:is )?insufficient|free_?tier_?only|enable billing|spending limit|余额不足|欠费/i;
const credentialWords =
  /invalid[_ -]?(?:x-)?api[_ -]?key|incorrect api key|api[_ ]key[_ ](?:invalid|not valid|expired)|API key not valid|authentication[_ ](?:error|fails)|invalid_authentication|unauthenticated|invalid subscription key|invalid (?:bearer )?token|unrecognized_?client|security token[^.]{0,30}invalid|no auth credentials|account_deactivated|organization_restricted|user location is not supported/i;
const contentFilter =
  /content[_ -]?filter|content management policy|content[_ ]policy|violates usage guidelines|responsibleaipolicy|moderation_(?:blocked|error)|data_?inspection_?failed|safety system|flagged (?:for|as)|prohibited_content|high risk|content exists risk|(?:text|image|audio|video)riskdetection|sensitive ?(?:content|information)|new_sensitive|contentfilter|不安全或敏感/i;
const modelMissing =
  /model[_ ]not[_ ]found|deploymentnotfound|deployment[^.]{0,60}does not exist|model(?:[^.]|\.(?=\S)){0,120}(?:does not exist|not exist|not found|is not found|not supported by|is not available|unknown model|been decommissioned|不存在)|unknown model|no such model|not a valid model|no endpoints found|invalid[_ ]model|model_not_supported|not allowed to sample|模型不存在|(?:not|n['’]t) have access to (?:this |the )?model|does not work with the specified model|model identifier is invalid|on-demand throughput/i;
const overloadedWords =
  /overloaded|server[_ ]is[_ ]busy|engine_overloaded|no capacity|at capacity|temporarily unavailable|resource_temporarily/i;
const rateLimitWords =
  /rate[_ -]?limit|too many requests|resource_exhausted|throttl|tokens per (?:min|day)|requests per/i;
/** Something of the vendor's that a request names: a file, an item of an earlier answer, a cached prompt. */
const namedThing =
  /\b(?:files?|items?|cachedcontent|container|vector ?store|prompt|skill|response|conversation)\b/i;
const thingMissing = /not found|no such|not exist|permission to access|expired/i;

/** A refusal may quote the whole request: the vendor's own words stand before it or after. */
const ownWordsMax = 4_000;

function ownWords(message: string): string {
  if (message.length <= 2 * ownWordsMax) return message;
  return `${message.slice(0, ownWordsMax)} ${message.slice(-ownWordsMax)}`;
}

function classify(status: number, facts: UpstreamErrorFacts): UpstreamErrorKind {
  const words = facts.words.join(' ');
  const text = `${words} ${ownWords(facts.message)}`;
  if (status < 500 && contextLength.test(text) && !/per (?:minute|day)|\b[TR]PM\b/i.test(text))
    return 'context-length';
  if (status === 402 || (status < 500 && quotaExhausted.test(text))) return 'quota-exhausted';
  if (status === 401) return 'credential';
  if (status < 500 && credentialWords.test(text)) return 'credential';
  if ((status === 400 || status === 403 || status === 422) && contentFilter.test(text))
    return 'content-filter';
  if ((status === 403 || status === 404) && missesThing(facts.message)) return 'request';
  if (status === 403) return modelMissing.test(text) ? 'model-missing' : 'credential';
  if (status === 404) return 'model-missing';
  if (status === 400 && modelMissing.test(text)) return 'model-missing';
  if (status === 429) return 'rate-limited';
  if (status === 529 || status === 503) return 'overloaded';
  if (status >= 500) return overloadedWords.test(text) ? 'overloaded' : 'server';
  if ([408, 409, 424, 425, 498, 499].includes(status)) return 'server';
  if (status === 400 && rateLimitWords.test(words)) return 'rate-limited';
  return 'request';
}

/** What a client named is not there, or is another account's: neither the model nor the key is at fault. */
function missesThing(message: string): boolean {
  const words = ownWords(message);
  return namedThing.test(words) && thingMissing.test(words) && !/\bmodels?\b/i.test(words);
}

/** The status of an error that came with HTTP 200: the body's own number, else by its words. */
function statusOf(value: JsonValue, facts: UpstreamErrorFacts): number {
  const object = asObject(asArray(value)?.[0] ?? value);
  const inner = asObject(object?.['error']) ?? object;
  for (const key of ['status_code', 'status', 'code']) {
    const number = Number(asNumber(inner?.[key]) ?? asString(inner?.[key]) ?? Number.NaN);
    if (Number.isInteger(number) && number >= 400 && number <= 599) return number;
  }
  const words = facts.words.join(' ');
  if (/rate_limit|resource_exhausted|too_many/i.test(words)) return 429;
  if (/overloaded|unavailable/i.test(words)) return 503;
  if (/authentication|invalid_api_key|unauthenticated/i.test(words)) return 401;
  if (/permission/i.test(words)) return 403;
  if (/not_found/i.test(words)) return 404;
  if (
    /invalid_request|invalid_argument|invalid-argument|tool_use_failed|context_length/i.test(words)
  )
    return 400;
  const text = `${words} ${ownWords(facts.message)}`;
  if (contextLength.test(text) || contentFilter.test(text)) return 400;
  return quotaExhausted.test(text) ? 429 : 500;
}

// ---- forms of bodies ------------------------------------------------------------------------

function readFacts(value: JsonValue): UpstreamErrorFacts {
  const object = asObject(asArray(value)?.[0] ?? value);
  if (!object) return { message: asString(value) ?? '', words: [] };
  const error = object['error'];
  const inner = asObject(error);
  if (inner) return factsOf(inner, object);
  if (typeof error === 'string') return { ...factsOf(object, object), message: error };
  return factsOf(object, object);
}

function factsOf(inner: JsonObject, outer: JsonObject): UpstreamErrorFacts {
  const metadata = asObject(inner['metadata']);
  const details = asObjects(inner['details']);
  const words = [
    asString(inner['code']),
    asString(inner['status']),
    asString(inner['type']),
    asString(asObject(inner['innererror'])?.['code']),
    asString(asObject(inner['details'])?.['error_code']),
    ...details.map((detail) => asString(detail['reason'])),
    inner === outer ? undefined : asString(outer['code']),
  ].filter((word): word is string => word !== undefined && word !== '' && word !== 'error');
  // OpenRouter tells what a moderation found beside a message of any wording.
  if (asArray(metadata?.['reasons'])) words.push('moderation_error');
  const raw = asString(metadata?.['raw']);
  const message = messageOf(inner);
  return {
    message: raw !== undefined && raw !== message ? `${message}: ${rawMessage(raw)}` : message,
    words,
    path: asString(inner['param']),
    retryAfterMs: retryDelayMs(details) ?? retryTextMs(message),
  };
}

/** `message`, Mistral's and FastAPI's `detail` (text, or a list of fields), Cohere's and others' variants. */
function messageOf(inner: JsonObject): string {
  const message =
    inner['message'] ??
    inner['Message'] ??
    inner['detail'] ??
    inner['msg'] ??
    inner['error_msg'] ??
    asObjects(inner['errors'])[0]?.['message'];
  if (typeof message === 'string') return message;
  const nested = asObject(message);
  const list = asArray(nested?.['detail'] ?? message) ?? [];
  const lines = list.map((entry) => {
    const field = asObject(entry);
    const where = asArray(field?.['loc'])?.join('.') ?? '';
    return `${where}: ${asString(field?.['msg']) ?? ''}`;
  });
  return lines.join('; ') || asString(nested?.['message']) || '';
}

/** OpenRouter quotes the provider's own error as text, often JSON again. */
function rawMessage(raw: string): string {
  const parsed = parseJson(raw);
  if (!parsed.ok) return looksLikeMarkup(raw) ? '' : raw;
  const object = asObject(parsed.value);
  const inner = asObject(object?.['error']) ?? object;
  return inner ? messageOf(inner) : '';
}

/** Gemini's `RetryInfo`: `{"retryDelay": "34.07s"}`. */
function retryDelayMs(details: readonly JsonObject[]): number | undefined {
  for (const detail of details) {
    const match = /^(\d{1,6}(?:\.\d+)?)s$/.exec(asString(detail['retryDelay']) ?? '');
    if (match) return Math.ceil(Number(match[1]) * 1_000);
  }
  return undefined;
}

/** "Please try again in 1.2s", "in 340ms", "in 2m30s": OpenAI and Groq say it in the message. */
function retryTextMs(message: string): number | undefined {
  const match =
    /(?:try again|retry) (?:in|after) (?:(\d{1,4})m(?!s))?(?:(\d{1,6}(?:\.\d+)?)(ms|s| seconds?)\b)?/i.exec(
      message,
    );
  if (!match || (match[1] === undefined && match[2] === undefined)) return undefined;
  const minutesMs = Number(match[1] ?? 0) * 60_000;
  return Math.ceil(minutesMs + Number(match[2] ?? 0) * (match[3] === 'ms' ? 1 : 1_000));
}

function looksLikeMarkup(body: string): boolean {
  return /^\s*<(?:!doctype|html|\?xml|head|body)/i.test(body);
}

// ---- words safe to show ---------------------------------------------------------------------

const secrets: readonly RegExp[] = [
  /\b(?:sk|pk|rk|gsk|xai|pplx|csk|fw|nvapi|hf|r8|key|ak|tgp)[-_][A-Za-z0-9_*.-]{6,}/g,
  /\bAIza[0-9A-Za-z_-]{10,}/g,
  /\bAKIA[0-9A-Z]{12,}/g,
  /\beyJ[0-9A-Za-z_-]{5,}(?:\.[0-9A-Za-z_-]+){0,2}/g,
  /\bBearer\s+\S+/gi,
  /\b(?:api[ _-]?key|token)\s*(?:provided)?\s*[:=]\s*\S+/gi,
  /\b(?:org|proj|organization|project|user|acct|team|workspace|wrkspc)[-_:](?=[A-Za-z0-9]*\d)[A-Za-z0-9_-]{6,}/g,
  /\bprojects?\/[a-z0-9-]{4,}/gi,
  /\*{3,}[A-Za-z0-9-]*/g,
];
const address = /\b(?:https?|wss?):\/\/\S+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b/gi;

/** The vendor's words without keys, ids of our accounts, and addresses; bounded in length. */
export function cleanMessage(message: string): string {
  let cleaned = message.slice(0, messageLengthMax * 2);
  for (const secret of secrets) cleaned = cleaned.replace(secret, '[hidden]');
  cleaned = cleaned.replace(address, '[address]').trim();
  return cleaned.length > messageLengthMax ? `${cleaned.slice(0, messageLengthMax)}…` : cleaned;
}
