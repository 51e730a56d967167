import type { JsonObject } from '#std';
import type { DialectId } from './chat.ts';

/**
 * What an answer consumed, in buckets that do not overlap and add up. `undefined` means that the
 * upstream did not say; 0 means zero. Vendors' overlapping counts (cached inside input, reasoning
 * inside output) are made disjoint when they are decoded, so that rating never asks whose they were.
 */
export type Usage = {
  /** Fresh prompt text tokens: without cache reads, cache writes, audio and images. */
  readonly inputTokens?: number | undefined;
  readonly cacheReadTokens?: number | undefined;
  /** Written to a cache of the usual short life (5 minutes at Anthropic). */
  readonly cacheWriteTokens?: number | undefined;
  /** Written to a one-hour cache. */
  readonly cacheWriteLongTokens?: number | undefined;
  /** Visible output text tokens: without reasoning, audio and images. */
  readonly outputTokens?: number | undefined;
  readonly reasoningTokens?: number | undefined;
  readonly inputAudioTokens?: number | undefined;
  readonly inputImageTokens?: number | undefined;
  readonly outputAudioTokens?: number | undefined;
  readonly outputImageTokens?: number | undefined;
  readonly webSearches?: number | undefined;
  readonly images?: number | undefined;
  readonly seconds?: number | undefined;
  readonly characters?: number | undefined;
  /** Cost as the vendor reports it, decimal US dollars as text. */
  readonly reportedCostUsd?: string | undefined;
  /** Tier that the vendor says it served, where it changes the price. */
  readonly serviceTier?: string | undefined;
  /** Speed that the vendor says it served with, where it changes the price. */
  readonly speed?: string | undefined;
  /** Geography that the vendor says the model was kept to, where it changes the price. */
  readonly geography?: string | undefined;
  /** The vendor's own object and its dialect, to hand back to a client of the same dialect. */
  readonly raw?: JsonObject | undefined;
  /** The dialect of `raw`. */
  readonly rawDialect?: DialectId | undefined;
};

/** Of what has a price, what is counted in tokens. */
export const tokenUnits = [
  'input',
  'cache_read',
  'cache_write',
  'cache_write_1h',
  'output',
  'reasoning',
  'input_audio',
  'input_image',
  'output_audio',
  'output_image',
] as const;

/** What has a price: the names under `prices` of a configuration, and in the lines of a receipt. */
export const priceUnits = [
  ...tokenUnits,
  'web_search',
  'image',
  'second',
  'character',
  'request',
] as const;

export type PriceUnit = (typeof priceUnits)[number];

/** Numeric buckets, in the order they are shown. */
export const usageBuckets = [
  'inputTokens',
  'cacheReadTokens',
  'cacheWriteTokens',
  'cacheWriteLongTokens',
  'outputTokens',
  'reasoningTokens',
  'inputAudioTokens',
  'inputImageTokens',
  'outputAudioTokens',
  'outputImageTokens',
  'webSearches',
  'images',
  'seconds',
  'characters',
] as const satisfies readonly (keyof Usage)[];

export type UsageBucket = (typeof usageBuckets)[number];

/** All prompt tokens, cached and written ones included; `undefined` when none was said. */
export function inputTotalTokens(usage: Usage): number | undefined {
  return sumOfKnown([
    usage.inputTokens,
    usage.cacheReadTokens,
    usage.cacheWriteTokens,
    usage.cacheWriteLongTokens,
    usage.inputAudioTokens,
    usage.inputImageTokens,
  ]);
}

/** All generated tokens, reasoning included. */
export function outputTotalTokens(usage: Usage): number | undefined {
  return sumOfKnown([
    usage.outputTokens,
    usage.reasoningTokens,
    usage.outputAudioTokens,
    usage.outputImageTokens,
  ]);
}

export function cacheWriteTotalTokens(usage: Usage): number | undefined {
  return sumOfKnown([usage.cacheWriteTokens, usage.cacheWriteLongTokens]);
}

function sumOfKnown(values: readonly (number | undefined)[]): number | undefined {
  let total: number | undefined;
  for (const value of values) if (value !== undefined) total = (total ?? 0) + value;
  return total;
}

/** What remains of an overlapping total, never below zero: vendors report cached > prompt now and then. */
export function remainder(
  total: number | undefined,
  ...contained: readonly (number | undefined)[]
): number | undefined {
  if (total === undefined) return undefined;
  let rest = total;
  for (const value of contained) rest -= value ?? 0;
  return Math.max(0, rest);
}
