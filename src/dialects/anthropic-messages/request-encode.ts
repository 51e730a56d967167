import type { ChatRequest, Encoded } from '#canonical';
import { asObject, compact, fieldPath, saidFields, type JsonObject, type JsonValue } from '#std';
import type { Quirks } from '../dialect.ts';
import { createEncoding, lose, type Encoding } from './encoding.ts';
import { cacheMarksMax } from './limits.ts';
import { outputTokensFallback, readQuirks } from './quirks.ts';
import { encodeMessages } from './request-messages.ts';
import { mediaUrls } from './request-parts.ts';
import { encodeThinking, type Thinking } from './request-thinking.ts';
import { encodeTools } from './request-tools.ts';
import { adaptSchema } from './schema.ts';

/** Writes a body of `POST /v1/messages`. */
export function encodeRequest(request: ChatRequest, quirks: Quirks): Encoded<JsonObject> {
  const encoding = createEncoding(request, quirks);
  const outputTokensMax = outputLimit(request, encoding);
  const { system, messages, thinkingMustStop } = encodeMessages(request, encoding);
  const thinking = encodeThinking(request, outputTokensMax, thinkingMustStop, encoding);
  const format = encodeFormat(request, encoding);
  const { tools, toolChoice } = encodeTools(request, format.answerSchema, thinking.on, encoding);
  reportUnsupported(request, encoding);
  const instructions =
    format.instruction === undefined
      ? system
      : [...system, { type: 'text', text: format.instruction }];
  const wire = compact({
    ...envelope(request, encoding),
    max_tokens: outputTokensMax,
    system: instructions.length > 0 ? instructions : undefined,
    messages,
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: toolChoice,
    thinking: thinking.thinking,
    stop_sequences: encodeStop(request, encoding),
    ...encodeSampling(request, thinking, encoding),
    ...encodeServiceTier(request, encoding),
    ...restOf(request, thinking, format.config, encoding),
  });
  return { value: limitCacheMarks(wire, encoding), losses: encoding.losses };
}

/** URLs that the upstream cannot load: all where it loads none, and plain http everywhere. */
export function urlsToInline(request: ChatRequest, quirks: Quirks): readonly string[] {
  const { fetchesUrls } = readQuirks(quirks);
  const urls = new Set<string>();
  for (const { parts } of request.messages) {
    for (const part of parts) {
      for (const url of mediaUrls(part)) if (!fetchesUrls || !/^https:/i.test(url)) urls.add(url);
    }
  }
  return [...urls];
}

function envelope(request: ChatRequest, encoding: Encoding): JsonObject {
  const { modelInBody, bodyVersion, streamInBody } = encoding.quirks;
  return compact({
    anthropic_version: bodyVersion,
    model: modelInBody ? request.model : undefined,
    stream: request.stream && streamInBody ? true : undefined,
  });
}

/** `max_tokens` is required upstream. A stated budget of thinking has to fit into an assumed limit. */
function outputLimit(request: ChatRequest, encoding: Encoding): number {
  if (request.outputTokensMax !== undefined) return request.outputTokensMax;
  const { outputTokensDefault } = encoding.quirks;
  if (outputTokensDefault !== undefined) return outputTokensDefault;
  return outputTokensFallback + Math.max(0, request.reasoning?.budgetTokens ?? 0);
}

function encodeStop(request: ChatRequest, encoding: Encoding): readonly string[] | undefined {
  const { stop } = request;
  if (!stop || stop.length === 0) return undefined;
  if (encoding.own) return stop;
  const kept = stop.filter((sequence) => sequence.trim() !== '');
  if (kept.length < stop.length)
    lose(encoding, 'stop', 'Anthropic takes no stop sequence of white space only', true);
  return kept.length > 0 ? kept : undefined;
}

function encodeSampling(request: ChatRequest, thinking: Thinking, encoding: Encoding): JsonObject {
  const { samplingRefused, temperatureOrTopP } = encoding.quirks;
  const drop = (field: 'temperature' | 'topP' | 'topK', reason: string): undefined => {
    if (request[field] !== undefined) lose(encoding, field, reason);
    return undefined;
  };
  if (samplingRefused) {
    for (const field of ['temperature', 'topP', 'topK'] as const)
      drop(field, 'this model takes no sampling parameters');
    return {};
  }
  const constrained = thinking.on && !encoding.own;
  const reason = 'not possible together with thinking';
  const { topP, topK } = request;
  const temperature =
    constrained && request.temperature !== 1
      ? drop('temperature', reason)
      : clampTemperature(request, encoding);
  const bothRefused = temperatureOrTopP && temperature !== undefined;
  return compact({
    temperature,
    top_p: bothRefused
      ? drop('topP', 'this model takes either temperature or top_p')
      : constrained && topP !== undefined && topP < 0.95
        ? drop('topP', reason)
        : topP,
    top_k: constrained ? drop('topK', reason) : topK,
  });
}

function clampTemperature(request: ChatRequest, encoding: Encoding): number | undefined {
  const { temperature } = request;
  if (temperature === undefined || temperature <= 1) return temperature;
  lose(encoding, 'temperature', 'Anthropic takes at most 1');
  return 1;
}

function encodeServiceTier(request: ChatRequest, encoding: Encoding): JsonObject {
  const { serviceTier } = request;
  if (serviceTier === undefined) return {};
  if (encoding.own || serviceTier === 'auto') return { service_tier: serviceTier };
  if (serviceTier === 'default' || serviceTier === 'standard')
    return { service_tier: 'standard_only' };
  lose(encoding, 'serviceTier', `Anthropic has no service tier "${serviceTier}"`);
  return {};
}

type Format = {
  /** `output_config.format`. */
  readonly config?: JsonObject;
  /** The schema of the tool that stands for it. */
  readonly answerSchema?: JsonObject;
  /** What is said in the system prompt instead. */
  readonly instruction?: string;
};

function encodeFormat(request: ChatRequest, encoding: Encoding): Format {
  const format = request.responseFormat;
  if (format === undefined || format.kind === 'text') return {};
  if (format.kind === 'json') {
    lose(
      encoding,
      'responseFormat',
      'Anthropic has no JSON mode; it is asked for in the system prompt',
    );
    return { instruction: 'Answer with one valid JSON object and nothing else.' };
  }
  const { schema, name, description } = format;
  const named = encoding.own ? schema : compact({ title: name, description, ...schema });
  if (encoding.quirks.structuredOutput === 'tool') {
    const type = named['type'];
    if (type !== undefined && type !== 'object')
      lose(encoding, 'responseFormat.schema', 'this model gives only JSON objects', true);
    return { answerSchema: { ...named, type: 'object' } };
  }
  const adapted = encoding.own ? named : adaptSchema(named, 'responseFormat.schema', encoding);
  return { config: { type: 'json_schema', schema: adapted } };
}

/** Unknown fields of this dialect, with effort, format and user id put where they belong among them. */
function restOf(
  request: ChatRequest,
  thinking: Thinking,
  format: JsonObject | undefined,
  encoding: Encoding,
): JsonObject {
  const extensions = encoding.own ? request.extensions : {};
  if (!encoding.own) {
    for (const key of saidFields(request.extensions)) lose(encoding, key, 'not known to Anthropic');
  }
  const config = {
    ...asObject(extensions['output_config']),
    ...compact({ effort: thinking.effort, format }),
  };
  const metadata = {
    ...asObject(extensions['metadata']),
    ...compact({ user_id: request.endUserId }),
  };
  return compact({
    ...extensions,
    output_config: Object.keys(config).length > 0 ? config : undefined,
    metadata: Object.keys(metadata).length > 0 ? metadata : undefined,
  });
}

const taste = [
  'seed',
  'presencePenalty',
  'frequencyPenalty',
  'logitBias',
  'verbosity',
  'metadata',
  'promptCacheKey',
  'store',
] as const satisfies readonly (keyof ChatRequest)[];

/** A value that asks for nothing: no penalty, no bias, nothing kept. */
function isNeutral(value: JsonValue | undefined): boolean {
  if (value === undefined || value === 0 || value === false) return true;
  return asObject(value) !== undefined && Object.keys(asObject(value) ?? {}).length === 0;
}

/** Fields of other dialects. Those that alter what was asked for refuse the request. */
function reportUnsupported(request: ChatRequest, encoding: Encoding): void {
  for (const field of taste) {
    const asksForSomething =
      field === 'seed' ? request.seed !== undefined : !isNeutral(request[field]);
    if (asksForSomething) lose(encoding, field, 'not known to Anthropic');
  }
  if (request.logprobs) lose(encoding, 'logprobs', 'Anthropic gives no log probabilities', true);
  if (request.choiceCount !== undefined && request.choiceCount !== 1)
    lose(encoding, 'choiceCount', 'Anthropic gives one answer', true);
  const media = request.modalities?.filter((modality) => modality !== 'text') ?? [];
  if (media.length > 0)
    lose(encoding, 'modalities', `Anthropic answers in text, not in ${media.join(' and ')}`, true);
  else if (request.audioOutput) lose(encoding, 'audioOutput', 'Anthropic gives no audio');
}

// ---- cache marks ----------------------------------------------------------------------------

/** Keeps the last marks where there are more than the vendor takes; the earlier ones matter least. */
function limitCacheMarks(wire: JsonObject, encoding: Encoding): JsonObject {
  const automatic = asObject(wire['cache_control']) ? 1 : 0;
  let surplus =
    countMarks(wire['tools']) +
    countMarks(wire['system']) +
    countMarks(wire['messages']) +
    automatic -
    cacheMarksMax;
  if (surplus <= 0) return wire;
  const strip = (value: JsonValue, path: string): JsonValue => {
    if (Array.isArray(value))
      return (value as readonly JsonValue[]).map((inner, index) =>
        strip(inner, fieldPath(path, index)),
      );
    const object = asObject(value);
    if (!object) return value;
    const kept: Record<string, JsonValue | undefined> = { ...object };
    if (Array.isArray(object['content']))
      kept['content'] = strip(object['content'], fieldPath(path, 'content'));
    if (surplus > 0 && asObject(object['cache_control'])) {
      surplus -= 1;
      delete kept['cache_control'];
      lose(
        encoding,
        fieldPath(path, 'cache_control'),
        `Anthropic takes ${cacheMarksMax} cache marks; the last ones are kept`,
      );
    }
    return kept;
  };
  const stripped: Record<string, JsonValue | undefined> = { ...wire };
  for (const key of ['tools', 'system', 'messages']) {
    const value = wire[key];
    if (value !== undefined) stripped[key] = strip(value, key);
  }
  return stripped;
}

function countMarks(value: JsonValue | undefined): number {
  if (!Array.isArray(value)) return 0;
  let count = 0;
  for (const element of value as readonly JsonValue[]) {
    const object = asObject(element);
    if (!object) continue;
    if (asObject(object['cache_control'])) count += 1;
    count += countMarks(object['content']);
  }
  return count;
}
