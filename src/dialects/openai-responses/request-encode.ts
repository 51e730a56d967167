import type {
  ChatRequest,
  DialectId,
  Encoded,
  Message,
  ReasoningEffort,
  ReasoningRequest,
} from '#canonical';
import { asArray, asObject, compact, fieldPath, type JsonObject, type JsonValue } from '#std';
import { endUserFor } from '../end-user.ts';
import type { Quirks } from '../dialect.ts';
import { lossCollector, ownExtensions, type EncodeContext } from './content.ts';
import { callIdMapper, encodeItems } from './items-encode.ts';
import { clampEffort, readQuirks, type ResponsesQuirks } from './quirks.ts';
import { encodeTextFormat, encodeToolChoice, encodeTools } from './tools.ts';

const dialect: DialectId = 'openai-responses';

/** The body for `POST /v1/responses` of an upstream: stateless (`store: false`), without item ids. */
export function encodeRequest(request: ChatRequest, vendorQuirks: Quirks): Encoded<JsonObject> {
  const quirks = readQuirks(vendorQuirks);
  const { losses, report } = lossCollector();
  const context: EncodeContext = { quirks, report, dialect: request.dialect };
  const extensions = ownExtensions(request.extensions, '', context);
  const { instructions, rest } = splitInstructions(request.messages, quirks);
  const paths = new Map(
    request.messages.map((message, index) => [message, fieldPath('messages', index)]),
  );
  const ids = callIdMapper(request.messages, quirks.toolCallIdLengthMax);
  const items = encodeItems(rest, (message) => paths.get(message) ?? 'messages', {
    ...context,
    ids,
  });
  const tools = encodeTools(request.tools, context);
  const reasoning = encodeReasoningRequest(request, context);
  reportUnsupported(request, context);
  const { text: _text, include: _include, ...free } = extensions;
  const wire: Record<string, JsonValue | undefined> = {
    model: request.model,
    instructions,
    input: items,
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: encodeToolChoice(request.toolChoice, request.tools, context),
    parallel_tool_calls: request.parallelToolCalls,
    max_output_tokens: outputLimit(request, context),
    ...sampling(request, reasoning, context),
    top_logprobs: request.logprobs && request.logprobs.top > 0 ? request.logprobs.top : undefined,
    text: encodeText(request, asObject(extensions['text'])),
    reasoning,
    include: encodeInclude(request, asArray(extensions['include']), context),
    metadata: request.metadata,
    prompt_cache_key: request.promptCacheKey,
    service_tier: serviceTier(request, context),
    [quirks.endUserField]: endUserFor(dialect, request),
    ...free,
    store: false,
    stream: request.stream ? true : undefined,
  };
  dropRefused(wire, context);
  return { value: compact(wire), losses };
}

/** Messages from `instructions` go back there; with the quirk, so do all leading system messages. */
function splitInstructions(
  messages: readonly Message[],
  quirks: ResponsesQuirks,
): { instructions: string | undefined; rest: readonly Message[] } {
  const texts: string[] = [];
  let index = 0;
  for (; index < messages.length; index += 1) {
    const message = messages[index];
    const leading = message && (message.role === 'system' || message.role === 'developer');
    if (!leading || !(message.place === 'instructions' || quirks.systemRole === 'instructions'))
      break;
    const only = message.parts.every((part) => part.kind === 'text');
    if (!only) break;
    texts.push(message.parts.map((part) => (part.kind === 'text' ? part.text : '')).join('\n'));
  }
  return {
    instructions: texts.length > 0 ? texts.join('\n\n') : undefined,
    rest: messages.slice(index),
  };
}

function outputLimit(request: ChatRequest, context: EncodeContext): number | undefined {
  const { outputTokensMin } = context.quirks;
  const limit = request.outputTokensMax;
  if (limit === undefined || outputTokensMin === undefined || limit >= outputTokensMin)
    return limit;
  context.report(
    'outputTokensMax',
    `the vendor takes no limit below ${outputTokensMin}; raised to it`,
    false,
  );
  return outputTokensMin;
}

function sampling(
  request: ChatRequest,
  reasoning: JsonObject | undefined,
  context: EncodeContext,
): JsonObject {
  const { temperature, topP } = request;
  if (!context.quirks.temperatureRefused || reasoning?.['effort'] === 'none')
    return compact({ temperature, top_p: topP });
  if (temperature !== undefined)
    context.report('temperature', 'this model takes no temperature', false);
  if (topP !== undefined) context.report('topP', 'this model takes no top_p', false);
  return {};
}

function encodeText(
  request: ChatRequest,
  extensions: JsonObject | undefined,
): JsonObject | undefined {
  const { format: formatExtensions, ...free } = extensions ?? {};
  const format = encodeTextFormat(request.responseFormat);
  const text = compact({
    format: format && { ...format, ...asObject(formatExtensions) },
    verbosity: request.verbosity,
    ...free,
  });
  return Object.keys(text).length > 0 ? text : undefined;
}

/** Thinking budgets of other dialects as the effort that spends about as much. */
const budgetEfforts: readonly (readonly [tokensMax: number, effort: ReasoningEffort])[] = [
  [0, 'none'],
  [2_048, 'low'],
  [8_192, 'medium'],
  [24_576, 'high'],
];

function effortOf(reasoning: ReasoningRequest): ReasoningEffort | undefined {
  const { effort, budgetTokens } = reasoning;
  if (effort !== undefined || budgetTokens === undefined || budgetTokens < 0) return effort;
  for (const [tokensMax, named] of budgetEfforts) if (budgetTokens <= tokensMax) return named;
  return 'xhigh';
}

function encodeReasoningRequest(
  request: ChatRequest,
  context: EncodeContext,
): JsonObject | undefined {
  const { quirks, report } = context;
  const wanted = request.reasoning;
  if (quirks.reasoningRefused) {
    if (wanted) report('reasoning', 'this model does not reason', false);
    return undefined;
  }
  const asked = wanted && effortOf(wanted);
  const effort = asked && clampEffort(asked, quirks.efforts);
  if (asked !== effort)
    report('reasoning.effort', `this model takes no effort ${asked}; ${effort} is nearest`, false);
  if (
    wanted?.budgetTokens !== undefined &&
    wanted.budgetTokens > 0 &&
    wanted.effort === undefined
  ) {
    report(
      'reasoning.budgetTokens',
      `no exact thinking budget here; sent as effort ${effort}`,
      false,
    );
  }
  const summary =
    wanted?.summary ?? (request.dialect === dialect ? undefined : quirks.reasoningSummary);
  const reasoning = compact({
    effort,
    summary: summary === 'none' || effort === 'none' ? undefined : summary,
    ...ownExtensions(wanted?.extensions, 'reasoning', context),
  });
  return Object.keys(reasoning).length > 0 ? reasoning : undefined;
}

function encodeInclude(
  request: ChatRequest,
  own: readonly JsonValue[] | undefined,
  context: EncodeContext,
): JsonValue[] | undefined {
  const include = [...(own ?? [])];
  if (context.quirks.encryptedReasoning ?? request.encryptedReasoning ?? false)
    include.push('reasoning.encrypted_content');
  if (request.logprobs) include.push('message.output_text.logprobs');
  return include.length > 0 ? include : undefined;
}

const tiers: { readonly [tier: string]: string } = {
  standard_only: 'default',
  standard: 'default',
};
const knownTiers = new Set(['auto', 'default', 'flex', 'scale', 'priority', 'fast']);

function serviceTier(request: ChatRequest, context: EncodeContext): string | undefined {
  const tier = request.serviceTier;
  if (tier === undefined || request.dialect === dialect) return tier;
  const mapped = tiers[tier] ?? tier;
  if (knownTiers.has(mapped)) return mapped;
  context.report('serviceTier', `no tier ${tier} here`, false);
  return undefined;
}

/** What the Responses API has no field for. Losses that change the answer's form or end are refused. */
function reportUnsupported(request: ChatRequest, { report }: EncodeContext): void {
  if (request.stop && request.stop.length > 0)
    report('stop', 'the Responses API has no stop sequences', true);
  if (request.choiceCount !== undefined && request.choiceCount > 1)
    report('choiceCount', 'the Responses API gives one answer', true);
  for (const modality of request.modalities ?? []) {
    if (modality !== 'text') report('modalities', `no ${modality} output here`, true);
  }
  if (request.audioOutput) report('audioOutput', 'no audio output here', false);
  if (request.topK !== undefined) report('topK', 'no such field here', false);
  if (request.seed !== undefined) report('seed', 'no such field here', false);
  if (request.presencePenalty) report('presencePenalty', 'no such field here', false);
  if (request.frequencyPenalty) report('frequencyPenalty', 'no such field here', false);
  if (request.logitBias) report('logitBias', 'no such field here', false);
}

/** Fields the vendor refuses, by their wire names; `text.verbosity` names a field within one. */
function dropRefused(
  wire: Record<string, JsonValue | undefined>,
  { quirks, report }: EncodeContext,
): void {
  for (const field of quirks.refusedFields) {
    const [outer = '', inner] = field.split('.');
    const value = wire[outer];
    if (value === undefined) continue;
    if (inner === undefined) delete wire[outer];
    else {
      const object = asObject(value);
      if (object?.[inner] === undefined) continue;
      const { [inner]: _refused, ...rest } = object;
      wire[outer] = Object.keys(rest).length > 0 ? rest : undefined;
    }
    if (outer !== 'store')
      report(
        field,
        'this vendor refuses the field',
        ['tools', 'text', 'text.format'].includes(field),
      );
  }
}

/** URLs that this upstream cannot fetch: the gateway puts the bytes in their place before encoding. */
export function urlsToInline(request: ChatRequest, vendorQuirks: Quirks): readonly string[] {
  if (readQuirks(vendorQuirks).fetchesUrls) return [];
  const urls: string[] = [];
  for (const message of request.messages) {
    for (const part of message.parts) {
      for (const inner of part.kind === 'tool-result' ? part.parts : [part]) {
        if (inner.kind === 'media' && inner.source.kind === 'url') urls.push(inner.source.url);
      }
    }
  }
  return urls;
}
