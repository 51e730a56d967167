/**
 * Differences between a recorded Gemini request and the one written again that mean nothing: spelling
 * (snake_case), letter case of schema types, functions in one or several tool objects, empty objects,
 * the role of a system instruction, `model` in the body (it stands in the path), an object schema
 * without properties for a function without parameters, one alternative written as `anyOf`, a part
 * that is a signature only (the same as one with an empty text), `null` for a field that is not said.
 */

import { asArray, asObject, asObjects, asString, type JsonObject, type JsonValue } from '#std';

/** Members whose value is the user's data: its names are not fields. */
const opaque = new Set(['args', 'response', 'inlineData.data']);
const verbatim = new Set([
  'toolCall',
  'toolResponse',
  'executableCode',
  'codeExecutionResult',
  'safetySettings',
  'googleSearch',
  'fileSearch',
  'modelArmorConfig',
]);
const schemas = new Set([
  'parameters',
  'responseSchema',
  'parametersJsonSchema',
  'responseJsonSchema',
]);

export function normaliseGeminiRequest(request: JsonObject): JsonObject {
  const {
    model: _,
    systemInstruction,
    tools,
    generationConfig,
    toolConfig,
    contents,
    ...rest
  } = camel(request) as { [key: string]: JsonValue };
  const config = asObject(generationConfig) ?? {};
  return {
    ...rest,
    contents: asObjects(contents).map(({ role, parts, ...other }) => ({
      ...other,
      role: role ?? 'user',
      parts,
    })) as JsonValue,
    ...(systemInstruction
      ? { systemInstruction: { parts: asObject(systemInstruction)?.['parts'] } }
      : {}),
    ...(tools ? { tools: mergeTools(tools) } : {}),
    ...(Object.keys(config).length > 0 ? { generationConfig: config } : {}),
    ...(toolConfig ? { toolConfig: upperMode(toolConfig) } : {}),
  };
}

function upperMode(value: JsonValue): JsonValue {
  const config = asObject(value) ?? {};
  const calling = asObject(config['functionCallingConfig']);
  return calling
    ? {
        ...config,
        functionCallingConfig: {
          ...calling,
          mode: (asString(calling['mode']) ?? '').toUpperCase(),
        },
      }
    : config;
}

function mergeTools(value: JsonValue): JsonValue {
  const declarations: JsonObject[] = [];
  const others: JsonObject[] = [];
  for (const tool of asObjects(value)) {
    for (const [key, field] of Object.entries(tool)) {
      if (key === 'functionDeclarations') declarations.push(...asObjects(field));
      else others.push({ [key]: field });
    }
  }
  return [...declarations, ...others] as JsonValue;
}

function camel(value: JsonValue | undefined, key = ''): JsonValue {
  if (value === undefined) return null;
  if (opaque.has(key) || verbatim.has(key)) return value;
  if (schemas.has(key))
    return key.startsWith('parametersJ') || key === 'responseJsonSchema'
      ? value
      : lowerTypes(value);
  const list = asArray(value);
  if (list) return list.map((element) => camel(element, key));
  const object = asObject(value);
  if (!object) return value;
  const result: Record<string, JsonValue> = {};
  for (const [name, field] of Object.entries(object)) {
    if (field === null) continue;
    const spelled = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (schemas.has(spelled) && hasNoProperties(field)) continue;
    result[spelled] =
      spelled === 'thinkingLevel' && typeof field === 'string'
        ? field.toUpperCase()
        : camel(field, spelled);
  }
  if (
    result['thoughtSignature'] !== undefined &&
    Object.keys(result).every((name) => name.startsWith('thought'))
  )
    result['text'] = '';
  return result;
}

function hasNoProperties(value: JsonValue | undefined): boolean {
  const schema = asObject(value);
  return (
    schema !== undefined &&
    schema['anyOf'] === undefined &&
    Object.keys(asObject(schema['properties']) ?? {}).length === 0
  );
}

function lowerTypes(value: JsonValue, isName = false): JsonValue {
  const list = asArray(value);
  if (list) return list.map((element) => lowerTypes(element));
  const object = asObject(value);
  if (!object) return value;
  const result: Record<string, JsonValue> = {};
  for (const [name, field] of Object.entries(object)) {
    if (field === undefined) continue;
    if (!isName && name === 'type' && typeof field === 'string') result[name] = field.toLowerCase();
    else if (!isName && /^m(?:in|ax)(?:Items|Length)$/.test(name)) result[name] = Number(field);
    else result[name] = lowerTypes(field, !isName && name === 'properties');
  }
  return isName ? result : withoutNullAlternative(result);
}

function withoutNullAlternative(schema: JsonObject): JsonValue {
  const all = asObjects(schema['anyOf']);
  const [only, ...others] = all.filter(({ type }) => type !== 'null');
  if (!only || others.length > 0) return schema;
  const { anyOf: _, ...rest } = schema;
  return { ...rest, ...only, ...(all.length > 1 ? { nullable: true } : {}) };
}
