import type { Bill } from '#canonical';
import { formatUsd } from '#std';

/** Values of the bill's fields as JSON text, in the order in which they are written. */
function billMembers(bill: Bill): readonly (readonly [key: string, value: string])[] {
  return [
    ['cost', formatUsd(bill.costNanoUsd)],
    ['receipt_id', JSON.stringify(bill.receiptId)],
  ];
}

/**
 * `text` (a JSON object) with the bill in the object at `path` (`['usage']`); all other characters
 * stay. A vendor's own `cost` is replaced: it is what the operator pays. `undefined` when there is
 * no such object.
 */
export function spliceBill(text: string, path: readonly string[], bill: Bill): string | undefined {
  let at = skipSpace(text, 0);
  for (const key of path) {
    const member = findMember(text, at, key);
    if (!member) return undefined;
    at = member.start;
  }
  if (text[at] !== '{') return undefined;
  let spliced = text;
  for (const [key, value] of billMembers(bill)) spliced = setMember(spliced, at, key, value);
  return spliced;
}

/** Sets one member of the object that opens at `at`; offsets before `at` do not move. */
function setMember(text: string, at: number, key: string, value: string): string {
  const member = findMember(text, at, key);
  if (member) return text.slice(0, member.start) + value + text.slice(member.end);
  const close = skipValue(text, at) - 1;
  const empty = text.slice(at + 1, close).trim() === '';
  return `${text.slice(0, close)}${empty ? '' : ','}${JSON.stringify(key)}:${value}${text.slice(close)}`;
}

/** Bounds of the value of a member of the object that opens at `from`. */
function findMember(
  text: string,
  from: number,
  key: string,
): { start: number; end: number } | undefined {
  if (text[from] !== '{') return undefined;
  let at = skipSpace(text, from + 1);
  while (text[at] === '"') {
    const keyEnd = skipString(text, at);
    const name = text.slice(at + 1, keyEnd - 1);
    at = skipSpace(text, keyEnd);
    if (text[at] !== ':') return undefined;
    const start = skipSpace(text, at + 1);
    const end = skipValue(text, start);
    if (name === key) return { start, end };
    at = skipSpace(text, end);
    if (text[at] !== ',') return undefined;
    at = skipSpace(text, at + 1);
  }
  return undefined;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at += 1;
  return at;
}

/** Offset after the string that opens at `from`; the end of the text when it never closes. */
export function skipString(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 1;
    else if (code === 0x22) return at + 1;
  }
  return text.length;
}

/** Offset after the value that begins at `from`. */
function skipValue(text: string, from: number): number {
  const first = text[from];
  if (first === '"') return skipString(text, from);
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = skipString(text, at) - 1;
    else if (code === 0x7b || code === 0x5b) depth += 1;
    else if (code === 0x7d || code === 0x5d) {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (code === 0x2c || code <= 0x20)) return at;
  }
  return text.length;
}
