import type { Bill } from '#canonical';
import { formatUsd } from '#std';

/**
 * `text` (a JSON object) with the bill spliced into its top-level `usage` object; every other
 * character stays as it is. `undefined` when there is no such object.
 */
export function spliceBill(text: string, bill: Bill): string | undefined {
  const open = findMember(text, 'usage');
  if (open === undefined || text[open] !== '{') return undefined;
  const close = skipValue(text, open) - 1;
  if (text[close] !== '}') return undefined;
  const empty = text.slice(open + 1, close).trim() === '';
  const members = `"cost":${formatUsd(bill.costNanoUsd)},"receipt_id":${JSON.stringify(bill.receiptId)}`;
  return `${text.slice(0, close)}${empty ? '' : ','}${members}${text.slice(close)}`;
}

/** Offset of the value of a top-level member of the object that `text` holds. */
function findMember(text: string, key: string): number | undefined {
  let at = skipSpace(text, 0);
  if (text[at] !== '{') return undefined;
  at = skipSpace(text, at + 1);
  while (text[at] === '"') {
    const keyEnd = skipString(text, at);
    const name = text.slice(at + 1, keyEnd - 1);
    at = skipSpace(text, keyEnd);
    if (text[at] !== ':') return undefined;
    at = skipSpace(text, at + 1);
    if (name === key) return at;
    at = skipSpace(text, skipValue(text, at));
    if (text[at] !== ',') return undefined;
    at = skipSpace(text, at + 1);
  }
  return undefined;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
    at += 1;
  }
}

/** Offset after the string that starts at `from`; the end of the text when it never closes. */
function skipString(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 1;
    else if (code === 0x22) return at + 1;
  }
  return text.length;
}

/** Offset after the value that starts at `from`. */
function skipValue(text: string, from: number): number {
  const first = text[from];
  if (first === '"') return skipString(text, from);
  if (first !== '{' && first !== '[') {
    let at = from;
    while (at < text.length && !/[,\]}\s]/.test(text[at] ?? '')) at += 1;
    return at;
  }
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = skipString(text, at) - 1;
    else if (code === 0x7b || code === 0x5b) depth += 1;
    else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}
