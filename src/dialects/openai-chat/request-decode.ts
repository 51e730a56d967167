import type { ChatRequest } from '#canonical';
import {
  asArray,
  asBoolean,
  asObject,
  asString,
  fieldPath,
  optionalArray,
  optionalBoolean,
  optionalNumber,
  optionalObject,
  optionalString,
  ReadError,
  requireString,
  unknownFields,
  type JsonObject,
} from '#std';
import type { RequestContext } from '../dialect.ts';
import { decodeMessages } from './message-decode.ts';
import { decodeReasoningRequest, reasoningFields } from './reasoning-request.ts';
import { decodeResponseFormat, decodeToolChoice, decodeTools } from './tools.ts';

/** Fields that the model reads; all others travel in `extensions`. */
const knownFields = new Set<string>([
  'model',
  'messages',
  'tools',
  'functions',
  'tool_choice',
  'function_call',
  'web_search_options',
  'parallel_tool_calls',
  'max_completion_tokens',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'stop',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'n',
  'response_format',
  'verbosity',
  'modalities',
  'audio',
  'service_tier',
  'user',
  'metadata',
  'prompt_cache_key',
  'store',
  'stream',
  'stream_options',
  ...reasoningFields,
]);

/**
 * Reads a chat request strictly. Throws ReadError with the path of the field. What was not said is
 * there as `undefined`, so that all requests have one shape.
 */
export function decodeRequest(wire: JsonObject, context: RequestContext): ChatRequest {
  const streamOptions = optionalObject(wire, 'stream_options', '');
  return {
    dialect: 'openai-chat',
    model: context.model ?? requireString(wire['model'], 'model'),
    messages: decodeMessages(wire['messages']),
    tools: decodeTools(wire),
    toolChoice: decodeToolChoice(wire),
    parallelToolCalls: optionalBoolean(wire, 'parallel_tool_calls', ''),
    responseFormat: decodeResponseFormat(wire['response_format']),
    reasoning: decodeReasoningRequest(wire),
    legacyFunctions: asArray(wire['functions']) ? true : undefined,
    ...decodeSampling(wire, 'max_completion_tokens'),
    serviceTier: optionalString(wire, 'service_tier', ''),
    endUserId: optionalString(wire, 'user', ''),
    metadata: optionalObject(wire, 'metadata', ''),
    promptCacheKey: optionalString(wire, 'prompt_cache_key', ''),
    store: optionalBoolean(wire, 'store', ''),
    verbosity: optionalString(wire, 'verbosity', ''),
    modalities: decodeModalities(wire),
    audioOutput: decodeAudioOutput(wire),
    stream: context.stream ?? optionalBoolean(wire, 'stream', '') ?? false,
    streamUsage: asBoolean(streamOptions?.['include_usage']) ?? false,
    extensions: decodeExtensions(wire, streamOptions),
  };
}

const ranges = {
  tokens: { minimum: 0, integer: true },
  temperature: { minimum: 0, maximum: 2 },
  probability: { minimum: 0, maximum: 1 },
  penalty: { minimum: -2, maximum: 2 },
  choices: { minimum: 1, maximum: 128, integer: true },
  integer: { integer: true },
  seed: { integer: 'long' },
} as const;

/** Sampling and length, which the legacy completions share; `limit` is the one that counts where both are said. */
export function decodeSampling(
  wire: JsonObject,
  limit: 'max_completion_tokens' | 'max_tokens',
): Partial<ChatRequest> {
  const other = limit === 'max_tokens' ? 'max_completion_tokens' : 'max_tokens';
  return {
    outputTokensMax:
      optionalNumber(wire, limit, '', ranges.tokens) ??
      optionalNumber(wire, other, '', ranges.tokens),
    temperature: optionalNumber(wire, 'temperature', '', ranges.temperature),
    topP: optionalNumber(wire, 'top_p', '', ranges.probability),
    topK: optionalNumber(wire, 'top_k', '', ranges.integer),
    stop: decodeStop(wire),
    seed: optionalNumber(wire, 'seed', '', ranges.seed),
    presencePenalty: optionalNumber(wire, 'presence_penalty', '', ranges.penalty),
    frequencyPenalty: optionalNumber(wire, 'frequency_penalty', '', ranges.penalty),
    logitBias: optionalObject(wire, 'logit_bias', ''),
    logprobs: decodeLogprobs(wire),
    choiceCount: optionalNumber(wire, 'n', '', ranges.choices),
  };
}

function decodeStop(wire: JsonObject): readonly string[] | undefined {
  const said = typeof wire['stop'] === 'string' ? [wire['stop']] : optionalArray(wire, 'stop', '');
  const stop = said?.map((value, index) => requireString(value, fieldPath('stop', index)));
  // Forms send a field that was left empty; a sequence without characters stops nothing.
  return stop?.filter((sequence) => sequence !== '');
}

/** `logprobs: true, top_logprobs: n`; the completions' `logprobs: n`, which some vendors take in chat too. */
function decodeLogprobs(wire: JsonObject): { readonly top: number } | undefined {
  const { logprobs } = wire;
  if (typeof logprobs === 'number')
    return {
      top: optionalNumber(wire, 'logprobs', '', { minimum: 0, maximum: 20, integer: true }) ?? 0,
    };
  if (optionalBoolean(wire, 'logprobs', '') !== true) return undefined;
  return {
    top: optionalNumber(wire, 'top_logprobs', '', { minimum: 0, maximum: 20, integer: true }) ?? 0,
  };
}

const modalityWords = ['text', 'audio', 'image'] as const;

function decodeModalities(wire: JsonObject): ChatRequest['modalities'] {
  return optionalArray(wire, 'modalities', '')?.map((value, index) => {
    const word = modalityWords.find((candidate) => candidate === value);
    if (word === undefined)
      throw new ReadError(
        fieldPath('modalities', index),
        `expected one of ${modalityWords.join(', ')}`,
      );
    return word;
  });
}

function decodeAudioOutput(wire: JsonObject): ChatRequest['audioOutput'] {
  const audio = optionalObject(wire, 'audio', '');
  return (
    audio && { voice: asString(audio['voice']), format: asString(audio['format']), native: audio }
  );
}

const usageOption = new Set(['include_usage']);

function decodeExtensions(wire: JsonObject, streamOptions: JsonObject | undefined): JsonObject {
  const format = asObject(wire['response_format']);
  const otherOptions = streamOptions && unknownFields(streamOptions, usageOption);
  const extensions = unknownFields(wire, knownFields);
  if (format && !isPlainFormat(format))
    return { ...extensions, ...streamExtension(otherOptions), response_format: format };
  return otherOptions ? { ...extensions, ...streamExtension(otherOptions) } : extensions;
}

/** A form that is written again from the model; others go back as they came. */
function isPlainFormat({ type, schema }: JsonObject): boolean {
  return type === 'text' || type === 'json_schema' || (type === 'json_object' && !asObject(schema));
}

function streamExtension(otherOptions: JsonObject | undefined): JsonObject {
  return otherOptions && Object.keys(otherOptions).length > 0
    ? { stream_options: otherOptions }
    : {};
}
