import type {
  ChatRequest,
  Loss,
  ResponseFormat,
  Tool,
  ToolChoice,
  WebSearchTool,
} from '#canonical';
import {
  asObject,
  asObjects,
  asString,
  compact,
  fieldPath,
  optionalArray,
  optionalBoolean,
  optionalObject,
  optionalString,
  requireObject,
  requireString,
  saidFields,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { freeTextLoss, freeTextParameters } from '../free-text-tools.ts';
import { takeSearchOptions } from '../web-search.ts';
import type { ChatQuirks } from './quirks.ts';

const webSearchTypes = new Set(['web_search', 'web_search_preview', 'openrouter:web_search']);

/** The tools of a request: `tools`, the older `functions`, and web search, which chat asks for by options. */
export function decodeTools(wire: JsonObject): readonly Tool[] {
  const tools = (optionalArray(wire, 'tools', '') ?? []).map((element, index) => {
    const path = fieldPath('tools', index);
    return decodeTool(requireObject(element, path), path);
  });
  const functions = (optionalArray(wire, 'functions', '') ?? []).map((element, index) => {
    const path = fieldPath('functions', index);
    return decodeFunction({}, requireObject(element, path), path);
  });
  const search = optionalObject(wire, 'web_search_options', '');
  const searchTools: Tool[] = search
    ? [{ kind: 'web-search', native: { dialect: 'openai-chat', value: search } }]
    : [];
  return [...tools, ...functions, ...searchTools];
}

function decodeTool(wire: JsonObject, path: string): Tool {
  const type =
    asString(wire['type']) ??
    (asObject(wire['function'])
      ? 'function'
      : requireString(wire['type'], fieldPath(path, 'type')));
  if (type === 'function') {
    const at = fieldPath(path, 'function');
    return decodeFunction(
      unknownFields(wire, new Set(['type', 'function', 'cache_control'])),
      requireObject(wire['function'], at),
      at,
      wire,
    );
  }
  if (type === 'custom') return decodeCustom(wire, path);
  if (webSearchTypes.has(type))
    return { kind: 'web-search', name: type, native: { dialect: 'openai-chat', value: wire } };
  return { kind: 'native', dialect: 'openai-chat', type, value: wire };
}

function decodeFunction(
  outer: JsonObject,
  inner: JsonObject,
  path: string,
  wire?: JsonObject,
): Tool {
  const innerRest = unknownFields(inner, new Set(['name', 'description', 'parameters', 'strict']));
  const extensions = Object.keys(innerRest).length > 0 ? { ...outer, function: innerRest } : outer;
  const mark = asObject(wire?.['cache_control']);
  const ttl = asString(mark?.['ttl']);
  return {
    kind: 'function',
    name: requireString(inner['name'], fieldPath(path, 'name')),
    ...present('description', optionalString(inner, 'description', path)),
    ...present('parameters', optionalObject(inner, 'parameters', path)),
    ...present('strict', optionalBoolean(inner, 'strict', path)),
    ...(mark ? { cache: ttl === undefined ? {} : { ttl } } : {}),
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

function decodeCustom(wire: JsonObject, path: string): Tool {
  const at = fieldPath(path, 'custom');
  const inner = requireObject(wire['custom'], at);
  const extensions = unknownFields(wire, new Set(['type', 'custom']));
  return {
    kind: 'custom',
    name: requireString(inner['name'], fieldPath(at, 'name')),
    ...present('description', optionalString(inner, 'description', at)),
    ...present('format', optionalObject(inner, 'format', at)),
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

function present<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}

/** `tool_choice`, or the older `function_call`. */
export function decodeToolChoice(wire: JsonObject): ToolChoice | undefined {
  const value = wire['tool_choice'] ?? wire['function_call'];
  if (value === undefined || value === null) return undefined;
  if (value === 'auto' || value === 'none' || value === 'required') return { kind: value };
  if (value === 'any') return { kind: 'required' };
  const path =
    wire['tool_choice'] === undefined || wire['tool_choice'] === null
      ? 'function_call'
      : 'tool_choice';
  const object = requireObject(value, path);
  const type = asString(object['type']);
  if (type === undefined && path === 'function_call')
    return { kind: 'tool', name: requireString(object['name'], 'function_call.name') };
  if (type === 'function' || type === 'custom') {
    const at = fieldPath(path, type);
    return {
      kind: 'tool',
      name: requireString(requireObject(object[type], at)['name'], fieldPath(at, 'name')),
    };
  }
  if (type === 'allowed_tools') return decodeAllowed(object);
  return { kind: 'native', dialect: 'openai-chat', value };
}

function decodeAllowed(object: JsonObject): ToolChoice {
  const path = 'tool_choice.allowed_tools';
  const inner = requireObject(object['allowed_tools'], path);
  const names = asObjects(inner['tools']).map((tool) =>
    asString(asObject(tool[asString(tool['type']) ?? ''])?.['name']),
  );
  return {
    kind: 'allowed',
    mode: inner['mode'] === 'required' ? 'required' : 'auto',
    names: names.filter((name) => name !== undefined),
  };
}

/** `undefined` also for forms only one vendor has (a grammar): those stay in the request's extensions. */
export function decodeResponseFormat(value: JsonValue | undefined): ResponseFormat | undefined {
  const format = asObject(value);
  switch (format?.['type']) {
    case 'text':
      return { kind: 'text' };
    case 'json_object': {
      // Several vendors' older way to bind JSON to a schema.
      const schema = asObject(format['schema']);
      return schema ? { kind: 'json-schema', schema } : { kind: 'json' };
    }
    case 'json_schema': {
      const path = 'response_format.json_schema';
      const inner = requireObject(format['json_schema'], path);
      return {
        kind: 'json-schema',
        schema: requireObject(inner['schema'], fieldPath(path, 'schema')),
        ...present('name', optionalString(inner, 'name', path)),
        ...present('description', optionalString(inner, 'description', path)),
        ...present('strict', optionalBoolean(inner, 'strict', path)),
      };
    }
    default:
      return undefined;
  }
}

// ---- to the wire ----------------------------------------------------------------------------

/** Fields `tools`, `functions`, `tool_choice`, `web_search_options` and vendors' switches for search. */
export function encodeTools(request: ChatRequest, quirks: ChatQuirks, losses: Loss[]): JsonObject {
  const tools: JsonObject[] = [];
  let fields: JsonObject = {};
  for (const [index, tool] of request.tools.entries()) {
    const path = fieldPath('tools', index);
    if (tool.kind === 'web-search')
      fields = { ...fields, ...encodeWebSearch(tool, quirks, tools, path, losses) };
    else if (tool.kind === 'native') {
      if (tool.dialect === 'openai-chat') tools.push(tool.value);
      else losses.push({ path, reason: `chat has no tool "${tool.type}"`, changesMeaning: true });
    } else tools.push(encodeTool(tool, request, quirks, path, losses));
  }
  const legacy = quirks.legacyFunctions && request.legacyFunctions === true;
  const list = legacy ? { functions: tools.map((tool) => tool['function'] ?? tool) } : { tools };
  return {
    ...(tools.length > 0 ? list : {}),
    ...fields,
    ...encodeToolChoice(request, quirks, legacy, losses),
  };
}

type ClientTool = Extract<Tool, { kind: 'function' | 'custom' }>;

function encodeTool(
  tool: ClientTool,
  request: ChatRequest,
  quirks: ChatQuirks,
  path: string,
  losses: Loss[],
): JsonObject {
  const own = request.dialect === 'openai-chat' ? (tool.extensions ?? {}) : {};
  if (request.dialect !== 'openai-chat') loseFields(tool.extensions, path, losses);
  if (tool.kind === 'function') {
    const outer = unknownFields(own, new Set(['function']));
    const { name, description, parameters, strict } = tool;
    const mark = cacheMark(tool.cache, request, quirks);
    if (tool.cache && !mark)
      losses.push({
        path: fieldPath(path, 'cache_control'),
        reason: 'this upstream takes no cache marks',
        changesMeaning: false,
      });
    const inner = {
      ...compact({ name, description, parameters, strict }),
      ...asObject(own['function']),
    };
    return { type: 'function', function: inner, ...mark, ...outer };
  }
  const { name, description, format } = tool;
  if (quirks.customTools)
    return { type: 'custom', custom: compact({ name, description, format }), ...own };
  losses.push({ path, reason: freeTextLoss, changesMeaning: false });
  const parameters = freeTextParameters;
  return { type: 'function', function: compact({ name, description, parameters }) };
}

/** The mark as this upstream spells it; `undefined` where it takes none. */
export function cacheMark(
  cache: { readonly ttl?: string | undefined } | undefined,
  request: ChatRequest,
  quirks: ChatQuirks,
): JsonObject | undefined {
  if (!cache) return undefined;
  const form = quirks.cacheMarks ?? (request.dialect === 'openai-chat' ? 'cache_control' : 'none');
  if (form === 'none') return undefined;
  if (form === 'prompt_cache_breakpoint') return { prompt_cache_breakpoint: { mode: 'explicit' } };
  return { cache_control: compact({ type: 'ephemeral', ttl: cache.ttl }) };
}

function encodeWebSearch(
  tool: WebSearchTool,
  quirks: ChatQuirks,
  tools: JsonObject[],
  path: string,
  losses: Loss[],
): JsonObject {
  const { native } = tool;
  if (native.dialect === 'openai-chat') {
    if (native.value['type'] === undefined) return { web_search_options: native.value };
    tools.push(native.value);
    return {};
  }
  const options = takeSearchOptions(
    tool,
    quirks.webSearch === 'web_search_options' ? ['search_context_size', 'user_location'] : [],
    (option) => {
      if (quirks.webSearch === 'none') return;
      const reason = 'web search here has no such option';
      losses.push({ path: fieldPath(path, option), reason, changesMeaning: false });
    },
  );
  switch (quirks.webSearch) {
    case 'web_search_options':
      return { web_search_options: nestedLocation(options) };
    case 'openrouter':
      tools.push({ type: 'openrouter:web_search' });
      return {};
    case 'zai':
      tools.push({ type: 'web_search', web_search: { enable: true } });
      return {};
    case 'enable_search':
      return { enable_search: true };
    case 'none':
      losses.push({ path, reason: 'this upstream has no web search', changesMeaning: true });
      return {};
  }
}

function nestedLocation(options: JsonObject): JsonObject {
  const location = asObject(options['user_location']);
  if (!location) return options;
  const { type, ...approximate } = location;
  return compact({ ...options, user_location: compact({ type, approximate }) });
}

function encodeToolChoice(
  request: ChatRequest,
  quirks: ChatQuirks,
  legacy: boolean,
  losses: Loss[],
): JsonObject {
  const { toolChoice } = request;
  if (!toolChoice) return {};
  const key = legacy ? 'function_call' : 'tool_choice';
  switch (toolChoice.kind) {
    case 'auto':
    case 'none':
      return { [key]: toolChoice.kind };
    case 'required':
      if (quirks.toolChoiceRequired === 'auto') {
        losses.push({
          path: key,
          reason: 'this model cannot be forced to call a tool',
          changesMeaning: true,
        });
      }
      return { [key]: quirks.toolChoiceRequired };
    case 'tool':
      return {
        [key]: legacy ? { name: toolChoice.name } : toolReference(toolChoice.name, request),
      };
    case 'allowed': {
      const tools = toolChoice.names.map((name) => toolReference(name, request));
      return { [key]: { type: 'allowed_tools', allowed_tools: { mode: toolChoice.mode, tools } } };
    }
    case 'native':
      if (toolChoice.dialect === 'openai-chat') return { [key]: toolChoice.value };
      losses.push({
        path: key,
        reason: 'chat cannot say this choice of tools',
        changesMeaning: true,
      });
      return {};
  }
}

function toolReference(name: string, request: ChatRequest): JsonObject {
  const custom = request.tools.some((tool) => tool.kind === 'custom' && tool.name === name);
  return custom ? { type: 'custom', custom: { name } } : { type: 'function', function: { name } };
}

export function encodeResponseFormat(
  request: ChatRequest,
  quirks: ChatQuirks,
  losses: Loss[],
): JsonObject {
  const { responseFormat } = request;
  if (!responseFormat) return {};
  const path = 'response_format';
  if (responseFormat.kind === 'text') return { response_format: { type: 'text' } };
  if (responseFormat.kind === 'json') {
    if (quirks.jsonSchema !== 'none') return { response_format: { type: 'json_object' } };
    losses.push({ path, reason: 'this upstream has no JSON mode', changesMeaning: true });
    return {};
  }
  if (quirks.jsonSchema === 'strict') {
    const { name = 'answer', description, schema, strict } = responseFormat;
    return {
      response_format: {
        type: 'json_schema',
        json_schema: compact({ name, description, schema, strict }),
      },
    };
  }
  losses.push({
    path: `${path}.json_schema`,
    reason: 'this upstream cannot be bound to a JSON schema',
    changesMeaning: true,
  });
  return quirks.jsonSchema === 'json_object' ? { response_format: { type: 'json_object' } } : {};
}

/** Fields of another dialect that chat does not know. */
export function loseFields(extensions: JsonObject | undefined, path: string, losses: Loss[]): void {
  loseNames(saidFields(extensions), path, losses);
}

export function loseNames(names: readonly string[], path: string, losses: Loss[]): void {
  for (const name of names)
    losses.push({
      path: fieldPath(path, name),
      reason: 'not known in Chat Completions',
      changesMeaning: false,
    });
}
