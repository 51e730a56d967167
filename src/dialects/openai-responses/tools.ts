/** Tools, tool choice and the output format: the flat forms of the Responses API. */

import type {
  CustomTool,
  DialectId,
  FunctionTool,
  ResponseFormat,
  Tool,
  ToolChoice,
  WebSearchTool,
} from '#canonical';
import {
  asArray,
  asObject,
  asObjects,
  asString,
  compact,
  fieldPath,
  optionalArray,
  optionalBoolean,
  optionalObject,
  optionalString,
  ReadError,
  requireObject,
  requireString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { freeTextLoss, freeTextParameters } from '../free-text-tools.ts';
import { takeSearchOptions } from '../web-search.ts';
import { ownExtensions, present, type EncodeContext } from './content.ts';
import { flattenTools, groupTools } from './namespaces.ts';

const dialect: DialectId = 'openai-responses';

/** Largest number of tools one request may hold. */
const toolsMax = 2_000;

export function decodeTools(list: readonly JsonValue[] | undefined): Tool[] {
  if (!list) return [];
  if (list.length > toolsMax)
    throw new ReadError('tools', `expected at most ${toolsMax} tools, got ${list.length}`);
  return list.flatMap((element, index) => {
    const path = fieldPath('tools', index);
    const tool = requireObject(element, path);
    return (
      (tool['type'] === 'namespace' && decodeNamespace(tool, path)) || [decodeTool(tool, path)]
    );
  });
}

/** `undefined` where the namespace holds tools that the vendor runs: then only the vendor knows it. */
function decodeNamespace(tool: JsonObject, path: string): readonly Tool[] | undefined {
  const inner = fieldPath(path, 'tools');
  const tools = optionalArray(tool, 'tools', path) ?? [];
  return flattenTools(
    tool,
    tools.map((element, index) =>
      decodeTool(requireObject(element, fieldPath(inner, index)), fieldPath(inner, index)),
    ),
  );
}

const functionFields = new Set(['type', 'name', 'description', 'parameters', 'strict']);
const customFields = new Set(['type', 'name', 'description', 'format']);

function decodeTool(tool: JsonObject, path: string): Tool {
  const type = requireString(tool['type'], fieldPath(path, 'type'));
  if (type === 'function') return decodeFunctionTool(tool, path);
  if (type === 'custom') {
    const description = optionalString(tool, 'description', path);
    const format = optionalObject(tool, 'format', path);
    return {
      kind: 'custom',
      name: requireString(tool['name'], fieldPath(path, 'name')),
      ...(description === undefined ? {} : { description }),
      ...(format ? { format } : {}),
      ...present(unknownFields(tool, customFields)),
    };
  }
  if (/^web_search(_preview)?(_\d.*)?$/.test(type))
    return { kind: 'web-search', native: { dialect, value: tool } };
  return { kind: 'native', dialect, type, value: tool };
}

function decodeFunctionTool(tool: JsonObject, path: string): FunctionTool {
  const description = optionalString(tool, 'description', path);
  const parameters = optionalObject(tool, 'parameters', path);
  const said = optionalBoolean(tool, 'strict', path);
  // Absent means strict here and lax elsewhere. OpenAI falls back to lax when the schema cannot be
  // strict, so only a schema that can be is called strict where the default is another.
  const strict = said ?? (isStrictSchema(parameters) ? true : undefined);
  return {
    kind: 'function',
    name: requireString(tool['name'], fieldPath(path, 'name')),
    ...(description === undefined ? {} : { description }),
    ...(parameters ? { parameters } : {}),
    ...(strict === undefined ? {} : { strict }),
    ...present(unknownFields(tool, functionFields)),
  };
}

/**
 * Whether OpenAI's strict mode would take the schema as it is: every object closed and all its
 * properties required (OpenAI guide, structured outputs, supported schemas).
 */
export function isStrictSchema(schema: JsonValue | undefined, depth = 0): boolean {
  const object = asObject(schema);
  if (!object || depth > 32) return false;
  const properties = asObject(object['properties']);
  const types = asArray(object['type']) ?? [object['type']];
  if (types.includes('object') || properties) {
    if (object['additionalProperties'] !== false) return false;
    const required = asArray(object['required']) ?? [];
    for (const [name, property] of Object.entries(properties ?? {})) {
      if (!required.includes(name) || !isStrictSchema(property, depth + 1)) return false;
    }
  }
  if (object['items'] !== undefined && !isStrictSchema(object['items'], depth + 1)) return false;
  if (asArray(object['anyOf'])?.some((branch) => !isStrictSchema(branch, depth + 1))) return false;
  for (const definition of Object.values(asObject(object['$defs']) ?? {})) {
    if (!isStrictSchema(definition, depth + 1)) return false;
  }
  return depth > 0 || types.includes('object');
}

export function decodeToolChoice(value: JsonValue | undefined): ToolChoice | undefined {
  if (value === undefined || value === null) return undefined;
  if (value === 'auto' || value === 'none' || value === 'required') return { kind: value };
  if (typeof value === 'string')
    throw new ReadError(
      'tool_choice',
      `expected auto, none or required, got ${JSON.stringify(value)}`,
    );
  const choice = requireObject(value, 'tool_choice');
  const type = requireString(choice['type'], 'tool_choice.type');
  if (type === 'function' || type === 'custom') {
    return { kind: 'tool', name: requireString(choice['name'], 'tool_choice.name') };
  }
  if (type === 'allowed_tools') {
    const tools = asObjects(choice['tools']);
    const callable = tools.every(
      (tool) => tool['type'] === 'function' || tool['type'] === 'custom',
    );
    const mode = choice['mode'] === 'required' ? 'required' : 'auto';
    if (callable)
      return { kind: 'allowed', mode, names: tools.map((tool) => asString(tool['name']) ?? '') };
  }
  return { kind: 'native', dialect, value: choice };
}

const formatFields = new Set(['type', 'name', 'description', 'schema', 'strict']);

/** `text.format`: the schema stands flat in it. Unknown fields are handed back beside the format. */
export function decodeTextFormat(text: JsonObject | undefined): {
  format?: ResponseFormat;
  extensions: JsonObject;
} {
  const format = text && optionalObject(text, 'format', 'text');
  if (!format) return { extensions: {} };
  const type = requireString(format['type'], 'text.format.type');
  const extensions = unknownFields(format, formatFields);
  if (type === 'text') return { format: { kind: 'text' }, extensions };
  if (type === 'json_object') return { format: { kind: 'json' }, extensions };
  if (type !== 'json_schema') {
    throw new ReadError(
      'text.format.type',
      `expected text, json_object or json_schema, got ${JSON.stringify(type)}`,
    );
  }
  return {
    format: {
      kind: 'json-schema',
      name: optionalString(format, 'name', 'text.format'),
      description: optionalString(format, 'description', 'text.format'),
      schema: requireObject(format['schema'], 'text.format.schema'),
      strict: optionalBoolean(format, 'strict', 'text.format'),
    },
    extensions,
  };
}

// ---- encoding ----------------------------------------------------------------------------------

export function encodeTools(tools: readonly Tool[], context: EncodeContext): JsonObject[] {
  const encoded: JsonObject[] = [];
  for (const [index, tool] of tools.entries()) {
    const wire = encodeTool(tool, fieldPath('tools', index), context);
    if (wire) encoded.push(wire);
  }
  return groupTools(encoded);
}

function encodeTool(tool: Tool, path: string, context: EncodeContext): JsonObject | undefined {
  switch (tool.kind) {
    case 'function':
      return encodeFunctionTool(tool, path, context);
    case 'custom':
      return encodeCustomTool(tool, path, context);
    case 'web-search':
      return encodeWebSearch(tool, path, context);
    case 'native':
      if (tool.dialect === dialect) return tool.value;
      context.report(
        path,
        `the tool ${tool.type} is run by another vendor (${tool.dialect})`,
        true,
      );
      return undefined;
  }
}

function encodeFunctionTool(tool: FunctionTool, path: string, context: EncodeContext): JsonObject {
  // Elsewhere the default is lax; here an absent strict would make optional arguments mandatory.
  const strict = tool.strict ?? (context.dialect === dialect ? undefined : false);
  if (tool.cache && !context.quirks.cacheBreakpoints) {
    context.report(fieldPath(path, 'cache'), 'this upstream caches prompts by itself', false);
  }
  return compact({
    type: 'function',
    name: tool.name,
    description: tool.description,
    parameters: tool.parameters ?? { type: 'object', properties: {} },
    strict,
    ...ownExtensions(tool.extensions, path, context),
  });
}

function encodeCustomTool(tool: CustomTool, path: string, context: EncodeContext): JsonObject {
  const { name, description } = tool;
  if (!context.quirks.customTools) {
    context.report(path, freeTextLoss, false);
    return compact({ type: 'function', name, description, parameters: freeTextParameters });
  }
  return compact({
    type: 'custom',
    name,
    description,
    format: flatGrammar(tool.format),
    ...ownExtensions(tool.extensions, path, context),
  });
}

/** Chat nests a grammar one level deeper (`{type, grammar: {definition, syntax}}`). */
function flatGrammar(format: JsonObject | undefined): JsonObject | undefined {
  const nested = asObject(format?.['grammar']);
  return nested ? { type: 'grammar', ...nested } : format;
}

function encodeWebSearch(
  tool: WebSearchTool,
  path: string,
  context: EncodeContext,
): JsonObject | undefined {
  const { value } = tool.native;
  if (tool.native.dialect === dialect) return value;
  if (context.quirks.webSearchTool === 'refused') {
    context.report(path, 'this upstream has no web search', true);
    return undefined;
  }
  const taken = ['search_context_size', 'user_location', 'allowed_domains'];
  const { allowed_domains: domains, ...options } = takeSearchOptions(tool, taken, (field) =>
    context.report(fieldPath(path, field), 'web search here has no such field', false),
  );
  return compact({
    type: context.quirks.webSearchTool,
    ...options,
    filters: domains === undefined ? undefined : { allowed_domains: domains },
  });
}

/** `tools` are the request's: a named choice must say whether it names a function or a custom tool. */
export function encodeToolChoice(
  choice: ToolChoice | undefined,
  tools: readonly Tool[],
  context: EncodeContext,
): JsonValue | undefined {
  if (!choice) return undefined;
  const named = (name: string): JsonObject => {
    const custom =
      context.quirks.customTools &&
      tools.some((tool) => tool.kind === 'custom' && tool.name === name);
    return { type: custom ? 'custom' : 'function', name };
  };
  switch (choice.kind) {
    case 'auto':
    case 'none':
    case 'required':
      return choice.kind;
    case 'tool':
      return named(choice.name);
    case 'allowed':
      return { type: 'allowed_tools', mode: choice.mode, tools: choice.names.map(named) };
    case 'native':
      if (choice.dialect === dialect) return choice.value;
      context.report('tool_choice', `a tool choice of ${choice.dialect}`, true);
      return undefined;
  }
}

export function encodeTextFormat(format: ResponseFormat | undefined): JsonObject | undefined {
  if (!format) return undefined;
  if (format.kind === 'text') return { type: 'text' };
  if (format.kind === 'json') return { type: 'json_object' };
  return compact({
    type: 'json_schema',
    name: format.name ?? 'response',
    description: format.description,
    schema: format.schema,
    strict: format.strict,
  });
}
