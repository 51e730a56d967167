/**
 * Finding and setting members in JSON text without parsing or rewriting it. The text has been parsed
 * before, so it is well-formed; everything that no edit names keeps its characters.
 */

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;

/** Bounds of a value in a text. */
export type TextSpan = { readonly start: number; readonly end: number };

/** The object under `key` of the object that `text` holds; the last one where the key stands twice. */
export function findMemberObject(text: string, key: string): TextSpan | undefined {
  const near = findNearEnd(text, key);
  if (near) return near;
  const open = skipSpace(text, 0);
  const member = findMember(text, open, key);
  return member && text.charCodeAt(member.start) === openBrace ? member : undefined;
}

/**
 * The text with `members` (key and JSON text of the value) set in the object at `object`: replaced or appended, or
 * taken out where there is no value.
 */
export function setMembers(
  text: string,
  object: TextSpan,
  members: readonly (readonly [key: string, value: string | undefined])[],
): string {
  let inner = text.slice(object.start, object.end);
  for (const [key, value] of members)
    inner = value === undefined ? withoutMember(inner, key) : setMember(inner, key, value);
  return text.slice(0, object.start) + inner + text.slice(object.end);
}

function setMember(object: string, key: string, value: string): string {
  const name = `"${key}"`;
  const member = object.includes(name) ? findMember(object, 0, key) : undefined;
  if (member) return object.slice(0, member.start) + value + object.slice(member.end);
  const close = object.length - 1;
  const isEmpty = object.charCodeAt(skipSpace(object, 1)) === closeBrace;
  return `${object.slice(0, close)}${isEmpty ? '' : ','}${name}:${value}}`;
}

/** Without the member, however often it is there, and one of the commas around it. */
function withoutMember(object: string, key: string): string {
  let rest = object;
  for (let value = findMember(rest, 0, key); value; value = findMember(rest, 0, key)) {
    const colonAt = rest.lastIndexOf(':', value.start - 1);
    const start = rest.lastIndexOf(`"${key}"`, colonAt);
    const behind = skipSpace(rest, value.end);
    if (rest.charCodeAt(behind) === comma)
      rest = rest.slice(0, start) + rest.slice(skipSpace(rest, behind + 1));
    else rest = rest.slice(0, start).replace(/,?\s*$/, '') + rest.slice(value.end);
  }
  return rest;
}

/** How much of a text is looked at from its end before it is read from its start. */
const tailMax = 16_384;

/**
 * Vendors write their counts last, behind an answer of any length. A quote inside a string is escaped,
 * so a key between quotes is one; it belongs to the outermost object when only this object closes
 * behind it.
 */
function findNearEnd(text: string, key: string): TextSpan | undefined {
  const name = `"${key}"`;
  const at = text.lastIndexOf(name);
  if (at < 1 || text.length - at > tailMax || text.charCodeAt(at - 1) === backslash)
    return undefined;
  const separator = skipSpace(text, at + name.length);
  if (text.charCodeAt(separator) !== colon) return undefined;
  const start = skipSpace(text, separator + 1);
  if (text.charCodeAt(start) !== openBrace) return undefined;
  const end = skipValue(text, start);
  return closesOutermost(text, end) ? { start, end } : undefined;
}

function closesOutermost(text: string, from: number): boolean {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) at = skipString(text, at) - 1;
    else if (code === openBrace || code === openBracket) depth += 1;
    else if (code === closeBrace || code === closeBracket) {
      depth -= 1;
      if (depth < 0) return code === closeBrace && skipSpace(text, at + 1) === text.length;
    }
  }
  return false;
}

/** Bounds of the value of a member of the object that opens at `from`, the last of its name. */
export function findMember(text: string, from: number, key: string): TextSpan | undefined {
  if (text.charCodeAt(from) !== openBrace) return undefined;
  let found: TextSpan | undefined;
  let at = skipSpace(text, from + 1);
  while (text.charCodeAt(at) === quote) {
    const keyEnd = skipString(text, at);
    const isNamed = keyEnd - at === key.length + 2 && text.startsWith(key, at + 1);
    at = skipSpace(text, keyEnd);
    if (text.charCodeAt(at) !== colon) return found;
    const start = skipSpace(text, at + 1);
    const end = skipValue(text, start);
    if (isNamed) found = { start, end };
    at = skipSpace(text, end);
    if (text.charCodeAt(at) !== comma) return found;
    at = skipSpace(text, at + 1);
  }
  return found;
}

export function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at += 1;
  return at;
}

/** Offset after the string that opens at `from`; the end of the text when it never closes. */
export function skipString(text: string, from: number): number {
  let close = text.indexOf('"', from + 1);
  while (close >= 0) {
    let escapes = close;
    while (text.charCodeAt(escapes - 1) === backslash) escapes -= 1;
    if ((close - escapes) % 2 === 0) return close + 1;
    close = text.indexOf('"', close + 1);
  }
  return text.length;
}

/** Offset after the value that begins at `from`. */
export function skipValue(text: string, from: number): number {
  if (text.charCodeAt(from) === quote) return skipString(text, from);
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) at = skipString(text, at) - 1;
    else if (code === openBrace || code === openBracket) depth += 1;
    else if (code === closeBrace || code === closeBracket) {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (code === comma || code <= 0x20)) return at;
  }
  return text.length;
}

/**
 * The text with each list of numbers that is a member `key` cut to `[0]`, without a look at the numbers: what stands
 * around the vectors of a megabyte is then parsed in no time. Lists that begin with anything else stay, and so do
 * those with texts, lists or objects in them.
 */
export function shortenNumberLists(text: string, key: string): string {
  const name = `"${key}"`;
  let shortened = '';
  let copied = 0;
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at)) {
    const isMember = text.charCodeAt(at - 1) !== backslash;
    at += name.length;
    const list = isMember ? numberListAfter(text, at) : undefined;
    if (!list) continue;
    shortened += `${text.slice(copied, list.start)}[0]`;
    copied = at = list.end;
  }
  return copied === 0 ? text : shortened + text.slice(copied);
}

function numberListAfter(text: string, from: number): TextSpan | undefined {
  const separator = skipSpace(text, from);
  if (text.charCodeAt(separator) !== colon) return undefined;
  const start = skipSpace(text, separator + 1);
  if (text.charCodeAt(start) !== openBracket) return undefined;
  const close = text.indexOf(']', start);
  const isFlat = ['"', '[', '{'].every((opening) => {
    const other = text.indexOf(opening, start + 1);
    return other < 0 || other > close;
  });
  if (close < 0 || !isFlat || !/[-0-9]/.test(text.charAt(skipSpace(text, start + 1))))
    return undefined;
  return { start, end: close + 1 };
}
