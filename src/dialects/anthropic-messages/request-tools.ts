import type {
  ChatRequest,
  CustomTool,
  FunctionTool,
  Tool,
  ToolChoice,
  WebSearchTool,
} from '#canonical';
import { compact, fieldPath, saidFields, type JsonObject } from '#std';
import { takeSearchOptions } from '../web-search.ts';
import { lose, type Encoding } from './encoding.ts';
import { answerToolName } from './quirks.ts';
import { encodeCache } from './request-parts.ts';

export type EncodedTools = {
  readonly tools: readonly JsonObject[];
  readonly toolChoice: JsonObject | undefined;
};

/** Tools and the choice among them. `answerSchema`: the tool that stands for a structured answer. */
export function encodeTools(
  request: ChatRequest,
  answerSchema: JsonObject | undefined,
  thinks: boolean,
  encoding: Encoding,
): EncodedTools {
  const offered =
    request.toolChoice?.kind === 'allowed'
      ? allowedTools(request, request.toolChoice.names, encoding)
      : request.tools;
  const tools: JsonObject[] = [];
  for (const tool of offered) {
    const encoded = encodeTool(tool, `tools[${request.tools.indexOf(tool)}]`, encoding);
    if (encoded) tools.push(encoded);
  }
  if (answerSchema) {
    const choice: ToolChoice =
      tools.length > 0 ? { kind: 'required' } : { kind: 'tool', name: answerToolName };
    tools.push({
      name: answerToolName,
      description: 'Gives the final answer in the form that was asked for.',
      input_schema: answerSchema,
    });
    return { tools, toolChoice: encodeChoice(choice, request, tools.length, thinks, encoding) };
  }
  return {
    tools,
    toolChoice: encodeChoice(request.toolChoice, request, tools.length, thinks, encoding),
  };
}

/** Anthropic knows no subset of the tools: the others are not offered at all. */
function allowedTools(
  request: ChatRequest,
  names: readonly string[],
  encoding: Encoding,
): readonly Tool[] {
  lose(encoding, 'toolChoice', 'the tools that are not allowed are left out instead');
  return request.tools.filter(
    (tool) => 'name' in tool && tool.name !== undefined && names.includes(tool.name),
  );
}

const legalName = /^[a-zA-Z0-9_-]{1,128}$/;

function encodeTool(tool: Tool, path: string, encoding: Encoding): JsonObject | undefined {
  switch (tool.kind) {
    case 'function':
    case 'custom':
      if (!encoding.own && !legalName.test(tool.name)) {
        lose(encoding, `${path}.name`, `Anthropic does not take the name "${tool.name}"`, true);
        return undefined;
      }
      return tool.kind === 'function'
        ? encodeFunction(tool, path, encoding)
        : encodeCustom(tool, path, encoding);
    case 'web-search':
      if (tool.native.dialect === 'anthropic-messages') return tool.native.value;
      return encodeWebSearch(tool, path, encoding);
    case 'native':
      if (tool.dialect === 'anthropic-messages') return tool.value;
      lose(
        encoding,
        path,
        `the tool "${tool.type}" is run by another vendor and unknown to Anthropic`,
        true,
      );
      return undefined;
  }
}

/** Anthropic takes one of the two lists of domains. */
function encodeWebSearch(tool: WebSearchTool, path: string, encoding: Encoding): JsonObject {
  const report = (option: string): void =>
    lose(encoding, fieldPath(path, option), 'web search here has no such option');
  const taken = ['user_location', 'allowed_domains', 'blocked_domains', 'max_uses'];
  const said = takeSearchOptions(tool, taken, report);
  const { blocked_domains: blocked, ...options } = said;
  const both = blocked !== undefined && options['allowed_domains'] !== undefined;
  if (both) report('blocked_domains');
  return { type: encoding.quirks.webSearchTool, name: 'web_search', ...(both ? options : said) };
}

function encodeFunction(tool: FunctionTool, path: string, encoding: Encoding): JsonObject {
  const { name, description, parameters = {}, strict } = tool;
  const sendsStrict = strict !== undefined && (encoding.own || encoding.quirks.strictTools);
  if (strict === true && !sendsStrict)
    lose(encoding, `${path}.strict`, 'this model does not enforce schemas of tools');
  const closed = sendsStrict && strict && !encoding.own ? { additionalProperties: false } : {};
  const schema =
    parameters['type'] === 'object' || encoding.own
      ? parameters
      : { properties: {}, ...parameters, type: 'object' };
  const wire = compact({
    name,
    description,
    input_schema: { ...schema, ...closed },
    strict: sendsStrict ? strict : undefined,
    cache_control: tool.cache && encodeCache(tool.cache, path, encoding),
  });
  if (!tool.extensions) return wire;
  if (encoding.own) return { ...wire, ...tool.extensions };
  for (const key of saidFields(tool.extensions))
    lose(encoding, fieldPath(path, key), 'not known to Anthropic');
  return wire;
}

/** Free text travels in one string parameter; answers are turned back by the client's dialect. */
function encodeCustom(tool: CustomTool, path: string, encoding: Encoding): JsonObject {
  const { name, description, format } = tool;
  const bound = format !== undefined && format['type'] !== 'text';
  lose(
    encoding,
    path,
    bound
      ? 'free text goes in one parameter; its grammar is not enforced'
      : 'free text goes in one parameter',
  );
  const grammar = bound
    ? `The text must match this format: ${JSON.stringify(format)}`
    : 'The input of the tool, as free text.';
  const schema = {
    type: 'object',
    properties: { input: { type: 'string', description: grammar } },
    required: ['input'],
  };
  return compact({ name, description, input_schema: schema });
}

function encodeChoice(
  choice: ToolChoice | undefined,
  request: ChatRequest,
  toolCount: number,
  thinks: boolean,
  encoding: Encoding,
): JsonObject | undefined {
  if (toolCount === 0) {
    if (choice?.kind === 'required' || choice?.kind === 'tool')
      lose(encoding, 'toolChoice', 'a tool is required, but there is none', true);
    return undefined;
  }
  const serial = request.parallelToolCalls === false;
  const base = choiceObject(choice, thinks, encoding) ?? (serial ? { type: 'auto' } : undefined);
  if (!base || base['type'] === 'none') return base;
  if (serial) return { ...base, disable_parallel_tool_use: true };
  return request.parallelToolCalls === true && encoding.own
    ? { ...base, disable_parallel_tool_use: false }
    : base;
}

function choiceObject(
  choice: ToolChoice | undefined,
  thinks: boolean,
  encoding: Encoding,
): JsonObject | undefined {
  switch (choice?.kind) {
    case undefined:
      return undefined;
    case 'auto':
    case 'none':
      return { type: choice.kind };
    case 'required':
      return forced({ type: 'any' }, thinks, encoding);
    case 'tool':
      return forced({ type: 'tool', name: choice.name }, thinks, encoding);
    case 'allowed':
      return choice.mode === 'required'
        ? forced({ type: 'any' }, thinks, encoding)
        : { type: 'auto' };
    case 'native':
      if (
        choice.dialect === 'anthropic-messages' &&
        typeof choice.value === 'object' &&
        choice.value !== null
      ) {
        return choice.value as JsonObject;
      }
      lose(encoding, 'toolChoice', `a choice of tools in the form of ${choice.dialect}`, true);
      return undefined;
  }
}

/** Some models take no forced choice, and none takes it while thinking. */
function forced(choice: JsonObject, thinks: boolean, encoding: Encoding): JsonObject {
  if (encoding.quirks.forcedToolUse && (encoding.own || !thinks)) return choice;
  lose(encoding, 'toolChoice', 'this model cannot be forced to call a tool; it may choose');
  return { type: 'auto' };
}
