import { asArray, asObject, asObjects, asString, type JsonObject, type JsonValue } from '#std';

/** Called for each keyword that the target cannot say. */
export type OnSchemaLoss = (path: string, reason: string) => void;

/** Keywords of Gemini's OpenAPI 3.0 subset that are taken over as they are. */
const plainKeywords = new Set([
  'format',
  'title',
  'description',
  'example',
  'default',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'pattern',
  'required',
  'propertyOrdering',
]);

/** Keywords without meaning for validation: dropped without a word. */
const silentKeywords = new Set([
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
  '$anchor',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  'nullable',
]);

const referenceDepthMax = 8;
/** References multiply: a short schema may stand for one of any size. */
const depthMax = 64;
const nodesMax = 10_000;
const reportsMax = 20;

type Walk = {
  readonly root: JsonObject;
  readonly onLoss: OnSchemaLoss;
  readonly references: readonly string[];
  readonly depth: number;
  readonly count: { nodes: number };
};

/**
 * A schema for the fields that take JSON Schema (`responseJsonSchema`, `parametersJsonSchema`): only
 * `const` is unknown there and becomes an `enum` of one.
 */
export function schemaForJsonField(schema: JsonObject): JsonObject {
  const result = mapValue(schema) as JsonObject;
  return result;
}

function mapValue(value: JsonValue): JsonValue {
  const list = asArray(value);
  if (list) return list.map(mapValue);
  const object = asObject(value);
  if (!object) return value;
  const result: Record<string, JsonValue> = {};
  for (const [key, field] of Object.entries(object)) {
    if (field === undefined) continue;
    if (key === 'enum' || key === 'default' || key === 'examples' || key === 'required')
      result[key] = field;
    else if (key === 'properties' || key === '$defs' || key === 'definitions')
      result[key] = mapProperties(field);
    else if (key === 'const') result['enum'] = [field];
    else result[key] = mapValue(field);
  }
  return result;
}

/** Names of properties are not keywords: one may well be called `const`. */
function mapProperties(value: JsonValue): JsonValue {
  const properties = asObject(value);
  if (!properties) return value;
  const result: Record<string, JsonValue> = {};
  for (const [name, schema] of Object.entries(properties))
    if (schema !== undefined) result[name] = mapValue(schema);
  return result;
}

/**
 * A schema in the OpenAPI 3.0 subset (`parameters`, `responseSchema`): references inlined, `const`
 * and type lists rewritten, `allOf` merged; what cannot be said is reported.
 */
export function schemaForOpenApi(
  schema: JsonObject,
  path: string,
  report: OnSchemaLoss,
): JsonObject {
  const said = new Set<string>();
  // One report for each kind of loss: a schema may lose the same keyword in a thousand places.
  const onLoss: OnSchemaLoss = (at, reason) => {
    if (!said.has(reason) && said.size < reportsMax) report(at, reason);
    said.add(reason);
  };
  return convert(schema, path, {
    root: schema,
    onLoss,
    references: [],
    depth: 0,
    count: { nodes: 0 },
  });
}

function convert(schema: JsonObject, path: string, outer: Walk): JsonObject {
  const walk = { ...outer, depth: outer.depth + 1 };
  walk.count.nodes += 1;
  if (walk.depth > depthMax || walk.count.nodes > nodesMax) {
    // One report will do: what is cut here may be large.
    if (walk.count.nodes <= nodesMax + 1) walk.onLoss(path, 'a schema too large or too deep');
    walk.count.nodes = Math.max(walk.count.nodes, nodesMax + 1);
    return { type: 'OBJECT' };
  }
  const reference = asString(schema['$ref']);
  if (reference !== undefined) return convertReference(schema, reference, path, walk);
  const parts = asObjects(schema['allOf']);
  if (parts.length > 0) return convert(mergeAll(schema, parts, walk), path, walk);
  const result: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (value !== undefined) convertKeyword(result, schema, key, value, path, walk);
  }
  finishNullable(result, schema);
  return result;
}

function convertReference(
  schema: JsonObject,
  reference: string,
  path: string,
  walk: Walk,
): JsonObject {
  const { $ref: _, ...siblings } = schema;
  const target = resolveReference(walk.root, reference);
  const seen = walk.references.filter((name) => name === reference).length;
  if (!target || seen > 0 || walk.references.length >= referenceDepthMax) {
    walk.onLoss(path, target ? 'a recursive schema' : `an unknown reference ${reference}`);
    return { type: 'OBJECT', ...convert(siblings, path, walk) };
  }
  return convert({ ...target, ...siblings }, path, {
    ...walk,
    references: [...walk.references, reference],
  });
}

function resolveReference(root: JsonObject, reference: string): JsonObject | undefined {
  if (reference === '#') return root;
  if (!reference.startsWith('#/')) return undefined;
  let current: JsonValue | undefined = root;
  for (const step of reference.slice(2).split('/')) {
    current = asObject(current)?.[step.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  return asObject(current);
}

function mergeAll(schema: JsonObject, parts: readonly JsonObject[], walk: Walk): JsonObject {
  const { allOf: _, ...own } = schema;
  let merged: Record<string, JsonValue | undefined> = {};
  for (const part of [...parts, own]) {
    const reference = asString(part['$ref']);
    const resolved =
      reference === undefined
        ? part
        : { ...resolveReference(walk.root, reference), ...part, $ref: undefined };
    merged = {
      ...merged,
      ...resolved,
      ...mergedMember('properties', merged, resolved),
      ...mergedRequired(merged, resolved),
    };
  }
  delete merged['$ref'];
  return merged;
}

function mergedMember(key: string, left: JsonObject, right: JsonObject): JsonObject {
  const first = asObject(left[key]);
  const second = asObject(right[key]);
  return first && second ? { [key]: { ...first, ...second } } : {};
}

function mergedRequired(left: JsonObject, right: JsonObject): JsonObject {
  const names = new Set([
    ...(asArray(left['required']) ?? []),
    ...(asArray(right['required']) ?? []),
  ]);
  return names.size > 0 ? { required: [...names] } : {};
}

function convertKeyword(
  result: Record<string, JsonValue>,
  schema: JsonObject,
  key: string,
  value: JsonValue,
  path: string,
  walk: Walk,
): void {
  const at = `${path}.${key}`;
  if (plainKeywords.has(key)) result[key] = value;
  else if (key === 'type') convertType(result, value, at, walk);
  else if (key === 'enum' || key === 'const')
    convertEnum(result, key === 'const' ? [value] : (asArray(value) ?? []), at, walk);
  else if (key === 'properties') convertProperties(result, value, at, walk);
  else if (key === 'items' && asObject(value))
    result['items'] = convert(asObject(value) ?? {}, at, walk);
  else if (key === 'anyOf' || key === 'oneOf') convertAlternatives(result, value, at, walk);
  else if (key === 'exclusiveMinimum' || key === 'exclusiveMaximum')
    convertBound(result, schema, key, value, at, walk);
  else if (key === 'additionalProperties') {
    // `false` is how Gemini behaves anyway.
    if (value !== false) walk.onLoss(at, 'additionalProperties');
  } else if (!silentKeywords.has(key)) walk.onLoss(at, `the schema keyword ${key}`);
}

function convertProperties(
  result: Record<string, JsonValue>,
  value: JsonValue,
  at: string,
  walk: Walk,
): void {
  const properties = asObject(value) ?? {};
  const converted: Record<string, JsonValue> = {};
  for (const [name, schema] of Object.entries(properties)) {
    const object = asObject(schema);
    converted[name] = convert(object ?? {}, `${at}.${name}`, walk);
  }
  // Older models refuse an object whose list of properties is empty.
  if (Object.keys(converted).length > 0) result['properties'] = converted;
}

function convertType(
  result: Record<string, JsonValue>,
  value: JsonValue,
  at: string,
  walk: Walk,
): void {
  const types = asArray(value) ?? [value];
  const names: string[] = [];
  for (const type of types) if (typeof type === 'string') names.push(type.toUpperCase());
  const real = names.filter((name) => name !== 'NULL');
  if (names.length > real.length) result['nullable'] = true;
  const [only] = real;
  if (real.length === 1 && only !== undefined) result['type'] = only;
  else if (real.length > 1) result['anyOf'] = real.map((type) => ({ type }));
  else if (names.length === 0) walk.onLoss(at, 'a type that is no text');
}

/** Only texts can be enumerated; null becomes `nullable`. */
function convertEnum(
  result: Record<string, JsonValue>,
  values: readonly JsonValue[],
  at: string,
  walk: Walk,
): void {
  const texts = values.filter((value) => typeof value === 'string');
  const others = values.filter((value) => typeof value !== 'string' && value !== null);
  if (texts.length + others.length < values.length) result['nullable'] = true;
  if (others.length > 0) walk.onLoss(at, 'an enumeration of values that are no texts');
  else if (texts.length > 0) {
    result['enum'] = texts;
    result['type'] ??= 'STRING';
  }
}

function convertAlternatives(
  result: Record<string, JsonValue>,
  value: JsonValue,
  at: string,
  walk: Walk,
): void {
  const alternatives: JsonObject[] = [];
  for (const [index, schema] of asObjects(value).entries()) {
    if (schema['type'] === 'null') result['nullable'] = true;
    else alternatives.push(convert(schema, `${at}[${index}]`, walk));
  }
  const [only] = alternatives;
  if (alternatives.length === 1 && only) Object.assign(result, only);
  else if (alternatives.length > 1) result['anyOf'] = alternatives;
}

function convertBound(
  result: Record<string, JsonValue>,
  schema: JsonObject,
  key: string,
  value: JsonValue,
  at: string,
  walk: Walk,
): void {
  if (typeof value !== 'number') return;
  const inclusive = key === 'exclusiveMinimum' ? 'minimum' : 'maximum';
  const step = schema['type'] === 'integer' ? 1 : 0;
  result[inclusive] = key === 'exclusiveMinimum' ? value + step : value - step;
  if (step === 0) walk.onLoss(at, `${key} of a number that is no integer`);
}

/** `type` and the alternatives of it do not stand side by side in the subset. */
function finishNullable(result: Record<string, JsonValue>, schema: JsonObject): void {
  if (schema['nullable'] === true) result['nullable'] = true;
  if (
    result['anyOf'] !== undefined &&
    result['type'] !== undefined &&
    result['properties'] === undefined
  )
    delete result['type'];
}
