import type { Bill } from '#canonical';
import { formatUsd } from '#std';

const space = /\s/;

/**
 * The JSON text with the bill as the first members of its top-level `usageMetadata`; the same text
 * when there is none. Text before the first brace (SSE's `data: `, a comma) is passed over.
 */
export function annotateUsage(text: string, bill: Bill): string | undefined {
  const at = findObject(text, 'usageMetadata');
  if (at < 0) return undefined;
  const members = `"cost":${formatUsd(bill.costNanoUsd)},"receiptId":${JSON.stringify(bill.receiptId)}`;
  const isEmpty = text[skipSpace(text, at + 1)] === '}';
  return `${text.slice(0, at + 1)}${members}${isEmpty ? '' : ','}${text.slice(at + 1)}`;
}

/** Offset of the brace that opens the object under `key` of the top-level object, or -1. */
function findObject(text: string, key: string): number {
  let depth = 0;
  let position = text.indexOf('{');
  while (position >= 0 && position < text.length) {
    const character = text[position];
    if (character === '"') {
      const end = endOfString(text, position);
      if (depth === 1 && end - position === key.length + 2 && text.startsWith(key, position + 1)) {
        const value = valueOfKey(text, end);
        if (value >= 0 && text[value] === '{') return value;
      }
      position = end;
      continue;
    }
    if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') depth -= 1;
    position += 1;
  }
  return -1;
}

/** Offset of the value when the string before `position` was a key, else -1. */
function valueOfKey(text: string, position: number): number {
  const colon = skipSpace(text, position);
  return text[colon] === ':' ? skipSpace(text, colon + 1) : -1;
}

function skipSpace(text: string, position: number): number {
  let at = position;
  while (at < text.length && space.test(text[at] ?? '')) at += 1;
  return at;
}

/** Offset after the closing quote of the string that opens at `start`. */
export function endOfString(text: string, start: number): number {
  let position = start + 1;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (quote < 0) return text.length;
    let escapes = 0;
    while (text[quote - 1 - escapes] === '\\') escapes += 1;
    if (escapes % 2 === 0) return quote + 1;
    position = quote + 1;
  }
}
