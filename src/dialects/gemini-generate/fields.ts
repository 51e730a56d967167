import {
  compact,
  fieldPath,
  ReadError,
  requireObject,
  type JsonObject,
  type JsonValue,
} from '#std';

/** The id of this dialect, where types need the literal. */
export const geminiId = 'gemini-generate';

/**
 * What `thoughtSignature` is called in canonical opaque state. On text and media it has names of its own,
 * since other dialects carry it in a place for thinking: it must find its part again, or the empty one
 * that ended the text.
 */
export const signatureForm = 'thoughtSignature';
export const textSignatureForm = 'thoughtSignature of text';
export const mediaSignatureForm = 'thoughtSignature of media';
export const endSignatureForm = 'thoughtSignature of an empty text';

/**
 * The object with snake_case spellings of known fields turned into camelCase: Google's servers read
 * both (protobuf JSON mapping). Unknown fields keep their spelling. The camelCase spelling wins.
 */
export function camelised(object: JsonObject, known: ReadonlySet<string>): JsonObject {
  let renamed: Record<string, JsonValue> | undefined;
  for (const key in object) {
    if (!key.includes('_')) continue;
    const camel = camelCase(key);
    const value = object[key];
    if (!known.has(camel) || value === undefined) continue;
    renamed ??= withoutUndefined(object);
    delete renamed[key];
    if (object[camel] === undefined) renamed[camel] = value;
  }
  return renamed ?? object;
}

/** The same for what decides on the price: said in both spellings, a vendor may obey the one that was not read here. */
export function camelisedOnce(
  object: JsonObject,
  known: ReadonlySet<string>,
  path: string,
): JsonObject {
  for (const key in object) {
    const camel = key.includes('_') ? camelCase(key) : key;
    if (camel !== key && known.has(camel) && object[camel] !== undefined)
      throw new ReadError(fieldPath(path, key), `\`${camel}\` stands there too`);
  }
  return camelised(object, known);
}

function withoutUndefined(object: JsonObject): Record<string, JsonValue> {
  const copy: Record<string, JsonValue> = {};
  for (const key in object) {
    const value = object[key];
    if (value !== undefined) copy[key] = value;
  }
  return copy;
}

function camelCase(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The array, or the single object standing for it: Google's reader of repeated fields takes both. */
export function requireList(value: JsonValue | undefined, path: string): readonly JsonValue[] {
  if (Array.isArray(value)) return value as readonly JsonValue[];
  if (typeof value === 'object' && value !== null) return [requireObject(value, path)];
  throw new ReadError(path, 'expected an array');
}

export function optionalList(
  object: JsonObject,
  key: string,
  path: string,
): readonly JsonValue[] | undefined {
  const value = object[key];
  return value === undefined || value === null
    ? undefined
    : requireList(value, fieldPath(path, key));
}

/** `extensions` to attach, or nothing when there is nothing to keep. */
export function kept(extensions: JsonObject): { readonly extensions?: JsonObject } {
  const present = compact(extensions);
  return Object.keys(present).length > 0 ? { extensions: present } : {};
}

/**
 * An enum as text. Behind gRPC transcoding (`enum-encoding=int`) enums are numbers; `names[n]` is the
 * name of value n in Google's public protocol files.
 */
export function enumName(
  value: JsonValue | undefined,
  names: readonly string[],
): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value !== 'number') return undefined;
  return names[value] ?? String(value);
}
