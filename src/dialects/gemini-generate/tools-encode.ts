import type { ChatRequest, FunctionTool, Tool, ToolChoice } from '#canonical';
import { asObject, compact, saidFields, type JsonObject, type JsonValue } from '#std';
import { takeSearchOptions } from '../web-search.ts';
import { lose, type Encoding } from './contents-encode.ts';
import { geminiId } from './fields.ts';
import { cachedContentTool } from './tools-decode.ts';
import { schemaForJsonField, schemaForOpenApi } from './schema-encode.ts';

/** `tools` and `toolConfig`. */
export function encodeTools(request: ChatRequest, encoding: Encoding): JsonObject {
  const declarations: JsonObject[] = [];
  const others: JsonObject[] = [];
  for (const [index, tool] of chosenTools(request, ownCalling(request, encoding)).entries()) {
    const path = `tools[${index}]`;
    if (tool.kind === 'function') declarations.push(encodeFunction(tool, path, encoding));
    else if (tool.kind === 'custom') declarations.push(encodeCustom(tool, path, encoding));
    else others.push(...encodeServerTool(tool, path, encoding));
  }
  const tools = [
    ...(declarations.length > 0 ? [{ functionDeclarations: declarations }] : []),
    ...others,
  ];
  const toolConfig = encodeToolConfig(request, tools.length > 0, encoding);
  return compact({
    tools: tools.length > 0 ? tools : undefined,
    toolConfig,
    cachedContent: cachedContentOf(request),
  });
}

function cachedContentOf({ tools }: ChatRequest): JsonValue | undefined {
  for (const tool of tools) {
    if (tool.kind === 'native' && tool.dialect === geminiId && tool.type === cachedContentTool) {
      return tool.value['cachedContent'];
    }
  }
  return undefined;
}

/** What a client of Gemini has said of calls in Gemini's terms alone. */
function ownCalling({ extensions }: ChatRequest, { own }: Encoding): JsonObject | undefined {
  const config = own ? asObject(extensions['toolConfig']) : undefined;
  return asObject(config?.['functionCallingConfig']);
}

/** Gemini restricts to names when a call is forced or validated; another voluntary subset is all that is declared. */
function chosenTools(request: ChatRequest, own: JsonObject | undefined): readonly Tool[] {
  const choice = request.toolChoice;
  if (own?.['allowedFunctionNames'] !== undefined) return request.tools;
  if (choice?.kind !== 'allowed' || choice.mode !== 'auto') return request.tools;
  return request.tools.filter(
    (tool) =>
      tool.kind === 'native' || tool.kind === 'web-search' || choice.names.includes(tool.name),
  );
}

function encodeFunction(tool: FunctionTool, path: string, encoding: Encoding): JsonObject {
  if (tool.strict === true) lose(encoding, `${path}.strict`, 'strict function arguments', false);
  if (tool.cache) lose(encoding, `${path}.cache_control`, 'cache marks', false);
  if (!encoding.own)
    for (const key of saidFields(tool.extensions))
      lose(encoding, `${path}.${key}`, 'unknown to Gemini', false);
  const { name, description } = tool;
  const extensions = encoding.own ? (tool.extensions ?? {}) : {};
  return compact({ name, description, ...encodeParameters(tool, path, encoding), ...extensions });
}

function encodeParameters(tool: FunctionTool, path: string, encoding: Encoding): JsonObject {
  const schema = tool.parameters;
  if (!schema) return {};
  if (encoding.quirks.schemaField === 'openapi-subset' || tool.schemaForm === 'openapi-subset') {
    const parameters = schemaForOpenApi(schema, `${path}.parameters`, (at, reason) =>
      lose(encoding, at, reason, false),
    );
    // An object without properties is refused where only the subset is known; no parameters mean the same.
    if (parameters['properties'] === undefined && parameters['anyOf'] === undefined) return {};
    return { parameters };
  }
  return { parametersJsonSchema: schemaForJsonField(schema) };
}

function encodeCustom(
  tool: Extract<Tool, { kind: 'custom' }>,
  path: string,
  encoding: Encoding,
): JsonObject {
  lose(
    encoding,
    path,
    `the free-text tool ${tool.name} becomes a function with one text parameter`,
    false,
  );
  const parameters = {
    type: 'OBJECT',
    properties: { input: { type: 'STRING' } },
    required: ['input'],
  };
  return compact({ name: tool.name, description: tool.description, parameters });
}

function encodeServerTool(
  tool: Extract<Tool, { kind: 'web-search' | 'native' }>,
  path: string,
  encoding: Encoding,
): JsonObject[] {
  if (tool.kind === 'web-search') {
    if (tool.native.dialect === geminiId) return [tool.native.value];
    takeSearchOptions(tool, [], (option) =>
      lose(encoding, `${path}.${option}`, 'Google searches without such an option', false),
    );
    return [{ googleSearch: {} }];
  }
  if (tool.dialect === geminiId) return tool.type === cachedContentTool ? [] : [tool.value];
  lose(encoding, path, `the tool ${tool.type} of ${tool.dialect}`, true);
  return [];
}

function encodeToolConfig(
  request: ChatRequest,
  hasTools: boolean,
  encoding: Encoding,
): JsonObject | undefined {
  const rest = encoding.own ? asObject(request.extensions['toolConfig']) : undefined;
  if (request.parallelToolCalls === false && hasTools)
    lose(encoding, 'parallel_tool_calls', 'Gemini decides itself on parallel calls', false);
  const choice = request.toolChoice && encodeChoice(request.toolChoice, encoding);
  // Without tools a choice is refused.
  const calling = hasTools || encoding.own ? choice : undefined;
  const unknown = ownCalling(request, encoding);
  if (!calling && !rest) return undefined;
  return compact({
    ...rest,
    functionCallingConfig: calling || unknown ? { ...calling, ...unknown } : undefined,
  });
}

function encodeChoice(choice: ToolChoice, encoding: Encoding): JsonObject | undefined {
  switch (choice.kind) {
    case 'auto':
      return { mode: 'AUTO' };
    case 'none':
      return { mode: 'NONE' };
    case 'required':
      return { mode: 'ANY' };
    case 'tool':
      return { mode: 'ANY', allowedFunctionNames: [choice.name] };
    case 'allowed':
      return choice.mode === 'auto'
        ? { mode: 'AUTO' }
        : { mode: 'ANY', allowedFunctionNames: choice.names };
    case 'native': {
      const value: JsonValue = choice.value;
      if (choice.dialect === geminiId) return asObject(value);
      lose(encoding, 'tool_choice', `a tool choice of ${choice.dialect}`, true);
      return undefined;
    }
  }
}
