import type { ResponseHeaders } from '../headers.ts';

/** How the end of a body is known. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

/** The head of a response, judged: what follows it and what may become of the connection. */
export type ResponseHead = {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly framing: Framing;
  /** Bytes of the body; 0 unless the framing is 'length'. */
  readonly bodyBytes: number;
  /** Whether the server offers the connection for another request. */
  readonly reusable: boolean;
  /** The server's own limit for an idle connection. */
  readonly keepAliveMs: number | undefined;
};

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$|\r)/;
/** What could end a line for one reader and not for another, and what never belongs into a head. */
const forbiddenText = /\r(?!\n)|(?<!\r)\n|[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/;
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const namesMax = 512;

type Fields = { [name: string]: string | string[] | undefined };

/** Reads heads strictly (RFC 9112); remembers the spelling of field names that it has seen. */
export class HeadReader {
  readonly #names = new Map<string, string>();

  /** `text` without the empty line. Gives the reason when the head breaks the protocol. */
  read(text: string, method: string): ResponseHead | string {
    const start = statusLine.exec(text);
    if (start === null) return 'the status line is not one of HTTP/1.1';
    if (forbiddenText.test(text)) return 'the head holds control characters';
    const headers: Fields = Object.create(null) as Fields;
    const firstEnd = text.indexOf('\r\n');
    let at = firstEnd < 0 ? text.length : firstEnd + 2;
    while (at < text.length) {
      const found = text.indexOf('\r\n', at);
      const end = found < 0 ? text.length : found;
      if (!this.#addField(headers, text, at, end)) return 'a header field cannot be read';
      at = end + 2;
    }
    return judged(Number(start[2]), start[1] === '1', headers, method);
  }

  #addField(headers: Fields, text: string, at: number, end: number): boolean {
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon >= end) return false;
    const name = this.#lowered(text.slice(at, colon));
    if (name === undefined) return false;
    let from = colon + 1;
    let to = end;
    while (from < to && isBlank(text.charCodeAt(from))) from += 1;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
    const value = text.slice(from, to);
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (typeof before === 'string') headers[name] = [before, value];
    else before.push(value);
    return true;
  }

  #lowered(name: string): string | undefined {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (!fieldName.test(name)) return undefined;
    const lower = name.toLowerCase();
    // Servers spell a few dozen names; more than that is noise that must not pile up.
    if (name.length <= 64 && this.#names.size < namesMax) this.#names.set(name, lower);
    return lower;
  }
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/** RFC 9112 section 6.3; where it lets a client guess, the answer is refused. */
function judged(
  status: number,
  isVersion11: boolean,
  headers: Fields,
  method: string,
): ResponseHead | string {
  const length = headers['content-length'];
  const coding = headers['transfer-encoding'];
  if (length !== undefined) {
    if (coding !== undefined) return 'the answer has both content-length and transfer-encoding';
    if (typeof length !== 'string' || !/^\d{1,15}$/.test(length))
      return 'the content-length cannot be read';
  }
  if (coding !== undefined) {
    if (!isVersion11) return 'a transfer-encoding in HTTP/1.0';
    if (typeof coding !== 'string' || coding.toLowerCase() !== 'chunked')
      return 'the transfer-encoding is not known';
  }
  const bodyBytes = length === undefined ? 0 : Number(length);
  const staysOpen = offersReuse(headers['connection'], isVersion11);
  const hint = headers['keep-alive'];
  const keepAliveMs = hint === undefined ? undefined : hintMs(String(hint));
  const common = { status, headers, keepAliveMs };
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
    // A body announced where none can be may follow all the same, and would answer the next request.
    const isSilent = method === 'HEAD' || (bodyBytes === 0 && coding === undefined);
    return { ...common, framing: 'none', bodyBytes: 0, reusable: staysOpen && isSilent };
  }
  if (coding !== undefined)
    return { ...common, framing: 'chunked', bodyBytes: 0, reusable: staysOpen };
  if (length !== undefined) return { ...common, framing: 'length', bodyBytes, reusable: staysOpen };
  return { ...common, framing: 'close', bodyBytes: 0, reusable: false };
}

function offersReuse(connection: string | string[] | undefined, isVersion11: boolean): boolean {
  if (connection === undefined) return isVersion11;
  const options = String(connection)
    .toLowerCase()
    .split(/[\t ,]+/);
  if (options.includes('close')) return false;
  return isVersion11 || options.includes('keep-alive');
}

function hintMs(hint: string): number | undefined {
  const seconds = /(?:^|[\t ,])timeout=(\d{1,9})/i.exec(hint)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
