/** Reads the heads of requests about which no two readers of HTTP/1.1 can differ, and no others. */

import type { RequestHead } from './exchange.ts';
import { isWellFormedTarget, singleHeaders, vetHost, type VetRules } from './vet.ts';

/** The head of a request that is plain: by RFC 9112 it can be read in one way only. */
export type PlainHead = RequestHead & { readonly contentLength: number };

const lineBreak = '\r\n';
const lastWord = ' HTTP/1.1';
const bodiless = 'no body';
const sized = 'body of a stated length';

/** The methods of the data plane, and how the body of each is known. */
const methods: ReadonlyMap<string, typeof bodiless | typeof sized> = new Map([
  ['GET', bodiless],
  ['DELETE', bodiless],
  ['POST', sized],
]);

/** Anything but printable ASCII, tabs and line breaks of two characters. */
const strayCharacter = /[^\t\r\n\x20-\x7e]|\r(?!\n)|(?<!\r)\n/;
const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const lengthPattern = /^(?:0|[1-9][0-9]{0,9})$/;
const keepAlivePattern = /^keep-alive$/i;
/** A line of the head that has not ended. */
const unfinishedField = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?::[\t\x20-\x7e]*)?)?\r?$/;

const doubtful = 0;

/**
 * Fields with a meaning for the connection. Those with a bit of their own stand once at most; the
 * doubtful ones change how a message is read, or who reads it.
 */
const special: ReadonlyMap<string, number> = new Map([
  ...[...singleHeaders, 'connection'].map((name, index) => [name, 2 ** index] as const),
  ['transfer-encoding', doubtful],
  ['content-encoding', doubtful],
  ['expect', doubtful],
  ['upgrade', doubtful],
  ['proxy-connection', doubtful],
]);

/** Fields that are remembered beyond their request; their values must not keep the whole head alive. */
const remembered: ReadonlySet<string> = new Set(['idempotency-key', 'x-session-id']);

/** Names as clients spell them, so that the usual ones are neither checked nor lower-cased anew. */
const usualNames: ReadonlyMap<string, string> = new Map(
  [
    ...singleHeaders,
    'accept',
    'accept-encoding',
    'accept-language',
    'anthropic-beta',
    'anthropic-version',
    'connection',
    'sec-fetch-mode',
    'user-agent',
    'x-app',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-goog-api-client',
    'x-real-ip',
    'x-session-id',
    'x-stainless-arch',
    'x-stainless-lang',
    'x-stainless-os',
    'x-stainless-package-version',
    'x-stainless-retry-count',
    'x-stainless-runtime',
    'x-stainless-runtime-version',
    'x-stainless-timeout',
  ].flatMap((name) => [
    [name, name],
    [name.replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase()), name],
  ]),
);

/**
 * Reads a complete head, without the empty line at its end, from its bytes as latin1. Undefined
 * when there is any doubt; that is no verdict, but leaves the request to the parser of Node.
 */
export function readPlainHead(text: string, rules: VetRules): PlainHead | undefined {
  if (strayCharacter.test(text)) return undefined;
  const lineEnd = endOfLine(text, 0);
  const methodEnd = text.indexOf(' ');
  const method = text.slice(0, methodEnd);
  const framing = methods.get(method);
  const target = text.slice(methodEnd + 1, lineEnd - lastWord.length);
  if (framing === undefined || !text.startsWith(lastWord, lineEnd - lastWord.length))
    return undefined;
  if (!isWellFormedTarget(target)) return undefined;
  const fields = new FieldReader(text, lineEnd + lineBreak.length, rules);
  if (!fields.read() || !fields.hasHost) return undefined;
  if ((framing === sized) !== fields.contentLength >= 0) return undefined;
  return { method, target, headers: fields, contentLength: Math.max(0, fields.contentLength) };
}

/** Whether what has come of a head so far can still become a plain one. */
export function mayBecomePlain(text: string, rules: VetRules): boolean {
  const lineEnd = text.lastIndexOf(lineBreak);
  if (lineEnd < 0 || !unfinishedField.test(text.slice(lineEnd + lineBreak.length))) return false;
  const firstEnd = endOfLine(text, 0);
  const line = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(text.slice(0, firstEnd));
  const [, method = '', target = ''] = line ?? [];
  if (!methods.has(method) || !isWellFormedTarget(target)) return false;
  const complete = text.slice(0, lineEnd);
  if (strayCharacter.test(complete)) return false;
  return new FieldReader(complete, firstEnd + lineBreak.length, rules).read();
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf(lineBreak, from);
  return end < 0 ? text.length : end;
}

/** Reads the fields of a head; afterwards it is the list of them. */
class FieldReader {
  readonly names: string[] = [];
  readonly values: string[] = [];
  contentLength = -1;
  hasHost = false;
  readonly #text: string;
  readonly #rules: VetRules;
  #at: number;
  #seen = 0;

  constructor(text: string, from: number, rules: VetRules) {
    this.#text = text;
    this.#at = from;
    this.#rules = rules;
  }

  /** False when one of them is in doubt. */
  read(): boolean {
    const text = this.#text;
    while (this.#at < text.length) {
      const end = endOfLine(text, this.#at);
      const colon = text.indexOf(':', this.#at);
      if (colon < 0 || colon > end || this.names.length === this.#rules.headersMax) return false;
      const spelled = text.slice(this.#at, colon);
      const name = usualNames.get(spelled) ?? lowerToken(spelled);
      const value = trimmed(text, colon + 1, end);
      if (name === undefined || !this.#admits(name, value)) return false;
      this.names.push(name);
      this.values.push(remembered.has(name) ? Buffer.from(value).toString() : value);
      this.#at = end + lineBreak.length;
    }
    return true;
  }

  #admits(name: string, value: string): boolean {
    const bit = special.get(name);
    if (bit === undefined) return true;
    if (bit === doubtful || (this.#seen & bit) !== 0) return false;
    this.#seen |= bit;
    if (name === 'connection') return keepAlivePattern.test(value);
    if (name === 'host') {
      this.hasHost = true;
      return vetHost(value, this.#rules.allowedHosts) === undefined;
    }
    if (name !== 'content-length') return true;
    if (!lengthPattern.test(value)) return false;
    this.contentLength = Number(value);
    return true;
  }
}

function lowerToken(spelled: string): string | undefined {
  return tokenPattern.test(spelled) ? spelled.toLowerCase() : undefined;
}

/** A field value without the blanks around it (RFC 9112, 5). */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
