/**
 * Whole numbers beyond 2⁵³ in the arguments of a tool: ids of 64 bits, which `JSON.parse` would round to
 * the id of something else. They are kept as their digits (`JSON.rawJSON`), which `JSON.stringify`
 * writes as they came. Everywhere else a number is a number.
 */

import type { JsonValue } from './json.ts';

type RawJson = { readonly rawJSON: string };

/** The types of the language do not have them yet. */
const json = JSON as unknown as {
  rawJSON(text: string): RawJson;
  isRawJSON(value: unknown): value is RawJson;
};

/** Digits of the least whole number that may be rounded. */
export const longDigits = 16;
/** The slow way takes a microsecond or two a value: a body of millions would hold all other requests up. */
const valuesMax = 20_000;

/**
 * Whether the text may hold such a number: looks at one character in sixteen. False as well where it holds
 * more values than are worth it: their numbers are rounded.
 */
export function mayHoldLongNumber(text: string): boolean {
  for (let index = longDigits - 1; index < text.length; index += longDigits) {
    if (!isDigit(text.charCodeAt(index))) continue;
    let start = index;
    while (start > 0 && isDigit(text.charCodeAt(start - 1))) start -= 1;
    let end = index + 1;
    while (end < text.length && isDigit(text.charCodeAt(end))) end += 1;
    if (end - start >= longDigits && beginsValue(text.charCodeAt(start - 1)))
      return hasFewValues(text);
    index += Math.floor((end - index) / longDigits) * longDigits;
  }
  return false;
}

/** Each value but the first of a list or an object stands behind a comma; in strings they count too. */
function hasFewValues(text: string): boolean {
  let count = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code !== 44 && code !== 91 && code !== 123) continue;
    count += 1;
    if (count > valuesMax) return false;
  }
  return true;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** What may stand before a number: white space, `[`, `,`, `-`, `:` or nothing. */
function beginsValue(code: number): boolean {
  return !(code > 32) || code === 91 || code === 44 || code === 45 || code === 58;
}

/** A reviver of `JSON.parse` that keeps the digits of what cannot be a number exactly. */
export function keepDigits(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || source === undefined || Number.isSafeInteger(value))
    return value;
  return /^-?\d+$/.test(source) ? json.rawJSON(source) : value;
}

/** Makes digits numbers again, in place, except in arguments and results of tools. */
export function roundOthers(value: JsonValue, container = ''): JsonValue {
  if (json.isRawJSON(value)) return Number(value.rawJSON);
  if (typeof value !== 'object' || value === null) return value;
  const members = value as Record<string, JsonValue>;
  for (const key of Object.keys(members)) {
    const member = members[key] ?? null;
    if (holdsToolData(key, container) && !Array.isArray(member) && !json.isRawJSON(member))
      continue;
    const rounded = roundOthers(member, key);
    if (rounded !== member) members[key] = rounded;
  }
  return value;
}

/**
 * Where dialects keep the arguments of a call as an object, and Gemini the result of one. In a schema the
 * same names are those of parameters.
 */
function holdsToolData(key: string, container: string): boolean {
  if (container === 'properties') return false;
  if (key === 'response') return /^function_?response$/i.test(container);
  return key === 'input' || key === 'args' || key === 'arguments';
}
