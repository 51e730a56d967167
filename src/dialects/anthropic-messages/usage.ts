import { cacheWriteTotalTokens, remainder, type Bill, type Usage } from '#canonical';
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

/**
 * Anthropic's counts as disjoint buckets. `input_tokens` excludes cache reads and writes already;
 * `output_tokens` includes thinking. The parts of `cache_creation` need not add up to
 * `cache_creation_input_tokens`, which is the billed total. Tokens of compaction stand only in
 * `iterations` and are billed on top (docs: compaction, "usage"), so they are added here.
 */
export function decodeUsage(raw: JsonObject): Usage {
  const compactions = asObjects(raw['iterations']).filter(
    (iteration) => iteration['type'] === 'compaction',
  );
  const buckets = [raw, ...compactions].map(readBuckets);
  const total = (name: keyof Buckets): number | undefined => {
    let sum: number | undefined;
    for (const bucket of buckets) {
      const count = bucket[name];
      if (count !== undefined) sum = asCount((sum ?? 0) + count);
    }
    return sum;
  };
  return {
    inputTokens: total('inputTokens'),
    cacheReadTokens: total('cacheReadTokens'),
    cacheWriteTokens: total('cacheWriteTokens'),
    cacheWriteLongTokens: total('cacheWriteLongTokens'),
    outputTokens: total('outputTokens'),
    reasoningTokens: total('reasoningTokens'),
    webSearches: asCount(asObject(raw['server_tool_use'])?.['web_search_requests']),
    serviceTier: asString(raw['service_tier']),
    speed: asString(raw['speed']),
    geography: asString(raw['inference_geo']),
    raw,
    rawDialect: 'anthropic-messages',
  };
}

type Buckets = Pick<
  Usage,
  | 'inputTokens'
  | 'cacheReadTokens'
  | 'cacheWriteTokens'
  | 'cacheWriteLongTokens'
  | 'outputTokens'
  | 'reasoningTokens'
>;

function readBuckets(raw: JsonObject): Buckets {
  const creation = asObject(raw['cache_creation']);
  const short = asCount(creation?.['ephemeral_5m_input_tokens']);
  const written = asCount(raw['cache_creation_input_tokens']);
  const long = asCount(creation?.['ephemeral_1h_input_tokens']);
  const generated = asCount(raw['output_tokens']);
  const thinking = asCount(asObject(raw['output_tokens_details'])?.['thinking_tokens']);
  const reasoningTokens =
    thinking === undefined ? undefined : Math.min(thinking, generated ?? thinking);
  const longWithin = long === undefined ? undefined : Math.min(long, written ?? long);
  return {
    inputTokens: asCount(raw['input_tokens']),
    cacheReadTokens: asCount(raw['cache_read_input_tokens']),
    cacheWriteTokens: written === undefined ? short : remainder(written, longWithin),
    cacheWriteLongTokens: longWithin,
    outputTokens: remainder(generated, reasoningTokens),
    reasoningTokens,
  };
}

const promptFields = ['input_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens'];

function promptTokens(raw: JsonObject): number {
  return promptFields.reduce((sum, field) => sum + (asCount(raw[field]) ?? 0), 0);
}

/**
 * Later usage over earlier: `message_delta` is cumulative, and its fields that are not null win. No prompt
 * becomes empty: vendors that write zeros at the end have not counted it there.
 */
export function mergeRawUsage(earlier: JsonObject, later: JsonObject): JsonObject {
  const merged: Record<string, JsonValue> = {};
  const keepsPrompt = promptTokens(later) === 0 && promptTokens(earlier) > 0;
  for (const source of [earlier, later]) {
    for (const [key, value] of Object.entries(source)) {
      if (value === undefined || (value === null && key in merged)) continue;
      if (keepsPrompt && source === later && promptFields.includes(key)) continue;
      merged[key] = value;
    }
  }
  return merged;
}

/** The usage object as a client of this dialect reads it, with the bill when there is one. */
export function encodeUsage(usage: Usage | undefined, bill?: Bill): JsonObject {
  const own = usage?.rawDialect === 'anthropic-messages' ? usage.raw : undefined;
  return {
    ...(own ? withoutVendorCosts(own) : buildUsage(usage ?? {})),
    ...(bill ? encodeBill(bill) : {}),
  };
}

function buildUsage(usage: Usage): JsonObject {
  const {
    inputTokens = 0,
    inputAudioTokens = 0,
    inputImageTokens = 0,
    outputTokens = 0,
    reasoningTokens,
  } = usage;
  const { outputAudioTokens = 0, outputImageTokens = 0, cacheWriteLongTokens, webSearches } = usage;
  return compact({
    input_tokens: inputTokens + inputAudioTokens + inputImageTokens,
    cache_creation_input_tokens: cacheWriteTotalTokens(usage) ?? 0,
    cache_read_input_tokens: usage.cacheReadTokens ?? 0,
    cache_creation:
      cacheWriteLongTokens === undefined
        ? undefined
        : {
            ephemeral_5m_input_tokens: usage.cacheWriteTokens ?? 0,
            ephemeral_1h_input_tokens: cacheWriteLongTokens,
          },
    output_tokens: outputTokens + (reasoningTokens ?? 0) + outputAudioTokens + outputImageTokens,
    output_tokens_details:
      reasoningTokens === undefined ? undefined : { thinking_tokens: reasoningTokens },
    server_tool_use:
      webSearches === undefined
        ? undefined
        : { web_search_requests: webSearches, web_fetch_requests: 0 },
    service_tier: usage.serviceTier === 'default' ? 'standard' : usage.serviceTier,
  });
}

function encodeBill(bill: Bill): JsonObject {
  return { cost: Number(formatUsd(bill.costNanoUsd)), receipt_id: bill.receiptId };
}
