/** Step 3: what the client wants, decoded and bounded. */

import { fail, type ChatRequest, type Loss, type Message } from '#canonical';
import type { Dialect, StreamForm } from '#dialects';
import type { Hints, Preset, ServiceClass } from '#routing';
import {
  asArray,
  asNumber,
  asObject,
  asString,
  billedKeys,
  decodeJsonText,
  parseScannedJson,
  parseUsd,
  ReadError,
  scanJson,
  type JsonObject,
  type JsonScan,
  type JsonValue,
  type NanoUsd,
} from '#std';
import type { Exchange } from './http/index.ts';

/** Wishes addressed to the gateway, not to a vendor: they never leave. */
export type Wishes = {
  readonly hints: Hints;
  /** Other models to try when the first has no channel left. */
  readonly fallbackModels: readonly string[];
  readonly maxCostNanoUsd: NanoUsd | undefined;
  readonly class: ServiceClass;
  readonly strict: boolean;
  readonly sessionKey: string | undefined;
  readonly idempotencyKey: string | undefined;
};

export type ChatCall = {
  /** The wallet whose conversations these are. */
  readonly owner: string;
  readonly dialect: Dialect;
  readonly form: StreamForm;
  body: Uint8Array;
  /** Absent: the body has to be written anew. */
  scan: JsonScan | undefined;
  wire: JsonObject;
  readonly request: ChatRequest;
  readonly wishes: Wishes;
  /** The client's headers, for the few that a vendor of the same dialect has to see. */
  readonly header: (name: string) => string | undefined;
  /** What was fetched for a vendor that does not fetch: the next vendor is given the same. */
  readonly media: Map<string, FetchedFile>;
};

/** A file behind a URL, by the URL's text; `data` in base64. */
export type FetchedFile = { readonly data: string; readonly mimeType: string };

/** Body fields that are wishes to the gateway. */
export const wishFields: readonly string[] = [
  'provider',
  'models',
  'route',
  'transforms',
  'max_cost',
  'routing',
];

/**
 * Of these, the ones that go to no vendor: it does not know them, or would answer with another model, whose price and
 * whether the key may use it are known here only.
 */
export const ownWishFields: readonly string[] = ['max_cost', 'routing', 'models', 'route'];

/** `scan` describes the client's own bytes; it is absent when `wire` is no longer what they say. */
export type ParsedBody = { readonly scan: JsonScan | undefined; readonly wire: JsonObject };

/** Parses a body under all limits. Throws GatewayFailure `invalid_json` or `invalid_request`. */
export function parseBody(body: Uint8Array): ParsedBody {
  const scan = scanJson(body, { uniqueKeys: billedKeys });
  if (!scan.ok) {
    const code =
      scan.fault === 'too-large'
        ? 'body_too_large'
        : scan.fault === 'duplicate-key'
          ? 'invalid_request'
          : 'invalid_json';
    fail(code, `The body cannot be read: ${scan.message} (byte ${scan.offset}).`, {
      path: scan.path === '' ? undefined : scan.path,
    });
  }
  const parsed = parseScannedJson(decodeJsonText(body), scan.longScalar);
  if (!parsed.ok) fail('invalid_json', `The body is not valid JSON: ${parsed.message}.`);
  const wire = asObject(parsed.value);
  if (!wire) fail('invalid_request', 'The body must be a JSON object.');
  return { scan, wire };
}

/** Turns a codec's ReadError into the client's 400, with path and remedy. */
export function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ReadError)) throw error;
    const where = error.path === '' ? '' : `\`${error.path}\`: `;
    return fail('invalid_request', `${where}${error.message}.`.replace(/\.\.$/, '.'), {
      path: error.path === '' ? undefined : error.path,
    });
  }
}

export function decodeChat(
  exchange: Exchange,
  owner: string,
  dialect: Dialect,
  form: StreamForm,
  context: { model?: string; stream?: boolean },
  parsed: ParsedBody,
): ChatCall {
  const { scan, wire } = parsed;
  for (const field of dialect.request.required ?? []) {
    if (wire[field] === undefined || wire[field] === null)
      fail('invalid_request', `\`${field}\`: this field is required.`, { path: field });
  }
  const decoded = reading(() => dialect.request.decode(wire, context));
  const wishes = reading(() => readWishes(exchange, wire, decoded));
  const request = { ...decoded, extensions: withoutWishes(decoded.extensions) };
  return {
    owner,
    dialect,
    form,
    body: exchange.body,
    scan,
    wire,
    request,
    wishes,
    header: headerOf(exchange),
    media: new Map(),
  };
}

/** Apart, because a function keeps all that the others beside it were made with: here the conversation. */
function headerOf(exchange: Exchange): (name: string) => string | undefined {
  return (name) => exchange.header(name);
}

const noBytes = new Uint8Array(0);

/**
 * Lets go of what only another attempt would read: an answer may take minutes, and a conversation
 * megabytes. The instructions stay, because some answers repeat them.
 */
export function forgetConversation(call: ChatCall): void {
  call.body = noBytes;
  call.scan = undefined;
  call.wire = {};
  call.media.clear();
  const request: { messages: readonly Message[] } = call.request;
  request.messages = request.messages.filter(({ place }) => place === 'instructions');
}

function withoutWishes(extensions: JsonObject): JsonObject {
  if (!wishFields.some((field) => field in extensions)) return extensions;
  return Object.fromEntries(
    Object.entries(extensions).filter(([key]) => !wishFields.includes(key)),
  );
}

function readWishes(exchange: Exchange, wire: JsonObject, request: ChatRequest): Wishes {
  const provider = asObject(wire['provider']) ?? {};
  const serviceClass =
    asString(wire['service_tier']) === 'flex'
      ? 'flex'
      : classOf(exchange.header('x-manifold-class'));
  return {
    hints: readHints(
      provider,
      exchange.header('x-manifold-preset') ?? asString(asObject(wire['routing'])?.['preset']),
    ),
    fallbackModels: (asArray(wire['models']) ?? [])
      .filter((name): name is string => typeof name === 'string')
      .slice(0, 8),
    maxCostNanoUsd: readMaxCost(wire['max_cost'] ?? exchange.header('x-manifold-max-cost')),
    class: serviceClass,
    strict: exchange.header('x-manifold-strict') === 'true',
    sessionKey: exchange.header('x-session-id') ?? request.promptCacheKey,
    idempotencyKey: exchange.header('idempotency-key'),
  };
}

function classOf(text: string | undefined): ServiceClass {
  return text === 'batch' || text === 'flex' ? text : 'interactive';
}

function readMaxCost(value: JsonValue | undefined): NanoUsd | undefined {
  if (value === undefined || value === null) return undefined;
  const amount = parseUsd(typeof value === 'number' ? value.toFixed(9) : String(value));
  if (amount === undefined || amount < 0)
    throw new ReadError('max_cost', 'expected US dollars as a decimal number, such as 0.05');
  return amount;
}

/** OpenRouter's `provider` object, so that its clients need no change. */
function readHints(provider: JsonObject, presetName: string | undefined): Hints {
  const names = (key: string): readonly string[] | undefined => {
    const list = asArray(provider[key])?.filter((name): name is string => typeof name === 'string');
    return list && list.length > 0 ? list : undefined;
  };
  const order = names('order');
  const only = names('only');
  const ignore = names('ignore');
  const sort = asString(provider['sort']);
  const price = asObject(provider['max_price']);
  const preset = presetOf(presetName);
  return {
    ...(order ? { order } : {}),
    ...(only ? { only } : {}),
    ...(ignore ? { ignore } : {}),
    ...(sort === 'price' || sort === 'latency' || sort === 'throughput' ? { sort } : {}),
    ...(provider['allow_fallbacks'] === false ? { allowFallbacks: false } : {}),
    ...(price ? { maxPrice: readMaxPrice(price) } : {}),
    ...(preset ? { preset } : {}),
  };
}

function presetOf(name: string | undefined): Preset | undefined {
  return name === 'fast' || name === 'balanced' || name === 'cheap' ? name : undefined;
}

function readMaxPrice(price: JsonObject): NonNullable<Hints['maxPrice']> {
  const nano = (key: string): number | undefined => {
    const value = price[key];
    const text = typeof value === 'string' ? value : asNumber(value)?.toFixed(9);
    return text === undefined ? undefined : parseUsd(text);
  };
  const input = nano('prompt');
  const output = nano('completion');
  return {
    ...(input === undefined ? {} : { inputNanoUsdPerMillion: input }),
    ...(output === undefined ? {} : { outputNanoUsdPerMillion: output }),
  };
}

/** Losses as the client is told of them: one header value, bounded. */
export function lossesHeader(losses: readonly Loss[]): string | undefined {
  if (losses.length === 0) return undefined;
  const unique = [...new Set(losses.map((loss) => `${loss.path}: ${loss.reason}`))];
  const text = unique.join('; ').replace(/[^\x20-\x7e]/g, '?');
  return text.length > 1000 ? `${text.slice(0, 997)}...` : text;
}
