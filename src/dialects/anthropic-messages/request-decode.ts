import type {
  ChatRequest,
  Message,
  ReasoningRequest,
  ResponseFormat,
  Role,
  Tool,
  ToolChoice,
} from '#canonical';
import {
  fieldPath,
  optionalArray,
  optionalBoolean,
  optionalNumber,
  optionalObject,
  optionalOneOf,
  optionalString,
  ReadError,
  requireArray,
  requireObject,
  requireString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { RequestContext } from '../dialect.ts';
import { messagesMax, toolsMax } from './limits.ts';
import { commonFields, decodeContent } from './request-blocks.ts';

const dialect = 'anthropic-messages';

/** Fields that the neutral request carries; all others travel in `extensions`. */
const knownFields = new Set([
  'model',
  'max_tokens',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'output_format',
  'stop_sequences',
  'stream',
  'temperature',
  'top_p',
  'top_k',
  'metadata',
  'service_tier',
  'anthropic_version',
]);

/**
 * Reads a body of `POST /v1/messages` (API versions 2023-06-01 and 2026-10-21) or of its
 * count_tokens. `max_tokens` may be missing, as in count_tokens. Throws ReadError.
 */
export function decodeRequest(wire: JsonObject, context: RequestContext): ChatRequest {
  const sampling = decodeSampling(wire);
  const endUser = decodeMetadata(wire);
  const choice = decodeToolChoice(wire);
  const output = decodeOutputConfig(wire);
  const thinking = decodeThinking(wire);
  const reasoning = { ...thinking.reasoning, ...(output.effort ? { effort: output.effort } : {}) };
  const extensions = {
    ...unknownFields(wire, knownFields),
    ...thinking.extensions,
    ...output.extensions,
    ...endUser.extensions,
  };
  const serviceTier = optionalString(wire, 'service_tier', '');
  return {
    dialect,
    model: context.model ?? requireString(wire['model'], 'model'),
    messages: [...decodeSystem(wire), ...decodeMessages(wire)],
    tools: decodeTools(wire),
    ...choice,
    ...sampling,
    ...(Object.keys(reasoning).length > 0 ? { reasoning } : {}),
    ...(output.responseFormat ? { responseFormat: output.responseFormat } : {}),
    ...(endUser.endUserId === undefined ? {} : { endUserId: endUser.endUserId }),
    ...(serviceTier === undefined ? {} : { serviceTier }),
    stream: context.stream ?? optionalBoolean(wire, 'stream', '') ?? false,
    streamUsage: true,
    extensions,
  };
}

function decodeSampling(wire: JsonObject): Partial<ChatRequest> {
  const outputTokensMax = optionalNumber(wire, 'max_tokens', '', { integer: true, minimum: 0 });
  const temperature = optionalNumber(wire, 'temperature', '', { minimum: 0, maximum: 1 });
  const topP = optionalNumber(wire, 'top_p', '', { minimum: 0, maximum: 1 });
  const topK = optionalNumber(wire, 'top_k', '', { integer: true, minimum: 0 });
  const stop = optionalArray(wire, 'stop_sequences', '')?.map((sequence, index) =>
    requireString(sequence, fieldPath('stop_sequences', index)),
  );
  return {
    ...(outputTokensMax === undefined ? {} : { outputTokensMax }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(stop && stop.length > 0 ? { stop } : {}),
  };
}

function decodeSystem(wire: JsonObject): readonly Message[] {
  const system = wire['system'];
  if (system === undefined || system === null || system === '') return [];
  const parts = decodeContent(system, 'system');
  return parts.length > 0 ? [{ role: 'system', parts }] : [];
}

function decodeMessages(wire: JsonObject): readonly Message[] {
  const values = requireArray(wire['messages'], 'messages');
  if (values.length > messagesMax)
    throw new ReadError(
      'messages',
      `expected at most ${messagesMax} messages, got ${values.length}`,
    );
  return values.flatMap((value, index) => {
    const path = fieldPath('messages', index);
    return decodeMessage(requireObject(value, path), path);
  });
}

const messageFields = new Set(['role', 'content']);

/** A user turn becomes a `tool` message with its results and a `user` message with the rest. */
function decodeMessage(message: JsonObject, path: string): readonly Message[] {
  const role = optionalOneOf(message, 'role', path, ['user', 'assistant', 'system']);
  if (role === undefined)
    throw new ReadError(
      fieldPath(path, 'role'),
      'expected one of user, assistant, system, got nothing',
    );
  const parts = decodeContent(message['content'], fieldPath(path, 'content'));
  const unknown = unknownFields(message, messageFields);
  const extensions = Object.keys(unknown).length > 0 ? { extensions: unknown } : {};
  const results = parts.filter((part) => part.kind === 'tool-result');
  if (results.length === 0) return [{ role, parts, ...extensions }];
  if (role !== 'user')
    throw new ReadError(
      fieldPath(path, 'content'),
      `tool_result blocks belong into a user message, not into one of role ${role}`,
    );
  const others = parts.filter((part) => part.kind !== 'tool-result');
  const toolRole: Role = 'tool';
  if (others.length === 0) return [{ role: toolRole, parts: results, ...extensions }];
  return [
    { role: toolRole, parts: results },
    { role, parts: others, ...extensions },
  ];
}

function decodeTools(wire: JsonObject): readonly Tool[] {
  const values = optionalArray(wire, 'tools', '') ?? [];
  if (values.length > toolsMax)
    throw new ReadError('tools', `expected at most ${toolsMax} tools, got ${values.length}`);
  return values.map((value, index) => {
    const path = fieldPath('tools', index);
    return decodeTool(requireObject(value, path), path);
  });
}

const functionToolFields = new Set(['type', 'name', 'description', 'input_schema', 'strict']);

function decodeTool(tool: JsonObject, path: string): Tool {
  const type = optionalString(tool, 'type', path) ?? 'custom';
  if (type.startsWith('web_search_')) {
    const name = optionalString(tool, 'name', path);
    return {
      kind: 'web-search',
      native: { dialect, value: tool },
      ...(name === undefined ? {} : { name }),
    };
  }
  if (type !== 'custom') return { kind: 'native', dialect, type, value: tool };
  const description = optionalString(tool, 'description', path);
  const strict = optionalBoolean(tool, 'strict', path);
  return {
    kind: 'function',
    name: requireString(tool['name'], fieldPath(path, 'name')),
    parameters: requireObject(tool['input_schema'], fieldPath(path, 'input_schema')),
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
    ...commonFields(tool, path, functionToolFields),
  };
}

type ChoiceFields = Pick<ChatRequest, 'toolChoice' | 'parallelToolCalls'>;

function decodeToolChoice(wire: JsonObject): ChoiceFields {
  const choice = optionalObject(wire, 'tool_choice', '');
  if (!choice) return {};
  const disabled = optionalBoolean(choice, 'disable_parallel_tool_use', 'tool_choice');
  return {
    toolChoice: readToolChoice(choice),
    ...(disabled === undefined ? {} : { parallelToolCalls: !disabled }),
  };
}

function readToolChoice(choice: JsonObject): ToolChoice {
  switch (requireString(choice['type'], 'tool_choice.type')) {
    case 'auto':
      return { kind: 'auto' };
    case 'none':
      return { kind: 'none' };
    case 'any':
      return { kind: 'required' };
    case 'tool':
      return { kind: 'tool', name: requireString(choice['name'], 'tool_choice.name') };
    default: {
      const { disable_parallel_tool_use: _, ...value } = choice;
      return { kind: 'native', dialect, value };
    }
  }
}

type ThinkingFields = { readonly reasoning: ReasoningRequest; readonly extensions: JsonObject };

const thinkingFields = new Set(['type', 'budget_tokens', 'display']);

function decodeThinking(wire: JsonObject): ThinkingFields {
  const thinking = optionalObject(wire, 'thinking', '');
  if (!thinking) return { reasoning: {}, extensions: {} };
  const unknown = unknownFields(thinking, thinkingFields);
  const display = optionalString(thinking, 'display', 'thinking');
  const summary = display === 'omitted' ? 'none' : display === 'summarized' ? 'auto' : undefined;
  const kept = summary === undefined && display !== undefined ? { ...unknown, display } : unknown;
  const common = {
    ...(summary === undefined ? {} : { summary }),
    ...(Object.keys(kept).length > 0 ? { extensions: kept } : {}),
  };
  switch (requireString(thinking['type'], 'thinking.type')) {
    case 'enabled': {
      const budgetTokens = optionalNumber(thinking, 'budget_tokens', 'thinking', {
        integer: true,
        minimum: 1,
      });
      if (budgetTokens === undefined)
        throw new ReadError('thinking.budget_tokens', 'expected a number, got nothing');
      return { reasoning: { budgetTokens, ...common }, extensions: {} };
    }
    case 'disabled':
      return { reasoning: { budgetTokens: 0, ...common }, extensions: {} };
    case 'adaptive':
      return { reasoning: { mode: 'adaptive', ...common }, extensions: {} };
    case 'between_tools':
      return { reasoning: { mode: 'between-tools', ...common }, extensions: {} };
    default:
      return { reasoning: {}, extensions: { thinking } };
  }
}

type OutputFields = {
  readonly effort?: 'low' | 'medium' | 'high' | 'xhigh' | 'max';
  readonly responseFormat?: ResponseFormat;
  readonly extensions: JsonObject;
};

const efforts = ['low', 'medium', 'high', 'xhigh', 'max'] as const;

/** `output_config`, and its forerunner `output_format`, which says the same as `output_config.format`. */
function decodeOutputConfig(wire: JsonObject): OutputFields {
  const config = optionalObject(wire, 'output_config', '') ?? {};
  const path = 'output_config';
  const rest: Record<string, JsonValue | undefined> = { ...config };
  const effortText = optionalString(config, 'effort', path);
  const effort = efforts.find((candidate) => candidate === effortText);
  if (effort !== undefined || effortText === undefined) delete rest['effort'];
  const inConfig = decodeFormat(config, 'format', path);
  if (inConfig || config['format'] === null) delete rest['format'];
  const older = inConfig ? undefined : decodeFormat(wire, 'output_format', '');
  const keptFormat =
    older || wire['output_format'] == null ? {} : { output_format: wire['output_format'] };
  const responseFormat = inConfig ?? older;
  return {
    ...(effort ? { effort } : {}),
    ...(responseFormat ? { responseFormat } : {}),
    extensions: { ...keptFormat, ...(Object.keys(rest).length > 0 ? { output_config: rest } : {}) },
  };
}

function decodeFormat(object: JsonObject, key: string, path: string): ResponseFormat | undefined {
  const format = optionalObject(object, key, path);
  if (!format || format['type'] !== 'json_schema') return undefined;
  if (Object.keys(format).length > 2) return undefined;
  return {
    kind: 'json-schema',
    schema: requireObject(format['schema'], fieldPath(fieldPath(path, key), 'schema')),
  };
}

function decodeMetadata(wire: JsonObject): {
  readonly endUserId?: string;
  readonly extensions: JsonObject;
} {
  const metadata = optionalObject(wire, 'metadata', '');
  if (!metadata) return { extensions: {} };
  const endUserId = optionalString(metadata, 'user_id', 'metadata');
  const rest = unknownFields(metadata, new Set(['user_id']));
  return {
    ...(endUserId === undefined ? {} : { endUserId }),
    extensions: Object.keys(rest).length > 0 ? { metadata: rest } : {},
  };
}
