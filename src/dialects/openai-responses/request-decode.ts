import type { ChatRequest, Message, ReasoningEffort, ReasoningRequest } from '#canonical';
import {
  asString,
  optionalArray,
  optionalBoolean,
  optionalNumber,
  optionalObject,
  optionalOneOf,
  optionalString,
  ReadError,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { RequestContext } from '../dialect.ts';
import { present } from './content.ts';
import { decodeInput } from './items-decode.ts';
import { effortOrder } from './quirks.ts';
import { previousResponseNotFound } from './state.ts';
import { declaredNamespaces } from './namespaces.ts';
import { decodeTextFormat, decodeToolChoice, decodeTools } from './tools.ts';

const encryptedContent = 'reasoning.encrypted_content';
const outputLogprobs = 'message.output_text.logprobs';

const knownFields = new Set([
  'model',
  'input',
  'instructions',
  'max_output_tokens',
  'temperature',
  'top_p',
  'top_logprobs',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'text',
  'reasoning',
  'include',
  'metadata',
  'prompt_cache_key',
  'safety_identifier',
  'service_tier',
  'store',
  'stream',
  'background',
  'conversation',
  'previous_response_id',
]);

/**
 * Reads the body of `POST /v1/responses` after the gateway has put the stored history in
 * (`withHistory`). Throws ReadError with the field's path.
 */
export function decodeRequest(wire: JsonObject, context: RequestContext): ChatRequest {
  refuseStateOfVendor(wire);
  const model = context.model ?? optionalString(wire, 'model', '');
  if (model === undefined) throw new ReadError('model', 'expected a string, got nothing');
  const text = optionalObject(wire, 'text', '');
  const { format, extensions: formatExtensions } = decodeTextFormat(text);
  const include = optionalArray(wire, 'include', '') ?? [];
  const topLogprobs = optionalNumber(wire, 'top_logprobs', '', {
    minimum: 0,
    maximum: 20,
    integer: true,
  });
  const logprobs =
    include.includes(outputLogprobs) || topLogprobs ? { top: topLogprobs ?? 0 } : undefined;
  // `user` is the older name of the same thing; when both are said the newer one counts.
  const endUserId =
    optionalString(wire, 'safety_identifier', '') ?? optionalString(wire, 'user', '');
  const reasoning = decodeReasoningRequest(optionalObject(wire, 'reasoning', ''));
  const stream = context.stream ?? optionalBoolean(wire, 'stream', '') ?? false;
  const tools = decodeTools(optionalArray(wire, 'tools', ''));
  const input = decodeInput(wire['input'], declaredNamespaces(tools));
  return {
    dialect: 'openai-responses',
    model,
    messages: [...instructionMessages(wire), ...input],
    tools,
    toolChoice: decodeToolChoice(wire['tool_choice']),
    parallelToolCalls: optionalBoolean(wire, 'parallel_tool_calls', ''),
    outputTokensMax: optionalNumber(wire, 'max_output_tokens', '', { minimum: 1, integer: true }),
    temperature: optionalNumber(wire, 'temperature', '', { minimum: 0, maximum: 2 }),
    topP: optionalNumber(wire, 'top_p', '', { minimum: 0, maximum: 1 }),
    logprobs,
    responseFormat: format,
    reasoning,
    verbosity: text && optionalString(text, 'verbosity', 'text'),
    serviceTier: optionalString(wire, 'service_tier', ''),
    endUserId,
    metadata: optionalObject(wire, 'metadata', ''),
    promptCacheKey: optionalString(wire, 'prompt_cache_key', ''),
    store: optionalBoolean(wire, 'store', ''),
    encryptedReasoning: include.includes(encryptedContent) ? true : undefined,
    stream,
    streamUsage: true,
    extensions: requestExtensions(wire, text, formatExtensions, include),
  };
}

/** Refuses what would need state at a vendor: every request must be able to go to any account. */
function refuseStateOfVendor(wire: JsonObject): void {
  if (wire['background'] === true) {
    throw new ReadError(
      'background',
      'background responses are not supported; set background to false and stream the answer',
    );
  }
  if (wire['conversation'] !== undefined && wire['conversation'] !== null) {
    throw new ReadError(
      'conversation',
      'conversations are not supported; send previous_response_id or the whole input',
    );
  }
  const previous = wire['previous_response_id'];
  if (previous !== undefined && previous !== null)
    throw previousResponseNotFound(asString(previous) ?? String(previous));
}

function instructionMessages(wire: JsonObject): Message[] {
  const text = optionalString(wire, 'instructions', '');
  if (text === undefined) return [];
  return [{ role: 'system', place: 'instructions', parts: [{ kind: 'text', text }] }];
}

const reasoningFields = new Set(['effort', 'summary', 'generate_summary']);

function decodeReasoningRequest(wire: JsonObject | undefined): ReasoningRequest | undefined {
  if (!wire) return undefined;
  const effort = optionalOneOf<ReasoningEffort>(wire, 'effort', 'reasoning', effortOrder);
  // `generate_summary` is the older name.
  const summary =
    optionalString(wire, 'summary', 'reasoning') ??
    optionalString(wire, 'generate_summary', 'reasoning');
  const extensions = present(unknownFields(wire, reasoningFields));
  if (effort === undefined && summary === undefined && !extensions.extensions) return undefined;
  return { effort, summary, ...extensions };
}

const textFields = new Set(['format', 'verbosity']);

/** What stays in this dialect: unknown fields, and what is left of `include` and `text`. */
function requestExtensions(
  wire: JsonObject,
  text: JsonObject | undefined,
  format: JsonObject,
  include: readonly JsonValue[],
): JsonObject {
  const rest: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(unknownFields(wire, knownFields))) {
    if (value === null || value === undefined) continue;
    if (
      key === 'user' &&
      (wire['safety_identifier'] === undefined || wire['safety_identifier'] === null)
    )
      continue;
    rest[key] = value;
  }
  const wishes = include.filter((wish) => wish !== encryptedContent && wish !== outputLogprobs);
  if (wishes.length > 0) rest['include'] = wishes;
  const textRest = text ? unknownFields(text, textFields) : {};
  const formatRest = Object.keys(format).length > 0 ? { format } : {};
  if (Object.keys(textRest).length > 0 || Object.keys(format).length > 0)
    rest['text'] = { ...textRest, ...formatRest };
  return rest;
}
