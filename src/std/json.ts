/**
 * JSON as data from outside: the value types, the only `JSON.parse` of the program, and readers.
 *
 * Two attitudes, two families of readers. What users send is read strictly (`required…`,
 * `optional…`: throw {@link ReadError} with the path of the field). What vendors send is read
 * tolerantly (`as…`: the value, or `undefined` when it has another type).
 */

import { keepDigits, mayHoldLongNumber, roundOthers } from './exact-numbers.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export type JsonObject = { readonly [key: string]: JsonValue | undefined };

export type ParsedJson =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly message: string };

/** Nesting that no format needs and that makes later walks recurse too deep. */
export const jsonDepthMax = 128;

/** Parses foreign text. Never throws: malformed or too deeply nested text is a result. */
export function parseJson(text: string): ParsedJson {
  if (exceedsDepth(text, jsonDepthMax)) {
    return { ok: false, message: `nested deeper than ${jsonDepthMax} levels` };
  }
  return parseScannedJson(text);
}

/**
 * Parses text whose nesting was bounded by a scan of its bytes, which may have seen that no scalar of it is
 * long. Never throws.
 */
export function parseScannedJson(text: string, longScalar = true): ParsedJson {
  try {
    if (!longScalar || !mayHoldLongNumber(text))
      return { ok: true, value: JSON.parse(text) as JsonValue };
    return { ok: true, value: roundOthers(JSON.parse(text, keepDigits) as JsonValue) };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : 'malformed JSON' };
  }
}

/** Parses foreign text that must be an object; `undefined` when it is not. */
export function parseJsonObject(text: string): JsonObject | undefined {
  const parsed = parseJson(text);
  return parsed.ok ? asObject(parsed.value) : undefined;
}

/** The same of the arguments or the result of a tool: whole numbers keep all their digits. */
export function parseToolObject(text: string): JsonObject | undefined {
  const rounded = parseJsonObject(text);
  if (!rounded || !mayHoldLongNumber(text)) return rounded;
  return asObject(JSON.parse(text, keepDigits) as JsonValue);
}

/**
 * Whether brackets nest deeper than `depthMax`. Short texts cannot, and are not scanned.
 * Runs before the parse because `JSON.parse` recurses for seconds on millions of brackets.
 */
function exceedsDepth(text: string, depthMax: number): boolean {
  if (text.length < depthMax * 2) return false;
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x22) {
      index = endOfString(text, index);
      if (index < 0) return false;
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (code === 0x7d || code === 0x5d) depth -= 1;
  }
  return false;
}

/** Where the string that opens at `start` closes; −1 when it does not. Long strings are leapt over. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let escapes = quote;
    while (text.charCodeAt(escapes - 1) === 0x5c) escapes -= 1;
    if ((quote - escapes) % 2 === 0) return quote;
  }
  return -1;
}

/** A value that is not what the format asks for. `path` is written as in `messages[2].content`. */
export class ReadError extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.name = 'ReadError';
    this.path = path;
  }
}

// ---- tolerant: what vendors send ------------------------------------------------------------

export function asObject(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined;
}

export function asArray(value: JsonValue | undefined): readonly JsonValue[] | undefined {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : undefined;
}

export function asString(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function asNumber(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function asBoolean(value: JsonValue | undefined): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}

/**
 * A count as vendors report it: a non-negative safe integer, or its digits as text (protobuf's JSON
 * writes 64-bit numbers so); a hostile or odd value is `undefined`.
 */
export function asCount(value: JsonValue | undefined): number | undefined {
  if (typeof value === 'string') return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** The objects of an array; other elements and a missing array give nothing. */
export function asObjects(value: JsonValue | undefined): readonly JsonObject[] {
  const objects: JsonObject[] = [];
  for (const element of asArray(value) ?? []) {
    const object = asObject(element);
    if (object) objects.push(object);
  }
  return objects;
}

/** Whether two JSON values say the same; a field that is `undefined` is as good as absent. */
export function equalsJson(left: JsonValue | undefined, right: JsonValue | undefined): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null)
    return false;
  const list = asArray(left);
  const other = asArray(right);
  if (list && other)
    return list.length === other.length && list.every((value, at) => equalsJson(value, other[at]));
  return !list && !other && equalsFields(left as JsonObject, right as JsonObject);
}

function equalsFields(left: JsonObject, right: JsonObject): boolean {
  let count = 0;
  for (const key in left) {
    const value = left[key];
    if (value === undefined) continue;
    count += 1;
    if (!Object.hasOwn(right, key) || !equalsJson(value, right[key])) return false;
  }
  for (const key in right) if (right[key] !== undefined) count -= 1;
  return count === 0;
}

// ---- strict: what users send ----------------------------------------------------------------

export function fieldPath(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  return path === '' ? key : `${path}.${key}`;
}

function typeName(value: JsonValue | undefined): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  return Array.isArray(value)
    ? 'an array'
    : typeof value === 'object'
      ? 'an object'
      : `a ${typeof value}`;
}

function wrong(path: string, expected: string, value: JsonValue | undefined): ReadError {
  return new ReadError(path, `expected ${expected}, got ${typeName(value)}`);
}

export function requireObject(value: JsonValue | undefined, path: string): JsonObject {
  const object = asObject(value);
  if (!object) throw wrong(path, 'an object', value);
  return object;
}

export function requireArray(value: JsonValue | undefined, path: string): readonly JsonValue[] {
  if (!Array.isArray(value)) throw wrong(path, 'an array', value);
  return value as readonly JsonValue[];
}

export function requireString(value: JsonValue | undefined, path: string): string {
  if (typeof value !== 'string') throw wrong(path, 'a string', value);
  return value;
}

/** For optional fields `null` means the same as absent, as all four dialects treat it. */
export function optionalString(object: JsonObject, key: string, path: string): string | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  return requireString(value, fieldPath(path, key));
}

export function optionalBoolean(
  object: JsonObject,
  key: string,
  path: string,
): boolean | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'boolean') throw wrong(fieldPath(path, key), 'a boolean', value);
  return value;
}

export type NumberRange = {
  readonly minimum?: number;
  readonly maximum?: number;
  /** `long`: also one of 64 bits, which is rounded. */
  readonly integer?: boolean | 'long';
};

export function optionalNumber(
  object: JsonObject,
  key: string,
  path: string,
  range: NumberRange = {},
): number | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  const at = fieldPath(path, key);
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(at, 'a number', value);
  const isWhole = range.integer === 'long' ? Number.isInteger : Number.isSafeInteger;
  if (range.integer && !isWhole(value)) throw new ReadError(at, 'expected an integer');
  if (range.minimum !== undefined && value < range.minimum) {
    throw new ReadError(at, `expected at least ${range.minimum}, got ${value}`);
  }
  if (range.maximum !== undefined && value > range.maximum) {
    throw new ReadError(at, `expected at most ${range.maximum}, got ${value}`);
  }
  return value;
}

export function optionalObject(
  object: JsonObject,
  key: string,
  path: string,
): JsonObject | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  return requireObject(value, fieldPath(path, key));
}

export function optionalArray(
  object: JsonObject,
  key: string,
  path: string,
): readonly JsonValue[] | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  return requireArray(value, fieldPath(path, key));
}

export function optionalOneOf<const T extends string>(
  object: JsonObject,
  key: string,
  path: string,
  allowed: readonly T[],
): T | undefined {
  const value = optionalString(object, key, path);
  if (value === undefined) return undefined;
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) {
    throw new ReadError(
      fieldPath(path, key),
      `expected one of ${allowed.join(', ')}, got ${JSON.stringify(value)}`,
    );
  }
  return found;
}

/** The fields of `object` that are not in `known`: what a codec keeps in `extensions`. */
export function unknownFields(object: JsonObject, known: ReadonlySet<string>): JsonObject {
  const rest: Record<string, JsonValue> = {};
  for (const key in object) {
    const value = object[key];
    // Assigning to this name would set the prototype instead of a field.
    if (value !== undefined && !known.has(key) && key !== '__proto__') rest[key] = value;
  }
  return rest;
}

/** Names of the fields that say something: clients send back what they got, and write what is missing as `null` or `[]`. */
export function saidFields(object: JsonObject | undefined): readonly string[] {
  return Object.keys(object ?? {}).filter((key) => {
    const value = object?.[key];
    return value !== undefined && value !== null && asArray(value)?.length !== 0;
  });
}

/** `object` without fields whose value is `undefined`: what goes on the wire. */
export function compact(object: { readonly [key: string]: JsonValue | undefined }): JsonObject {
  const present: Record<string, JsonValue> = {};
  for (const key in object) {
    const value = object[key];
    if (value !== undefined) present[key] = value;
  }
  return present;
}
