import type { ChatRequest, ReasoningRequest, ResponseFormat } from '#canonical';
import { asObject, compact, saidFields, type JsonObject, type JsonValue } from '#std';
import { lose, type Encoding } from './contents-encode.ts';
import { schemaForJsonField, schemaForOpenApi } from './schema-encode.ts';
import type { GeminiQuirks } from './quirks.ts';

const stopsMax = 5;

/** `generationConfig`, or `undefined` when nothing is said. */
export function encodeConfig(request: ChatRequest, encoding: Encoding): JsonObject | undefined {
  const rest = encoding.own ? asObject(request.extensions['generationConfig']) : undefined;
  const { stop, logprobs } = request;
  if (stop && stop.length > stopsMax)
    lose(encoding, 'stop', `more than ${stopsMax} stop sequences`, true);
  const config = compact({
    temperature: request.temperature,
    topP: request.topP,
    topK: request.topK,
    candidateCount: request.choiceCount,
    maxOutputTokens: request.outputTokensMax,
    stopSequences: stop?.slice(0, stopsMax),
    seed: request.seed,
    presencePenalty: request.presencePenalty,
    frequencyPenalty: request.frequencyPenalty,
    responseLogprobs: logprobs ? true : undefined,
    logprobs: logprobs && logprobs.top > 0 ? logprobs.top : undefined,
    ...encodeFormat(request.responseFormat, encoding),
    responseModalities: request.modalities?.map((modality) => modality.toUpperCase()),
    speechConfig: encodeSpeech(request, encoding),
    thinkingConfig: request.reasoning && encodeThinking(request.reasoning, encoding),
    ...rest,
  });
  return Object.keys(config).length > 0 ? config : undefined;
}

function encodeFormat(format: ResponseFormat | undefined, encoding: Encoding): JsonObject {
  if (!format) return {};
  if (format.kind === 'text') return encoding.own ? { responseMimeType: 'text/plain' } : {};
  if (format.kind === 'json') return { responseMimeType: 'application/json' };
  if (encoding.quirks.schemaField === 'openapi-subset' || format.schemaForm === 'openapi-subset') {
    const responseSchema = schemaForOpenApi(
      format.schema,
      'response_format.schema',
      (path, reason) => lose(encoding, path, reason, reason === 'a recursive schema'),
    );
    return { responseMimeType: 'application/json', responseSchema };
  }
  return {
    responseMimeType: 'application/json',
    responseJsonSchema: schemaForJsonField(format.schema),
  };
}

function encodeSpeech({ audioOutput }: ChatRequest, encoding: Encoding): JsonObject | undefined {
  if (!audioOutput) return undefined;
  if (encoding.own && audioOutput.native) return audioOutput.native;
  if (audioOutput.format !== undefined && audioOutput.format !== 'pcm16') {
    lose(encoding, 'audio.format', 'Gemini speaks PCM only', true);
  }
  if (audioOutput.voice === undefined) return undefined;
  return { voiceConfig: { prebuiltVoiceConfig: { voiceName: audioOutput.voice } } };
}

/** Budgets that stand for an effort where the model takes a budget, tokens. */
const budgetsByEffort: { readonly [effort: string]: number } = {
  none: 0,
  minimal: 512,
  low: 1_024,
  medium: 8_192,
  high: 16_384,
  xhigh: 24_576,
  max: 32_768,
};
const levelsByEffort: { readonly [effort: string]: string } = {
  none: 'MINIMAL',
  minimal: 'MINIMAL',
  low: 'LOW',
  medium: 'MEDIUM',
  high: 'HIGH',
  xhigh: 'HIGH',
  max: 'HIGH',
};
const levelOrder = ['MINIMAL', 'LOW', 'MEDIUM', 'HIGH'];

function encodeThinking(reasoning: ReasoningRequest, encoding: Encoding): JsonObject | undefined {
  const { quirks, own } = encoding;
  if (!own) {
    for (const key of saidFields(reasoning.extensions))
      lose(encoding, `reasoning.${key}`, 'unknown to Gemini', false);
  }
  const rest = own ? (reasoning.extensions ?? {}) : {};
  const includeThoughts = wantsThoughts(reasoning, own);
  if (quirks.thinking === 'none' && !own) {
    if (reasoning.effort !== undefined && reasoning.effort !== 'none')
      lose(encoding, 'reasoning', 'this model does not think', false);
    return undefined;
  }
  if (own) return ownThinking(reasoning, includeThoughts, rest);
  const control =
    quirks.thinking === 'budget'
      ? { thinkingBudget: budgetOf(reasoning, quirks) }
      : { thinkingLevel: levelOf(reasoning, quirks) };
  const config = compact({ includeThoughts, ...control });
  return Object.keys(config).length > 0 ? config : undefined;
}

/** A client of this dialect speaks to the model in the model's own terms. */
function ownThinking(
  reasoning: ReasoningRequest,
  includeThoughts: boolean | undefined,
  rest: JsonObject,
): JsonObject {
  const level = reasoning.effort === undefined ? undefined : levelsByEffort[reasoning.effort];
  return compact({
    includeThoughts,
    thinkingBudget: reasoning.budgetTokens,
    thinkingLevel: level,
    ...rest,
  });
}

function wantsThoughts(
  { summary, effort, budgetTokens }: ReasoningRequest,
  own: boolean,
): boolean | undefined {
  if (summary !== undefined) return summary !== 'none';
  if (own || effort === 'none' || budgetTokens === 0) return undefined;
  return true;
}

function budgetOf(
  { effort, budgetTokens, mode }: ReasoningRequest,
  quirks: GeminiQuirks,
): JsonValue | undefined {
  const wanted = budgetTokens ?? (effort === undefined ? undefined : budgetsByEffort[effort]);
  if (wanted === undefined) return mode === 'adaptive' ? -1 : undefined;
  if (wanted === -1) return -1;
  return Math.min(Math.max(wanted, quirks.thinkingBudgetMin), quirks.thinkingBudgetMax);
}

function levelOf(
  { effort, budgetTokens }: ReasoningRequest,
  quirks: GeminiQuirks,
): JsonValue | undefined {
  const wanted = effort === undefined ? levelOfBudget(budgetTokens) : levelsByEffort[effort];
  if (wanted === undefined || quirks.thinkingLevels.includes(wanted)) return wanted;
  const at = levelOrder.indexOf(wanted);
  const distance = (level: string): number => Math.abs(levelOrder.indexOf(level) - at);
  let nearest: string | undefined;
  for (const level of quirks.thinkingLevels) {
    if (nearest === undefined || distance(level) < distance(nearest)) nearest = level;
  }
  return nearest;
}

function levelOfBudget(budgetTokens: number | undefined): string | undefined {
  if (budgetTokens === undefined || budgetTokens < 0) return undefined;
  if (budgetTokens === 0) return 'MINIMAL';
  if (budgetTokens <= 2_048) return 'LOW';
  return budgetTokens <= 8_192 ? 'MEDIUM' : 'HIGH';
}
