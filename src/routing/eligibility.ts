/** What does not change during a request: which candidates may serve it at all, and in what rank. */

import type { Candidate, Hints, RejectionReason, RouteRequest } from './contract.ts';
import type { Lane } from './lane.ts';
import { priceAt } from './price.ts';
import type { CandidateSet, RoutingState } from './state.ts';

/** Reasons by number: the hot path writes numbers, the explanation reads names. */
export const rejectionReasons: readonly RejectionReason[] = [
  'worse-score',
  'unknown-channel',
  'disabled',
  'capability',
  'context-length',
  'hint',
  'price-cap',
  'switched-off',
  'breaker-open',
  'bucket-empty',
  'concurrency',
  'reserved-for-waiter',
  'too-new',
  'already-tried',
  'slow',
];

export const rejection = {
  none: 0,
  unknownChannel: 1,
  disabled: 2,
  capability: 3,
  contextLength: 4,
  hint: 5,
  priceCap: 6,
  switchedOff: 7,
  breakerOpen: 8,
  bucketEmpty: 9,
  concurrency: 10,
  reserved: 11,
  tooNew: 12,
  alreadyTried: 13,
  slow: 14,
} as const;

/** Distance of ranks in the score: a lower rank always wins. */
const rankStep = 1_000;

function names(lane: Lane, name: string): boolean {
  const { config } = lane.channel;
  return config.id === name || config.provider === name || config.tags?.includes(name) === true;
}

function namesAny(lane: Lane, list: readonly string[]): boolean {
  for (const name of list) if (names(lane, name)) return true;
  return false;
}

function exceedsPriceCap(
  candidate: Candidate,
  cap: NonNullable<Hints['maxPrice']>,
  state: RoutingState,
): boolean {
  const price = priceAt(candidate, state.clock.now(), state.settings.priceFlipMarginMs);
  return (
    price.inputNanoUsdPerMillion > (cap.inputNanoUsdPerMillion ?? Infinity) ||
    price.outputNanoUsdPerMillion > (cap.outputNanoUsdPerMillion ?? Infinity)
  );
}

/** The number of the reason why a candidate cannot serve the request at all; 0 when it can. */
export function ineligibility(
  set: CandidateSet,
  index: number,
  request: RouteRequest,
  state: RoutingState,
): number {
  const candidate = set.candidates[index];
  const lane = set.lanes[index];
  if (candidate === undefined || lane === undefined) return rejection.unknownChannel;
  if (!lane.channel.isEnabled) return rejection.disabled;
  const required = request.requiredCapabilities ?? 0;
  if (required !== 0 && candidate.capabilities !== undefined) {
    if ((candidate.capabilities & required) !== required) return rejection.capability;
  }
  if (candidate.contextTokens !== undefined && request.inputTokens > candidate.contextTokens) {
    return rejection.contextLength;
  }
  const { hints } = request;
  if (hints === undefined) return rejection.none;
  if (hints.only !== undefined && hints.only.length > 0 && !namesAny(lane, hints.only)) {
    return rejection.hint;
  }
  if (hints.allowFallbacks === false && hints.order !== undefined && !namesAny(lane, hints.order)) {
    return rejection.hint;
  }
  if (hints.ignore !== undefined && namesAny(lane, hints.ignore)) return rejection.hint;
  if (hints.maxPrice !== undefined && exceedsPriceCap(candidate, hints.maxPrice, state)) {
    return rejection.priceCap;
  }
  return rejection.none;
}

/** Offset of a candidate's score by the client's `order`; at most 99 ranks, less than a model tier. */
export function rankOffset(lane: Lane, order: readonly string[] | undefined): number {
  if (order === undefined) return 0;
  let position = order.length;
  for (let index = 0; index < order.length; index++) {
    const name = order[index];
    if (name !== undefined && names(lane, name)) {
      position = index;
      break;
    }
  }
  return Math.min(position, 99) * rankStep;
}
