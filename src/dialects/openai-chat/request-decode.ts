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

/** Reads a chat request strictly. Throws ReadError with the path of the field. */
export function decodeRequest(wire: JsonObject, context: RequestContext): ChatRequest {
  const streamOptions = optionalObject(wire, 'stream_options', '');
  return {
    dialect: 'openai-chat',
    model: context.model ?? requireString(wire['model'], 'model'),
    messages: decodeMessages(wire['messages']),
    tools: decodeTools(wire),
    ...defined({
      toolChoice: decodeToolChoice(wire),
      parallelToolCalls: optionalBoolean(wire, 'parallel_tool_calls', ''),
      responseFormat: decodeResponseFormat(wire['response_format']),
      reasoning: decodeReasoningRequest(wire),
      legacyFunctions: asArray(wire['functions']) ? true : undefined,
      ...decodeSampling(wire),
      ...decodeIdentity(wire),
      ...decodeOutputKinds(wire),
    }),
    stream: context.stream ?? optionalBoolean(wire, 'stream', '') ?? false,
    streamUsage: asBoolean(streamOptions?.['include_usage']) ?? false,
    extensions: decodeExtensions(wire, streamOptions),
  };
}

/** Sampling and length, which the legacy completions share. */
export function decodeSampling(wire: JsonObject): Partial<ChatRequest> {
  const number = (
    key: string,
    minimum: number,
    maximum?: number,
    integer = false,
  ): number | undefined =>
    optionalNumber(wire, key, '', {
      minimum,
      ...(maximum === undefined ? {} : { maximum }),
      integer,
    });
  return defined({
    outputTokensMax:
      number('max_completion_tokens', 0, undefined, true) ??
      number('max_tokens', 0, undefined, true),
    temperature: number('temperature', 0, 2),
    topP: number('top_p', 0, 1),
    topK: optionalNumber(wire, 'top_k', '', { integer: true }),
    stop: decodeStop(wire),
    seed: optionalNumber(wire, 'seed', '', { integer: true }),
    presencePenalty: number('presence_penalty', -2, 2),
    frequencyPenalty: number('frequency_penalty', -2, 2),
    logitBias: optionalObject(wire, 'logit_bias', ''),
    logprobs: decodeLogprobs(wire),
    choiceCount: number('n', 1, 128, true),
  });
}

function decodeStop(wire: JsonObject): readonly string[] | undefined {
  if (typeof wire['stop'] === 'string') return [wire['stop']];
  return optionalArray(wire, 'stop', '')?.map((value, index) =>
    requireString(value, fieldPath('stop', index)),
  );
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

function decodeIdentity(wire: JsonObject): Partial<ChatRequest> {
  return defined({
    serviceTier: optionalString(wire, 'service_tier', ''),
    endUserId: optionalString(wire, 'user', ''),
    metadata: optionalObject(wire, 'metadata', ''),
    promptCacheKey: optionalString(wire, 'prompt_cache_key', ''),
    store: optionalBoolean(wire, 'store', ''),
    verbosity: optionalString(wire, 'verbosity', ''),
  });
}

const modalityWords = ['text', 'audio', 'image'] as const;

function decodeOutputKinds(wire: JsonObject): Partial<ChatRequest> {
  const modalities = optionalArray(wire, 'modalities', '')?.map((value, index) => {
    const word = modalityWords.find((candidate) => candidate === value);
    if (word === undefined)
      throw new ReadError(
        fieldPath('modalities', index),
        `expected one of ${modalityWords.join(', ')}`,
      );
    return word;
  });
  const audio = optionalObject(wire, 'audio', '');
  return defined({
    modalities,
    audioOutput: audio
      ? defined({
          voice: asString(audio['voice']),
          format: asString(audio['format']),
          native: audio,
        })
      : undefined,
  });
}

function decodeExtensions(wire: JsonObject, streamOptions: JsonObject | undefined): JsonObject {
  const extensions: Record<string, JsonObject[string]> = { ...unknownFields(wire, knownFields) };
  const otherOptions = streamOptions && unknownFields(streamOptions, new Set(['include_usage']));
  if (otherOptions && Object.keys(otherOptions).length > 0)
    extensions['stream_options'] = otherOptions;
  const format = asObject(wire['response_format']);
  if (format && !['text', 'json_object', 'json_schema'].includes(asString(format['type']) ?? ''))
    extensions['response_format'] = format;
  return extensions;
}

/** The object without its undefined fields, as `exactOptionalPropertyTypes` wants it. */
export function defined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const present: Partial<T> = {};
  for (const key in object) if (object[key] !== undefined) present[key] = object[key];
  return present as { [K in keyof T]: Exclude<T[K], undefined> };
}
