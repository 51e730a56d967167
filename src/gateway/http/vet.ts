import type { IncomingMessage } from 'node:http';
import { gatewayError, type GatewayError } from '#canonical';

/** Headers of a request in the order of the wire; names in lower case. */
export type HeaderList = {
  readonly names: readonly string[];
  readonly values: readonly string[];
};

/** The value of a header, repeated ones joined by ", "; undefined when it is absent. */
export function headerValue(headers: HeaderList, name: string): string | undefined {
  const { names, values } = headers;
  let joined: string | undefined;
  for (let index = 0; index < names.length; index++) {
    if (names[index] !== name) continue;
    const value = values[index] ?? '';
    joined = joined === undefined ? value : `${joined}, ${value}`;
  }
  return joined;
}

/** Reads the raw headers once; `request.headers` is never built. */
export function readHeaders(request: IncomingMessage): HeaderList {
  const raw = request.rawHeaders;
  const names: string[] = [];
  const values: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    names.push((raw[index] ?? '').toLowerCase());
    values.push(raw[index + 1] ?? '');
  }
  return { names, values };
}

/** Headers that must not stand twice, because two readers could choose different ones. */
export const singleHeaders: ReadonlySet<string> = new Set([
  'host',
  'authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'expect',
  'origin',
  'idempotency-key',
  'x-request-id',
]);

const hostPattern =
  /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}))(?::[0-9]{1,5})?$/;
const targetPattern = /^\/(?!\/)[!-~]*$/;
const bodilessMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** What the front accepts beyond the grammar of HTTP. */
export type VetRules = {
  readonly headersMax: number;
  readonly allowedHosts: ReadonlySet<string> | undefined;
};

/**
 * Refuses requests that Node's parser lets through although two servers could read them
 * differently (RFC 9112, 3.2, 6.1, 11.2), or that only an attacker sends. Returns the error to
 * answer with, after which the connection must be closed; undefined when the request is clean.
 */
export function vetRequest(
  request: IncomingMessage,
  headers: HeaderList,
  rules: VetRules,
): GatewayError | undefined {
  const method = request.method ?? '';
  const target = request.url ?? '';
  const { names, values } = headers;
  if (names.length > rules.headersMax) {
    return gatewayError('malformed_http', `more than ${rules.headersMax} header fields`, {
      status: 431,
    });
  }
  if (request.httpVersionMajor !== 1 || request.httpVersionMinor > 1)
    return malformed('the protocol is HTTP/1.1');
  if (!isWellFormedTarget(target)) {
    return malformed('the request target must be a path that starts with one "/"');
  }
  let seenSingle = '';
  let hasHost = false;
  let hasBody = false;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] ?? '';
    const value = values[index] ?? '';
    if (singleHeaders.has(name)) {
      if (seenSingle.includes(`|${name}|`)) return malformed(`the header ${name} stands twice`);
      seenSingle += `|${name}|`;
    }
    if (name === 'host') {
      hasHost = true;
      const fault = vetHost(value, rules.allowedHosts);
      if (fault !== undefined) return fault;
    } else if (name === 'transfer-encoding') {
      hasBody = true;
      if (value.toLowerCase() !== 'chunked')
        return malformed('the only transfer-encoding is chunked');
      if (request.httpVersionMinor === 0) return malformed('HTTP/1.0 has no transfer-encoding');
    } else if (name === 'content-length') hasBody ||= value !== '0';
    else if (name === 'upgrade') return malformed('this address speaks HTTP/1.1 only; no Upgrade');
  }
  if (!hasHost && request.httpVersionMinor > 0) return malformed('the Host header is missing');
  if (hasBody && bodilessMethods.has(method))
    return malformed(`a ${method} request must not have a body`);
  return undefined;
}

/** Whether a request target is a path with a query at most, and everybody would read the same in it. */
export function isWellFormedTarget(target: string): boolean {
  return targetPattern.test(target) && !target.includes('#') && !target.includes('\\');
}

function malformed(message: string): GatewayError {
  return gatewayError('malformed_http', message);
}

/** What is wrong with the value of a Host header. */
export function vetHost(
  host: string,
  allowed: ReadonlySet<string> | undefined,
): GatewayError | undefined {
  if (!hostPattern.test(host))
    return malformed('the Host header is not a host name with an optional port');
  if (allowed === undefined) return undefined;
  const name = host.replace(/:[0-9]+$/, '').toLowerCase();
  return allowed.has(name) ? undefined : malformed('the Host header names no host of this server');
}
