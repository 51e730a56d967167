import type { FunctionTool, Tool, ToolChoice } from '#canonical';
import {
  asObject,
  fieldPath,
  optionalArray,
  optionalObject,
  optionalString,
  ReadError,
  requireObject,
  requireString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { camelised, geminiId, kept, requireList } from './fields.ts';
import { boundedList, toolsMax } from './limits.ts';
import { schemaFromOpenApi } from './schema-decode.ts';

const toolFields = new Set([
  'functionDeclarations',
  'googleSearch',
  'googleSearchRetrieval',
  'codeExecution',
  'urlContext',
  'fileSearch',
  'computerUse',
  'googleMaps',
  'enterpriseWebSearch',
  'retrieval',
  'mcpServers',
]);
const declarationFields = new Set(['name', 'description', 'parameters', 'parametersJsonSchema']);

/**
 * A stored beginning of the conversation, as a tool run by the vendor: without it the request means
 * something else, so that other vendors have to refuse it by name.
 */
export const cachedContentTool = 'cachedContent';

export function readCachedContent(value: JsonValue | undefined): readonly Tool[] {
  // An empty name is protobuf's way to leave it out.
  if (value === undefined || value === null || value === '') return [];
  const cachedContent = requireString(value, 'cachedContent');
  return [{ kind: 'native', dialect: geminiId, type: cachedContentTool, value: { cachedContent } }];
}

/** Reads `tools`: each function and each server tool becomes a tool of its own. */
export function readTools(value: JsonValue | undefined, path: string): readonly Tool[] {
  if (value === undefined || value === null) return [];
  const tools: Tool[] = [];
  for (const [index, element] of boundedList(requireList(value, path), toolsMax, path).entries()) {
    const at = `${path}[${index}]`;
    for (const [key, field] of Object.entries(camelised(requireObject(element, at), toolFields))) {
      if (field === undefined || field === null) continue;
      if (key === 'functionDeclarations') tools.push(...readDeclarations(field, `${at}.${key}`));
      else if (key === 'googleSearch')
        tools.push({ kind: 'web-search', native: { dialect: geminiId, value: { [key]: field } } });
      else tools.push({ kind: 'native', dialect: geminiId, type: key, value: { [key]: field } });
    }
  }
  return tools;
}

function readDeclarations(value: JsonValue, path: string): FunctionTool[] {
  return boundedList(requireList(value, path), toolsMax, path).map((element, index) => {
    const at = `${path}[${index}]`;
    const wire = camelised(requireObject(element, at), declarationFields);
    const openApi = optionalObject(wire, 'parameters', at);
    const jsonSchema = optionalObject(wire, 'parametersJsonSchema', at);
    const parameters = jsonSchema ?? (openApi && schemaFromOpenApi(openApi));
    const description = optionalString(wire, 'description', at);
    return {
      kind: 'function',
      name: requireString(wire['name'], fieldPath(at, 'name')),
      ...(description === undefined ? {} : { description }),
      ...(parameters ? { parameters } : {}),
      ...(openApi && !jsonSchema ? { schemaForm: 'openapi-subset' as const } : {}),
      ...kept(unknownFields(wire, declarationFields)),
    };
  });
}

const toolConfigFields = new Set(['functionCallingConfig']);
const callingFields = new Set(['mode', 'allowedFunctionNames']);
const modeNames = ['MODE_UNSPECIFIED', 'AUTO', 'ANY', 'NONE', 'VALIDATED'] as const;

export type ReadToolConfig = { readonly toolChoice?: ToolChoice; readonly rest?: JsonObject };

/** Reads `toolConfig`; what is not the choice of functions is kept as an extension. */
export function readToolConfig(value: JsonValue | undefined, path: string): ReadToolConfig {
  if (value === undefined || value === null) return {};
  const wire = camelised(requireObject(value, path), toolConfigFields);
  const calling = asObject(wire['functionCallingConfig']);
  const rest: Record<string, JsonValue> = {
    ...(unknownFields(wire, toolConfigFields) as Record<string, JsonValue>),
  };
  if (!calling) return Object.keys(rest).length > 0 ? { rest } : {};
  const at = fieldPath(path, 'functionCallingConfig');
  const config = camelised(calling, callingFields);
  const unknown = unknownFields(config, callingFields);
  if (Object.keys(unknown).length > 0) rest['functionCallingConfig'] = unknown;
  const { toolChoice, own } = readChoice(config, at);
  if (own) rest['functionCallingConfig'] = { ...unknown, ...own };
  return {
    ...(toolChoice ? { toolChoice } : {}),
    ...(Object.keys(rest).length > 0 ? { rest } : {}),
  };
}

type ReadChoice = {
  readonly toolChoice?: ToolChoice;
  /** What only Gemini can be told of it. */
  readonly own?: JsonObject;
};

function readChoice(config: JsonObject, path: string): ReadChoice {
  const mode = readMode(config['mode'], fieldPath(path, 'mode'));
  const names = (optionalArray(config, 'allowedFunctionNames', path) ?? []).map((name, index) =>
    requireString(name, `${path}.allowedFunctionNames[${index}]`),
  );
  const [only] = names;
  switch (mode) {
    case undefined:
    case 'MODE_UNSPECIFIED':
      return {};
    case 'NONE':
      return { toolChoice: { kind: 'none' } };
    case 'AUTO':
      return { toolChoice: voluntary(names) };
    case 'ANY':
      if (only === undefined) return { toolChoice: { kind: 'required' } };
      return {
        toolChoice:
          names.length === 1
            ? { kind: 'tool', name: only }
            : { kind: 'allowed', mode: 'required', names },
      };
    case 'VALIDATED':
      // The model decides as with AUTO; only that its calls keep to their schema cannot be said elsewhere.
      return {
        toolChoice: voluntary(names),
        own: { mode, ...(names.length > 0 ? { allowedFunctionNames: names } : {}) },
      };
  }
}

function voluntary(names: readonly string[]): ToolChoice {
  return names.length > 0 ? { kind: 'allowed', mode: 'auto', names } : { kind: 'auto' };
}

/** Modes are read in any case (clients write `any`) and as integers. */
function readMode(
  value: JsonValue | undefined,
  path: string,
): (typeof modeNames)[number] | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && modeNames[value]) return modeNames[value];
  if (typeof value !== 'string') throw new ReadError(path, 'expected a mode');
  const name = value.toUpperCase();
  const found = modeNames.find((mode) => mode === name);
  if (!found)
    throw new ReadError(
      path,
      `expected one of AUTO, ANY, NONE, VALIDATED, got ${JSON.stringify(value)}`,
    );
  return found;
}
