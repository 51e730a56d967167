import { remainder, type Bill, type Usage } from '#canonical';
import { inputTotalTokens, outputTotalTokens, cacheWriteTotalTokens } from '#canonical';
import {
  asCount,
  asNumber,
  asObject,
  asObjects,
  asString,
  compact,
  formatUsd,
  type JsonObject,
  type JsonValue,
} from '#std';
import { withoutVendorCosts } from '../bill.ts';

/**
 * Usage of a Responses object: `input_tokens` includes cached and written ones, `output_tokens`
 * includes reasoning (OpenAI API reference, Responses, `usage`). Searches run by the vendor are counted
 * from the response's items, or are those that the stream has shown: some vendors end it without its items.
 */
export function decodeUsage(
  wire: JsonValue | undefined,
  response?: JsonObject,
  searchesShown = 0,
): Usage | undefined {
  const usage = asObject(wire);
  if (!usage) {
    const searched = webSearches({}, response, searchesShown);
    return searched === undefined ? undefined : { webSearches: searched };
  }
  const inputDetails = asObject(usage['input_tokens_details']);
  const outputDetails = asObject(usage['output_tokens_details']);
  const said = asCount(usage['input_tokens']);
  // More cached than there was is what Azure's Grok reports; resellers count a prompt as read and as written.
  const cacheReadTokens = atMost(asCount(inputDetails?.['cached_tokens']), said);
  const writes = cacheWrites(inputDetails, remainder(said, cacheReadTokens));
  const reasoningTokens = asCount(outputDetails?.['reasoning_tokens']);
  const inputAudioTokens = asCount(inputDetails?.['audio_tokens']);
  const inputImageTokens = asCount(inputDetails?.['image_tokens']);
  const outputAudioTokens = asCount(outputDetails?.['audio_tokens']);
  const outputImageTokens = asCount(outputDetails?.['image_tokens']);
  const inputTokens = remainder(
    said,
    cacheReadTokens,
    writes.short,
    writes.long,
    inputAudioTokens,
    inputImageTokens,
  );
  const outputTokens = remainder(
    asCount(usage['output_tokens']),
    reasoningTokens,
    outputAudioTokens,
    outputImageTokens,
  );
  return {
    inputTokens,
    cacheReadTokens,
    cacheWriteTokens: writes.short,
    cacheWriteLongTokens: writes.long,
    outputTokens,
    reasoningTokens,
    inputAudioTokens,
    inputImageTokens,
    outputAudioTokens,
    outputImageTokens,
    webSearches: webSearches(usage, response, searchesShown),
    reportedCostUsd: reportedCost(usage),
    serviceTier: asString(response?.['service_tier']),
    raw: usage,
    rawDialect: 'openai-responses',
  };
}

function atMost(count: number | undefined, most: number | undefined): number | undefined {
  return count === undefined ? undefined : Math.min(count, most ?? count);
}

/**
 * OpenAI splits writes by life: 30 minutes and 12 hours; only the long one has a bucket of its own. `room`: what
 * the prompt has besides what was read.
 */
function cacheWrites(
  details: JsonObject | undefined,
  room: number | undefined,
): {
  short: number | undefined;
  long: number | undefined;
} {
  const total = atMost(asCount(details?.['cache_write_tokens']), room);
  const lives = asObject(details?.['cache_write_tokens_details']);
  const long = atMost(asCount(lives?.['ttl_12h']), total ?? room);
  if (!long) return { short: total, long: undefined };
  return { short: remainder(total, long), long };
}

/** Whether an item is a search that was run; opening a page is none. */
export function isSearch(item: JsonObject | undefined): boolean {
  if (item?.['type'] !== 'web_search_call' || item['status'] === 'failed') return false;
  const action = asString(asObject(item['action'])?.['type']);
  return action === undefined || action === 'search';
}

function webSearches(
  usage: JsonObject,
  response: JsonObject | undefined,
  shown: number,
): number | undefined {
  const reported =
    asCount(asObject(usage['server_side_tool_usage_details'])?.['web_search_calls']) ??
    asCount(asObject(asObject(response?.['tool_usage'])?.['web_search'])?.['num_requests']);
  const count = Math.max(shown, asObjects(response?.['output']).filter(isSearch).length);
  if (reported !== undefined) return Math.max(reported, count);
  return count === 0 ? undefined : count;
}

/** Vendors that resell say what the answer cost: OpenRouter in dollars, xAI in ticks of 10⁻¹⁰ dollar. */
function reportedCost(usage: JsonObject): string | undefined {
  const cost = asNumber(usage['cost']);
  if (cost !== undefined && cost >= 0) return decimal(cost);
  const ticks = asCount(usage['cost_in_usd_ticks']);
  if (ticks === undefined) return undefined;
  const digits = String(ticks).padStart(11, '0');
  const fraction = digits.slice(-10).replace(/0+$/, '');
  return fraction === '' ? digits.slice(0, -10) : `${digits.slice(0, -10)}.${fraction}`;
}

function decimal(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(12).replace(/\.?0+$/, '') : text;
}

/** The usage object a client of this dialect sees, with the bill in it. */
export function encodeUsage(usage: Usage, bill: Bill | undefined): JsonObject {
  const base =
    usage.raw && usage.rawDialect === 'openai-responses'
      ? withoutVendorCosts(usage.raw)
      : buildUsage(usage);
  if (!bill) return base;
  return { ...base, cost: Number(formatUsd(bill.costNanoUsd)), receipt_id: bill.receiptId };
}

function buildUsage(usage: Usage): JsonObject {
  const input = inputTotalTokens(usage) ?? 0;
  const output = outputTotalTokens(usage) ?? 0;
  return {
    input_tokens: input,
    input_tokens_details: compact({
      cached_tokens: usage.cacheReadTokens ?? 0,
      cache_write_tokens: cacheWriteTotalTokens(usage) ?? 0,
      audio_tokens: usage.inputAudioTokens,
      image_tokens: usage.inputImageTokens,
    }),
    output_tokens: output,
    output_tokens_details: compact({
      reasoning_tokens: usage.reasoningTokens ?? 0,
      audio_tokens: usage.outputAudioTokens,
      image_tokens: usage.outputImageTokens,
    }),
    total_tokens: input + output,
  };
}
