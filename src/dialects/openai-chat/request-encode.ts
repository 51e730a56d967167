import type { ChatRequest, Encoded, Loss, MediaPart } from '#canonical';
import { asObject, compact, unknownFields, type JsonObject, type JsonValue } from '#std';
import { endUserFor } from '../end-user.ts';
import type { Quirks } from '../dialect.ts';
import { nativeOnlyReason } from '../openai-completions/native-only.ts';
import { encodeMessages } from './message-encode.ts';
import { readChatQuirks, type ChatQuirks } from './quirks.ts';
import { encodeReasoningRequest } from './reasoning-request.ts';
import { encodeResponseFormat, encodeTools, loseFields } from './tools.ts';

/** Writes a chat request for an upstream with these quirks; all that cannot be said is a loss. */
export function encodeRequest(request: ChatRequest, quirks: Quirks): Encoded<JsonObject> {
  const known = readChatQuirks(quirks);
  const losses: Loss[] = [];
  const own = request.dialect === 'openai-chat';
  if (!own) loseFields(request.extensions, '', losses);
  const nativeOnly = nativeOnlyReason(request);
  if (nativeOnly !== undefined)
    losses.push({ path: 'prompt', reason: `chat cannot say ${nativeOnly}`, changesMeaning: true });
  const body: JsonObject = {
    ...known.extraBody,
    model: request.model,
    messages: encodeMessages(request, known, losses),
    ...encodeTools(request, known, losses),
    ...encodeParallel(request, known, losses),
    ...encodeSampling(request, known, losses),
    ...(own && request.extensions['response_format'] !== undefined
      ? {}
      : encodeResponseFormat(request, known, losses)),
    ...encodeReasoningRequest(request, known, losses),
    ...encodeIdentity(request, own, losses),
    ...encodeOutputKinds(request),
    ...(own ? unknownFields(request.extensions, new Set(['stream_options'])) : {}),
    ...encodeStream(request, own, known),
  };
  return { value: dropRefused(body, known, losses), losses };
}

function encodeParallel(request: ChatRequest, quirks: ChatQuirks, losses: Loss[]): JsonObject {
  const { parallelToolCalls } = request;
  if (parallelToolCalls === undefined) return {};
  if (quirks.parallelToolCalls) return { parallel_tool_calls: parallelToolCalls };
  if (!parallelToolCalls)
    losses.push({
      path: 'parallel_tool_calls',
      reason: 'this upstream cannot be kept from parallel tool calls',
      changesMeaning: false,
    });
  return {};
}

function encodeSampling(request: ChatRequest, quirks: ChatQuirks, losses: Loss[]): JsonObject {
  const lose = (path: string, reason: string, changesMeaning = false): void =>
    void losses.push({ path, reason, changesMeaning });
  const { choiceCount, logprobs, outputTokensMax } = request;
  const own = request.dialect === 'openai-chat' || request.dialect === 'openai-completions';
  const several = choiceCount !== undefined && choiceCount > 1 && !quirks.choices;
  if (several) lose('n', 'this upstream gives one answer only', true);
  if (request.topK !== undefined && !own) lose('top_k', 'not known in Chat Completions');
  const top = logprobs && {
    logprobs: true,
    ...(logprobs.top > 0 ? { top_logprobs: logprobs.top } : {}),
  };
  return compact({
    [quirks.outputTokensField]: quirks.outputTokensField === 'none' ? undefined : outputTokensMax,
    temperature: encodeTemperature(request.temperature, quirks, losses),
    top_p: quirks.topP === 'free' ? request.topP : dropped('top_p', request.topP, losses),
    top_k: own ? request.topK : undefined,
    stop: encodeStop(request.stop, quirks, losses),
    seed: request.seed,
    presence_penalty: request.presencePenalty,
    frequency_penalty: request.frequencyPenalty,
    logit_bias: request.logitBias,
    n: several ? undefined : choiceCount,
    ...top,
  });
}

function dropped(path: string, value: number | undefined, losses: Loss[]): undefined {
  if (value !== undefined)
    losses.push({ path, reason: 'this model does not take it', changesMeaning: false });
  return undefined;
}

function encodeTemperature(
  temperature: number | undefined,
  quirks: ChatQuirks,
  losses: Loss[],
): number | undefined {
  const rule = quirks.temperature;
  if (temperature === undefined || rule === 'free') return temperature;
  if (rule === 'refused' || (rule === 'only-1' && temperature !== 1))
    return dropped('temperature', temperature, losses);
  if (typeof rule !== 'number' || temperature <= rule) return temperature;
  losses.push({
    path: 'temperature',
    reason: `this model takes at most ${rule}`,
    changesMeaning: false,
  });
  return rule;
}

function encodeStop(
  stop: readonly string[] | undefined,
  quirks: ChatQuirks,
  losses: Loss[],
): readonly string[] | undefined {
  if (stop === undefined || stop.length === 0) return undefined;
  if (quirks.stop === 'refused') {
    losses.push({
      path: 'stop',
      reason: 'this model takes no stop sequences',
      changesMeaning: true,
    });
    return undefined;
  }
  if (stop.length > quirks.stopMax) {
    losses.push({
      path: 'stop',
      reason: `this upstream takes at most ${quirks.stopMax} stop sequences`,
      changesMeaning: true,
    });
  }
  return stop.slice(0, quirks.stopMax);
}

function encodeIdentity(request: ChatRequest, own: boolean, losses: Loss[]): JsonObject {
  const openai =
    own || request.dialect === 'openai-responses' || request.dialect === 'openai-completions';
  const { serviceTier, store, metadata } = request;
  const lose = (path: string): void =>
    void losses.push({ path, reason: 'not the same in Chat Completions', changesMeaning: false });
  if (serviceTier !== undefined && !openai) lose('service_tier');
  if (metadata !== undefined && !openai) lose('metadata');
  if (store === true && !own) lose('store');
  return compact({
    service_tier: openai ? serviceTier : undefined,
    user: endUserFor('openai-chat', request),
    metadata: openai ? metadata : undefined,
    prompt_cache_key: request.promptCacheKey,
    store: own ? store : undefined,
    verbosity: request.verbosity,
  });
}

function encodeOutputKinds(request: ChatRequest): JsonObject {
  const { modalities, audioOutput } = request;
  const plain =
    modalities?.length === 1 && modalities[0] === 'text' && request.dialect !== 'openai-chat';
  const audio =
    audioOutput?.native ??
    (audioOutput && compact({ voice: audioOutput.voice, format: audioOutput.format }));
  return compact({ modalities: plain ? undefined : modalities, audio });
}

/** Usage is always asked for where it can be: money hangs on it. The client's wish decides what it sees. */
function encodeStream(request: ChatRequest, own: boolean, quirks: ChatQuirks): JsonObject {
  if (!request.stream) return {};
  const said = own ? asObject(request.extensions['stream_options']) : undefined;
  const streamOptions = { ...said, ...(quirks.streamUsage ? { include_usage: true } : {}) };
  return {
    stream: true,
    ...(Object.keys(streamOptions).length > 0 ? { stream_options: streamOptions } : {}),
  };
}

const meaningful = new Set([
  'tools',
  'functions',
  'tool_choice',
  'response_format',
  'stop',
  'n',
  'web_search_options',
  'logprobs',
  'modalities',
  'audio',
]);

function dropRefused(body: JsonObject, quirks: ChatQuirks, losses: Loss[]): JsonObject {
  if (quirks.refused.length === 0) return body;
  const kept: Record<string, JsonValue | undefined> = {};
  for (const [key, value] of Object.entries(body)) {
    if (!quirks.refused.includes(key)) kept[key] = value;
    else
      losses.push({
        path: key,
        reason: 'this upstream does not take it',
        changesMeaning: meaningful.has(key),
      });
  }
  return kept;
}

/**
 * URLs that this upstream will not fetch. Chat has URLs for images (and video); audio and documents
 * always go inline.
 */
export function urlsToInline(request: ChatRequest, quirks: Quirks): readonly string[] {
  const { fetchesUrls } = readChatQuirks(quirks);
  const urls = new Set<string>();
  const look = (part: MediaPart): void => {
    if (part.source.kind !== 'url') return;
    const linked = part.media === 'image' || part.media === 'video';
    if (!linked || !fetchesUrls) urls.add(part.source.url);
  };
  for (const message of request.messages) {
    for (const part of message.parts) {
      if (part.kind === 'media') look(part);
      if (part.kind === 'tool-result')
        for (const piece of part.parts) if (piece.kind === 'media') look(piece);
    }
  }
  return [...urls];
}
