import { remainder, type Bill, type Usage } from '#canonical';
import {
  asCount,
  asObject,
  asObjects,
  asString,
  compact,
  formatUsd,
  type JsonObject,
  type JsonValue,
} from '#std';
import { withoutVendorCosts } from '../bill.ts';
import { enumName, geminiId } from './fields.ts';

/** `Modality` in the order of google.ai.generativelanguage's protocol file. */
const modalityNames: readonly string[] = [
  'MODALITY_UNSPECIFIED',
  'TEXT',
  'IMAGE',
  'VIDEO',
  'AUDIO',
  'DOCUMENT',
];

/** Sums of `*TokensDetails` by modality; `undefined` where the modality is not named. */
function tokensOf(details: JsonValue | undefined, modality: string): number | undefined {
  let total: number | undefined;
  for (const detail of asObjects(details)) {
    if (enumName(detail['modality'], modalityNames) !== modality) continue;
    const count = asCount(detail['tokenCount']);
    if (count !== undefined) total = (total ?? 0) + count;
  }
  return total;
}

function sum(left: number | undefined, right: number | undefined): number | undefined {
  return left === undefined ? right : left + (right ?? 0);
}

/** What is left of a modality after the cached part of it, so that cached audio is a cache read only. */
function fresh(total: number | undefined, cached: number | undefined): number | undefined {
  return remainder(total, cached);
}

/**
 * Disjoint buckets of `usageMetadata`. Prompt counts include what was cached; candidates exclude
 * thoughts; the prompt of server tools is counted apart; counts of zero are left out by the vendor.
 * Pictures, film and documents in a prompt are text-priced at Google except images of image models,
 * so only image and audio get buckets of their own.
 */
export function decodeUsage(metadata: JsonValue | undefined): Usage | undefined {
  const raw = asObject(metadata);
  if (!raw) return undefined;
  const prompt = asCount(raw['promptTokenCount']);
  const toolUse = asCount(raw['toolUsePromptTokenCount']);
  const candidates = asCount(raw['candidatesTokenCount']);
  const reasoningTokens = asCount(raw['thoughtsTokenCount']);
  if (prompt === undefined && candidates === undefined && reasoningTokens === undefined) {
    return toolUse === undefined ? undefined : { inputTokens: toolUse, raw, rawDialect: geminiId };
  }
  const inputTotal = sum(prompt, toolUse);
  const cacheReadTokens = clamp(asCount(raw['cachedContentTokenCount']), inputTotal);
  const cached = raw['cacheTokensDetails'];
  const fullAudio = sum(
    tokensOf(raw['promptTokensDetails'], 'AUDIO'),
    tokensOf(raw['toolUsePromptTokensDetails'], 'AUDIO'),
  );
  const fullImage = sum(
    tokensOf(raw['promptTokensDetails'], 'IMAGE'),
    tokensOf(raw['toolUsePromptTokensDetails'], 'IMAGE'),
  );
  const inputRoom = remainder(inputTotal, cacheReadTokens);
  const inputAudioTokens = clamp(fresh(fullAudio, tokensOf(cached, 'AUDIO')), inputRoom);
  const inputImageTokens = clamp(
    fresh(fullImage, tokensOf(cached, 'IMAGE')),
    remainder(inputRoom, inputAudioTokens),
  );
  const outputAudioTokens = clamp(tokensOf(raw['candidatesTokensDetails'], 'AUDIO'), candidates);
  const outputImageTokens = clamp(
    tokensOf(raw['candidatesTokensDetails'], 'IMAGE'),
    remainder(candidates, outputAudioTokens),
  );
  return {
    inputTokens: remainder(inputRoom, inputAudioTokens, inputImageTokens),
    cacheReadTokens,
    // With thoughts only (a budget spent on thinking) the vendor leaves the zero out.
    outputTokens: remainder(
      candidates ?? (reasoningTokens === undefined ? undefined : 0),
      outputAudioTokens,
      outputImageTokens,
    ),
    reasoningTokens,
    inputAudioTokens,
    inputImageTokens,
    outputAudioTokens,
    outputImageTokens,
    serviceTier: asString(raw['serviceTier']),
    raw,
    rawDialect: geminiId,
  };
}

/**
 * The counts to keep of two: each frame counts from the beginning and leaves zeros out. One that tells no output after
 * another did, or only how the traffic is billed, takes nothing back.
 */
export function laterUsage(
  earlier: Usage | undefined,
  metadata: JsonValue | undefined,
): Usage | undefined {
  const later = decodeUsage(metadata);
  if (!earlier || (later && tellsOutput(later))) return later ?? earlier;
  return tellsOutput(earlier) ? decodeUsage({ ...later?.raw, ...earlier.raw }) : (later ?? earlier);
}

function tellsOutput(usage: Usage): boolean {
  return usage.outputTokens !== undefined;
}

function clamp(value: number | undefined, bound: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.min(value, bound ?? 0);
}

/** `usageMetadata` as a client of this dialect reads it, with the bill when there is one. */
export function encodeUsage(usage: Usage | undefined, bill?: Bill): JsonObject | undefined {
  if (!usage && !bill) return undefined;
  const own = usage?.rawDialect === geminiId ? usage.raw : undefined;
  const base = own ? withoutVendorCosts(own) : buildUsage(usage ?? {});
  if (!bill) return base;
  return { ...base, cost: Number(formatUsd(bill.costNanoUsd)), receiptId: bill.receiptId };
}

function buildUsage(usage: Usage): JsonObject {
  const {
    cacheReadTokens,
    cacheWriteTokens,
    cacheWriteLongTokens,
    inputAudioTokens,
    inputImageTokens,
  } = usage;
  const input = [
    usage.inputTokens,
    cacheReadTokens,
    cacheWriteTokens,
    cacheWriteLongTokens,
    inputAudioTokens,
    inputImageTokens,
  ];
  const promptTokenCount = total(input);
  const { outputTokens, outputAudioTokens, outputImageTokens, reasoningTokens } = usage;
  const candidatesTokenCount = total([outputTokens, outputAudioTokens, outputImageTokens]);
  return compact({
    promptTokenCount,
    candidatesTokenCount,
    totalTokenCount: total([promptTokenCount, candidatesTokenCount, reasoningTokens]),
    cachedContentTokenCount: cacheReadTokens === 0 ? undefined : cacheReadTokens,
    thoughtsTokenCount: reasoningTokens === 0 ? undefined : reasoningTokens,
    promptTokensDetails: details({ AUDIO: inputAudioTokens, IMAGE: inputImageTokens }),
    candidatesTokensDetails: details({ AUDIO: outputAudioTokens, IMAGE: outputImageTokens }),
  });
}

function total(counts: readonly (number | undefined)[]): number | undefined {
  let result: number | undefined;
  for (const count of counts) result = sum(result, count);
  return result;
}

function details(counts: {
  readonly [modality: string]: number | undefined;
}): JsonValue | undefined {
  const list: JsonObject[] = [];
  for (const [modality, tokenCount] of Object.entries(counts)) {
    if (tokenCount !== undefined && tokenCount > 0) list.push({ modality, tokenCount });
  }
  return list.length === 0 ? undefined : list;
}
