/** What a request is expected to cost at a candidate. Floating point: for ranking, never for billing. */

import type { Candidate, PriceChange } from './contract.ts';

/** Keeps free candidates comparable: a millionth of a dollar. */
const epsilonNanoUsd = 1_000;

type Price = { readonly inputNanoUsdPerMillion: number; readonly outputNanoUsdPerMillion: number };

function dearer(left: Price, right: Price): Price {
  const sum = (price: Price): number =>
    price.inputNanoUsdPerMillion + price.outputNanoUsdPerMillion;
  return sum(right) > sum(left) ? right : left;
}

/**
 * The price in force at a moment. Within `marginMs` of a change the dearer side is assumed, since
 * our clock and the vendor's may differ.
 */
export function priceAt(candidate: Candidate, atMs: number, marginMs: number): Price {
  const changes = candidate.priceChanges;
  if (changes === undefined || changes.length === 0) return candidate;
  let early: Price = candidate;
  for (const change of changes) {
    if (change.atMs <= atMs - marginMs) early = change;
  }
  let price = early;
  for (const change of changes) {
    if (change.atMs > atMs - marginMs && change.atMs <= atMs + marginMs) {
      price = dearer(price, change);
    }
  }
  return price;
}

/** Nano-USD of a request, never zero. */
export function expectedCost(
  candidate: Candidate,
  price: Price,
  inputTokens: number,
  outputTokens: number,
  isCached: boolean,
): number {
  const cachedPrice = candidate.cachedInputNanoUsdPerMillion;
  const inputPrice =
    isCached && cachedPrice !== undefined
      ? 0.2 * price.inputNanoUsdPerMillion + 0.8 * cachedPrice
      : price.inputNanoUsdPerMillion;
  return costOf(inputTokens, inputPrice, outputTokens, price.outputNanoUsdPerMillion);
}

export function costOf(
  inputTokens: number,
  inputPrice: number,
  outputTokens: number,
  outputPrice: number,
): number {
  return (inputTokens * inputPrice + outputTokens * outputPrice) * 1e-6 + epsilonNanoUsd;
}

/**
 * The next moment before `untilMs` at which a candidate costs clearly less than the cheapest now,
 * for work that may wait; `undefined` when waiting gains nothing.
 */
export function cheaperWindow(
  candidates: readonly Candidate[],
  nowMs: number,
  untilMs: number,
  marginMs: number,
): number | undefined {
  const sum = (price: Price): number =>
    price.inputNanoUsdPerMillion + price.outputNanoUsdPerMillion;
  let cheapest = Infinity;
  for (const candidate of candidates) {
    cheapest = Math.min(cheapest, sum(priceAt(candidate, nowMs, marginMs)));
  }
  let best: PriceChange | undefined;
  for (const candidate of candidates) {
    for (const change of candidate.priceChanges ?? []) {
      if (change.atMs + marginMs <= nowMs || change.atMs + marginMs > untilMs) continue;
      if (sum(change) < 0.9 * cheapest && (best === undefined || sum(change) < sum(best))) {
        best = change;
      }
    }
  }
  return best === undefined ? undefined : best.atMs + marginMs + 1;
}
