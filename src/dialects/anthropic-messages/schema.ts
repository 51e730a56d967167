import { asObject, fieldPath, type JsonObject, type JsonValue } from '#std';
import { lose, type Encoding } from './encoding.ts';

/** Constraints that `output_config.format` refuses (docs: structured outputs, JSON Schema limitations). */
const refusedConstraints = new Set([
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'pattern',
  'minItems',
  'maxItems',
  'uniqueItems',
  'contains',
  'minContains',
  'maxContains',
  'minProperties',
  'maxProperties',
  'patternProperties',
  'propertyNames',
  'dependentRequired',
  'dependentSchemas',
  'unevaluatedProperties',
  'unevaluatedItems',
  'not',
  'if',
  'then',
  'else',
]);

const acceptedFormats = new Set([
  'date-time',
  'time',
  'date',
  'duration',
  'email',
  'hostname',
  'uri',
  'ipv4',
  'ipv6',
  'uuid',
]);

const schemaMaps = new Set(['properties', '$defs', 'definitions']);
const schemaLists = new Set(['anyOf', 'allOf', 'prefixItems']);

/**
 * A schema as Anthropic's structured output takes it. Refused constraints move into the description,
 * where the model still reads them, and are reported; `oneOf` becomes `anyOf`; objects are closed.
 */
export function adaptSchema(schema: JsonObject, path: string, encoding: Encoding): JsonObject {
  const adapted: Record<string, JsonValue> = {};
  const spoken: string[] = [];
  for (const [key, value] of Object.entries(schema)) {
    if (value === undefined) continue;
    const at = fieldPath(path, key);
    if (refusedConstraints.has(key) || (key === 'format' && !acceptedFormats.has(String(value)))) {
      spoken.push(`${key}: ${JSON.stringify(value)}`);
      lose(encoding, at, 'not enforced by Anthropic; said in the description instead');
    } else adapted[key === 'oneOf' ? 'anyOf' : key] = adaptMember(key, value, at, encoding);
  }
  if (isObjectSchema(schema)) closeObject(adapted, schema, path, encoding);
  if (spoken.length > 0) adapted['description'] = describe(adapted['description'], spoken);
  return adapted;
}

function adaptMember(key: string, value: JsonValue, path: string, encoding: Encoding): JsonValue {
  if (schemaMaps.has(key)) {
    const map: Record<string, JsonValue> = {};
    for (const [name, inner] of Object.entries(asObject(value) ?? {})) {
      if (inner !== undefined) map[name] = adaptValue(inner, fieldPath(path, name), encoding);
    }
    return map;
  }
  if (key === 'oneOf' || schemaLists.has(key)) {
    if (!Array.isArray(value)) return value;
    return (value as readonly JsonValue[]).map((inner, index) =>
      adaptValue(inner, fieldPath(path, index), encoding),
    );
  }
  return key === 'items' ? adaptValue(value, path, encoding) : value;
}

function adaptValue(value: JsonValue, path: string, encoding: Encoding): JsonValue {
  const schema = asObject(value);
  return schema ? adaptSchema(schema, path, encoding) : value;
}

function isObjectSchema(schema: JsonObject): boolean {
  const type = schema['type'];
  return (
    type === 'object' ||
    (Array.isArray(type) && (type as readonly JsonValue[]).includes('object')) ||
    'properties' in schema
  );
}

function closeObject(
  adapted: Record<string, JsonValue>,
  schema: JsonObject,
  path: string,
  encoding: Encoding,
): void {
  const additional = schema['additionalProperties'];
  if (additional !== undefined && additional !== false) {
    const isMap = asObject(additional) !== undefined;
    const reason = 'Anthropic closes every object: no further properties are possible';
    lose(encoding, fieldPath(path, 'additionalProperties'), reason, isMap);
  }
  adapted['additionalProperties'] = false;
}

function describe(description: JsonValue | undefined, spoken: readonly string[]): string {
  const constraints = `(${spoken.join(', ')})`;
  return typeof description === 'string' && description !== ''
    ? `${description} ${constraints}`
    : constraints;
}
