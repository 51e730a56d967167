import { asArray, asObject, asString, type JsonObject, type JsonValue } from '#std';

/** Google writes 64-bit integers as text. */
const countKeywords = new Set([
  'minItems',
  'maxItems',
  'minLength',
  'maxLength',
  'minProperties',
  'maxProperties',
]);

/**
 * JSON Schema of a schema in Gemini's OpenAPI 3.0 subset: types in lower case, `nullable` as a null
 * type, bounds as numbers. Unknown keywords stay.
 */
export function schemaFromOpenApi(schema: JsonObject): JsonObject {
  const result: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (value === undefined || key === 'nullable') continue;
    result[key] = keywordFromOpenApi(key, value);
  }
  if (schema['nullable'] === true) makeNullable(result);
  return result;
}

function keywordFromOpenApi(key: string, value: JsonValue): JsonValue {
  if (key === 'type' && typeof value === 'string') return value.toLowerCase();
  if (countKeywords.has(key) && typeof value === 'string' && /^\d+$/.test(value))
    return Number(value);
  const object = asObject(value);
  if (key === 'items' || key === 'additionalProperties')
    return object ? schemaFromOpenApi(object) : value;
  if (key === 'properties' || key === '$defs') return object ? mapSchemas(object) : value;
  if (key === 'anyOf' || key === 'any_of') return mapList(value);
  return value;
}

function mapSchemas(properties: JsonObject): JsonObject {
  const result: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(properties)) {
    const schema = asObject(value);
    if (value !== undefined) result[name] = schema ? schemaFromOpenApi(schema) : value;
  }
  return result;
}

function mapList(value: JsonValue): JsonValue {
  const list = asArray(value);
  if (!list) return value;
  return list.map((element) => {
    const schema = asObject(element);
    return schema ? schemaFromOpenApi(schema) : element;
  });
}

function makeNullable(schema: Record<string, JsonValue>): void {
  const type = asString(schema['type']);
  const values = asArray(schema['enum']);
  if (values && !values.includes(null)) schema['enum'] = [...values, null];
  if (type !== undefined) schema['type'] = [type, 'null'];
  else if (asArray(schema['anyOf']))
    schema['anyOf'] = [...(asArray(schema['anyOf']) ?? []), { type: 'null' }];
}
