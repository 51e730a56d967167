import {
  cacheWriteTotalTokens,
  inputTotalTokens,
  outputTotalTokens,
  type Bill,
  type Usage,
} from '#canonical';
import {
  asBoolean,
  asCount,
  asNumber,
  asObject,
  asString,
  compact,
  formatUsd,
  type JsonObject,
  type JsonValue,
} from '#std';
import { withoutVendorCosts } from '../bill.ts';
import type { ChatQuirks } from './quirks.ts';

export type UsageQuirks = Pick<ChatQuirks, 'usageExcludesReasoning' | 'usageGapIsReasoning'>;

/**
 * Makes the overlapping counts of a chat usage object disjoint (developers.openai.com, "usage"; the
 * vendors' extra fields are those seen in their answers). Reasoning is taken as coming on top where the
 * total says so, or where it exceeds the completion (Gemini behind Vercel's gateway), unless the total has room for no more
 * than it (Kimi counts the end of its thinking in the total alone). Cached tokens beyond the prompt, which Azure's Grok reports, are cut to it, so that no bucket is negative and the total stays the prompt's.
 */
export function decodeUsage(
  value: JsonValue | undefined,
  quirks: UsageQuirks,
  serviceTier?: string,
): Usage | undefined {
  const raw = asObject(value);
  if (!raw) return undefined;
  const promptTokens = asCount(raw['prompt_tokens']);
  const completionTokens = asCount(raw['completion_tokens']);
  const input = readInput(raw);
  const reasoning =
    asCount(asObject(raw['completion_tokens_details'])?.['reasoning_tokens']) ??
    asCount(raw['reasoning_tokens']);
  const gap = gapTokens(raw, promptTokens, completionTokens);
  const audioApart = gap > 0 && gap === input.audio && gap !== reasoning;
  const hidden = quirks.usageGapIsReasoning && reasoning === undefined && gap > 0;
  const beyond =
    completionTokens !== undefined && reasoning !== undefined && reasoning > completionTokens;
  const excludes = quirks.usageExcludesReasoning;
  const within = excludes === undefined && beyond && gap > 0 && reasoning <= completionTokens + gap;
  const output = within ? completionTokens + gap : completionTokens;
  const excluded = excludes ?? (!within && ((gap > 0 && gap === reasoning) || beyond));
  return {
    ...splitInput(promptTokens, input, audioApart),
    ...splitOutput(output, hidden ? gap : reasoning, excluded || hidden, raw),
    webSearches: readWebSearches(raw),
    reportedCostUsd: readCostUsd(raw),
    serviceTier: asString(raw['service_tier']) ?? serviceTier,
    raw,
    rawDialect: 'openai-chat',
  };
}

type InputCounts = {
  readonly cacheRead: number | undefined;
  readonly cacheWrite: number | undefined;
  readonly audio: number | undefined;
  readonly image: number | undefined;
  /** What the vendor's searches found, which the model read besides the prompt. */
  readonly found: number;
};

function readInput(raw: JsonObject): InputCounts {
  const details = asObject(raw['prompt_tokens_details']);
  return {
    cacheRead:
      asCount(details?.['cached_tokens']) ??
      asCount(raw['prompt_cache_hit_tokens']) ??
      asCount(raw['cached_tokens']) ??
      asCount(raw['num_cached_tokens']),
    cacheWrite:
      asCount(details?.['cache_write_tokens']) ??
      asCount(details?.['cache_creation_input_tokens']) ??
      asCount(raw['cache_creation_input_tokens']),
    audio: asCount(details?.['audio_tokens']),
    image: asCount(details?.['image_tokens']),
    found: readFound(raw),
  };
}

/** Perplexity counts what deep research has read beside the prompt, at the prompt's price; elsewhere it costs nothing. */
function readFound(raw: JsonObject): number {
  const cost = asObject(raw['cost']);
  const isCharged = !cost || (asNumber(cost['citation_tokens_cost']) ?? 0) > 0;
  return isCharged ? (asCount(raw['citation_tokens']) ?? 0) : 0;
}

/** Allots the prompt in the order of certainty; what is left is fresh text. `audioApart`: audio is not in the prompt. */
function splitInput(
  promptTokens: number | undefined,
  { cacheRead, cacheWrite, audio, image, found }: InputCounts,
  audioApart: boolean,
): Usage {
  const most = promptTokens ?? Number.MAX_SAFE_INTEGER;
  const cacheReadTokens = atMost(cacheRead, most);
  let rest = most - (cacheReadTokens ?? 0);
  const cacheWriteTokens = atMost(cacheWrite, rest);
  rest -= cacheWriteTokens ?? 0;
  const inputAudioTokens = audioApart ? audio : atMost(audio, rest);
  if (!audioApart) rest -= inputAudioTokens ?? 0;
  const inputImageTokens = atMost(image, rest);
  rest -= inputImageTokens ?? 0;
  return {
    inputTokens: promptTokens === undefined ? undefined : rest + found,
    cacheReadTokens,
    cacheWriteTokens,
    inputAudioTokens,
    inputImageTokens,
  };
}

function splitOutput(
  completionTokens: number | undefined,
  reasoning: number | undefined,
  apart: boolean,
  raw: JsonObject,
): Usage {
  const details = asObject(raw['completion_tokens_details']);
  let rest = completionTokens ?? Number.MAX_SAFE_INTEGER;
  const reasoningTokens = apart ? reasoning : atMost(reasoning, rest);
  if (!apart) rest -= reasoningTokens ?? 0;
  const outputAudioTokens = atMost(asCount(details?.['audio_tokens']), rest);
  rest -= outputAudioTokens ?? 0;
  const outputImageTokens = atMost(asCount(details?.['image_tokens']), rest);
  rest -= outputImageTokens ?? 0;
  return {
    outputTokens: completionTokens === undefined ? undefined : rest,
    reasoningTokens,
    outputAudioTokens,
    outputImageTokens,
  };
}

function atMost(count: number | undefined, most: number): number | undefined {
  return count === undefined ? undefined : Math.min(count, most);
}

/** Tokens of the total that are in neither of the two parts. */
function gapTokens(
  raw: JsonObject,
  promptTokens: number | undefined,
  completionTokens: number | undefined,
): number {
  const total = asCount(raw['total_tokens']);
  if (total === undefined || promptTokens === undefined || completionTokens === undefined) return 0;
  return Math.max(0, total - promptTokens - completionTokens);
}

function readWebSearches(raw: JsonObject): number | undefined {
  return (
    asCount(asObject(raw['server_tool_use_details'])?.['web_search_requests']) ??
    asCount(asObject(raw['server_tool_use'])?.['web_search_requests']) ??
    asCount(raw['num_search_queries'])
  );
}

/** Ticks of xAI: 10¹⁰ to the dollar. */
const ticksPerUsd = 10_000_000_000n;

/** OpenRouter and Vercel say `cost`, Perplexity an object of costs, xAI ticks; with one's own key the vendor's cost comes on top. */
function readCostUsd(raw: JsonObject): string | undefined {
  const cost = asNumber(raw['cost']) ?? asNumber(asObject(raw['cost'])?.['total_cost']);
  if (cost !== undefined && cost >= 0) {
    const own =
      asBoolean(raw['is_byok']) === true
        ? asNumber(asObject(raw['cost_details'])?.['upstream_inference_cost'])
        : undefined;
    return decimalText(cost + Math.max(0, own ?? 0));
  }
  const ticks = asCount(raw['cost_in_usd_ticks']);
  if (ticks === undefined) return undefined;
  const digits = (BigInt(ticks) % ticksPerUsd).toString().padStart(10, '0').replace(/0+$/, '');
  return `${BigInt(ticks) / ticksPerUsd}${digits === '' ? '' : `.${digits}`}`;
}

/** Plain decimal text of a vendor's float, without an exponent and without noise after 12 places. */
function decimalText(value: number): string {
  return value.toFixed(12).replace(/\.?0+$/, '');
}

/** The usage to keep of two: what tells nothing, or that a prompt had no tokens, takes nothing back. */
export function laterUsage(earlier: Usage | undefined, later: Usage): Usage {
  if (!earlier || (inputTotalTokens(later) ?? 0) > 0) return later;
  const zero = (outputTotalTokens(later) ?? 0) === 0 && (inputTotalTokens(earlier) ?? 0) > 0;
  return zero || !tellsTokens(later) ? earlier : later;
}

/** Whether the object counts any tokens at all: some are empty. */
export function tellsTokens(usage: Usage): boolean {
  return (usage.inputTokens ?? usage.outputTokens ?? usage.reasoningTokens) !== undefined;
}

/** The usage object for a chat client: the vendor's own where it is in this dialect, else built from the buckets. */
export function encodeUsage(usage: Usage, bill: Bill | undefined): JsonObject {
  const own = ownRaw(usage);
  const base = own ? withoutVendorCosts(own) : buildUsage(usage);
  return bill ? { ...base, ...billFields(bill) } : base;
}

export function billFields(bill: Bill): JsonObject {
  return { cost: Number(formatUsd(bill.costNanoUsd)), receipt_id: bill.receiptId };
}

function ownRaw(usage: Usage): JsonObject | undefined {
  const { raw, rawDialect } = usage;
  if (
    !raw ||
    (rawDialect !== undefined &&
      rawDialect !== 'openai-chat' &&
      rawDialect !== 'openai-completions')
  )
    return undefined;
  return 'prompt_tokens' in raw || 'completion_tokens' in raw ? raw : undefined;
}

function buildUsage(usage: Usage): JsonObject {
  const input = inputTotalTokens(usage) ?? 0;
  const output = outputTotalTokens(usage) ?? 0;
  return compact({
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: compact({
      cached_tokens: usage.cacheReadTokens ?? 0,
      cache_write_tokens: cacheWriteTotalTokens(usage),
      audio_tokens: usage.inputAudioTokens ?? 0,
      image_tokens: usage.inputImageTokens,
    }),
    completion_tokens_details: compact({
      reasoning_tokens: usage.reasoningTokens ?? 0,
      audio_tokens: usage.outputAudioTokens ?? 0,
      image_tokens: usage.outputImageTokens,
    }),
  });
}
