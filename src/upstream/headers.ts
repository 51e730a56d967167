/** Fields of a response by name in lower case; a repeated one has all its values. */
export type ResponseHeaders = { readonly [name: string]: string | string[] | undefined };

/** Fields that belong to a connection, or that the transport writes itself. Never taken from callers. */
const connectionHeaders: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const namePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible characters, spaces and tabs; 8-bit text is left out because servers disagree about it. */
const valuePattern = /^[\t\x20-\x7e]*$/;

/** Whether a field with this value can be sent to an upstream. */
export function isSendableValue(value: string): boolean {
  return valuePattern.test(value);
}

/**
 * The head of an outbound request as flat pairs. Answers are asked for uncompressed, because a
 * compressed stream is held back by whoever compresses. Throws RangeError on a name or value that
 * could end the header.
 */
export function outboundHeaders(headers: Readonly<Record<string, string>>): string[] {
  const flat: string[] = [];
  let asksEncoding = false;
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (connectionHeaders.has(lower)) continue;
    if (!namePattern.test(name) || !valuePattern.test(value)) {
      throw new RangeError(
        `the outbound header ${lower.replace(/[^a-z0-9-]/g, '?')} cannot be sent`,
      );
    }
    if (lower === 'accept-encoding') asksEncoding = true;
    flat.push(name, value);
  }
  if (!asksEncoding) flat.push('accept-encoding', 'identity');
  return flat;
}

/** Response headers that may be told to others than the one who reads the answer. */
const forwardable: ReadonlySet<string> = new Set([
  'content-type',
  'retry-after',
  'retry-after-ms',
  'request-id',
  'x-request-id',
  'openai-model',
  'openai-processing-ms',
  'openai-version',
]);

const forwardablePrefixes: readonly string[] = [
  'x-ratelimit-',
  'ratelimit-',
  'anthropic-ratelimit-',
];

/** The allowed headers of a response, repeated ones joined by ", ". */
export function forwardableHeaders(headers: ResponseHeaders): Readonly<Record<string, string>> {
  const allowed: Record<string, string> = {};
  for (const name of Object.keys(headers)) {
    if (!forwardable.has(name) && !forwardablePrefixes.some((prefix) => name.startsWith(prefix)))
      continue;
    const value = joinedHeader(headers, name);
    if (value !== undefined && valuePattern.test(value)) allowed[name] = value;
  }
  return allowed;
}

/** The value of one header; `name` in lower case. */
export function joinedHeader(headers: ResponseHeaders, name: string): string | undefined {
  if (!Object.hasOwn(headers, name)) return undefined;
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
