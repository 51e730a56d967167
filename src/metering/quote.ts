/** How much a request may cost at most: the size of its hold. */

import { nanoUsd, type NanoUsd } from '#std';
import type { Usage } from '#canonical';
import { applicableUnits, rate, unitPrice, type PriceSnapshot } from './rate.ts';

export type Bound = { readonly inputTokens: number; readonly outputTokens: number };

/** Estimates miss the truth by a third at most on ordinary text; the hold covers that. */
const inputMarginPercent = 35;

export function inputBound(inputTokensEstimated: number): number {
  return Math.ceil((inputTokensEstimated * (100 + inputMarginPercent)) / 100);
}

/** The dearest way to be charged for the bound: all input written to a cache if that costs more. */
export function quote(snapshot: PriceSnapshot, bound: Bound): NanoUsd {
  const units = applicableUnits(snapshot, bound.inputTokens);
  const written = (unitPrice(units, 'cache_write') ?? 0n) > (unitPrice(units, 'input') ?? 0n);
  const usage: Usage = {
    ...(written ? { cacheWriteTokens: bound.inputTokens } : { inputTokens: bound.inputTokens }),
    ...outputUsage(units, bound.outputTokens),
  };
  return rate(snapshot, usage).amountNanoUsd;
}

function outputUsage(units: Parameters<typeof unitPrice>[0], tokens: number): Usage {
  const reasoning = unitPrice(units, 'reasoning') ?? 0n;
  return reasoning > (unitPrice(units, 'output') ?? 0n) ? { reasoningTokens: tokens } : { outputTokens: tokens };
}

/** How many output tokens `available` pays for, after the input. May be negative. */
export function affordableOutputTokens(snapshot: PriceSnapshot, inputTokens: number, available: NanoUsd, atMost: number): number {
  if (quote(snapshot, { inputTokens, outputTokens: atMost }) <= available) return atMost;
  let low = -1;
  let high = atMost;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (quote(snapshot, { inputTokens, outputTokens: middle }) <= available) low = middle;
    else high = middle;
  }
  return low;
}

export function dearest(quotes: readonly NanoUsd[]): NanoUsd {
  return nanoUsd(quotes.reduce((most, amount) => Math.max(most, amount), 0));
}
