/** One choice: filter, score, admission, affinity. Allocates nothing. */

import { hashText, rendezvousWeight } from './affinity.ts';
import type { Explanation, RouteRequest } from './contract.ts';
import { rejection } from './eligibility.ts';
import type { Lane } from './lane.ts';
import type { Need } from './limit-group.ts';
import { score } from './score.ts';
import type { CandidateSet, RoutingState } from './state.ts';
import { holderOf, yields, type Ticket } from './waiting-line.ts';

export type How = Explanation['decisions'][number]['how'];

/** The request as the choice needs it; the plan is one. */
export type Chooser = {
  readonly request: RouteRequest;
  readonly set: CandidateSet;
  /** What an upstream counts that debits the whole output bound at admission. */
  readonly need: Need;
  /** What the lane's upstream will count for this request. */
  needAt(lane: Lane): Need;
  readonly ticket: Ticket | undefined;
  /** Rejection numbers of `ineligibility`, one per candidate; `undefined` when all are 0. */
  readonly ineligible: Uint8Array | undefined;
  /** Indices of candidates used up; `includeTried` ignores it for those that may be tried again. */
  isTried(index: number, includeTried: boolean): boolean;
};

/**
 * `overflow`: our own guesses (slow start, doubts) must not turn a request away when nothing else
 * has room. `exploration`: a new lane may have it.
 */
export type Strictness = 'normal' | 'overflow' | 'exploration';

export type Choice = { index: number; how: How; isPanic: boolean };

/** Scores at and above this are rejections: the number behind it says why. */
export const rejectionBase = 1e12;
const firstLookSamples = 4;
const staleMs = 300_000;
/** A lane that was ill is looked at again after this much silence. */
const healedMs = 15_000;
const probationMs = 60_000;

export function choose(
  state: RoutingState,
  chooser: Chooser,
  nowMs: number,
  includeTried: boolean,
  choice: Choice,
): void {
  choice.index = -1;
  choice.how = 'score';
  choice.isPanic = isPanic(state, chooser, nowMs);
  const reserve = state.settings.classReserve[chooser.request.class];
  score(state, chooser, 0, chooser.set.lanes.length, nowMs, false);
  const best = scan(state, chooser, nowMs, includeTried, choice.isPanic, reserve, 'normal');
  const index =
    best >= 0
      ? best
      : scan(state, chooser, nowMs, includeTried, choice.isPanic, reserve, 'overflow');
  if (index < 0) {
    choice.how = 'none';
    return;
  }
  choice.index = index;
  if (chooser.request.hints?.sort !== undefined) return;
  if (prefersSession(state, chooser, nowMs, reserve, choice)) return;
  explore(state, chooser, nowMs, reserve, choice);
}

/**
 * Multiple of its need that a request must leave free in a bucket. While room is short, requests
 * above the average size do so, since more requests are served from the same tokens when the small
 * ones find room; and so do users above their fair share, who yield to the others.
 */
export function headroom(state: RoutingState, request: RouteRequest, nowMs: number): number {
  const { shortage, settings } = state;
  if (!shortage.isRecent(nowMs)) return 0;
  let multiple = state.fairShare.isOverShare(request.userId, nowMs) ? settings.fairHeadroom : 0;
  if (shortage.isLasting(nowMs)) {
    const tokens = request.inputTokens + request.outputTokensMaximum;
    const excess = 1 - shortage.tokensAverage / Math.max(tokens, 1);
    if (excess > 0) multiple += settings.shortageHeadroom * excess;
  }
  return multiple;
}

function isPanic(state: RoutingState, chooser: Chooser, nowMs: number): boolean {
  if (state.breakers.open === 0) return false;
  const { set, ineligible } = chooser;
  let eligible = 0;
  let open = 0;
  for (let index = 0; index < set.lanes.length; index++) {
    const lane = set.lanes[index];
    if (lane === undefined || (ineligible !== undefined && ineligible[index] !== 0)) continue;
    if (lane.channel.offReason !== undefined) continue;
    eligible += 1;
    if (lane.health.isOpen || lane.channel.health.isOpen) {
      if (lane.health.blocks(nowMs) || lane.channel.health.blocks(nowMs)) open += 1;
    }
  }
  return open > state.settings.panicShare * eligible;
}

/** Says of each candidate its score or why not, and gives the best admissible index, or -1. */
function scan(
  state: RoutingState,
  chooser: Chooser,
  nowMs: number,
  includeTried: boolean,
  panic: boolean,
  reserve: number,
  strictness: Strictness,
): number {
  const { set, ineligible } = chooser;
  const { table } = set;
  const { scores } = state;
  let best = -1;
  let bestScore = rejectionBase;
  for (let index = 0; index < set.lanes.length; index++) {
    const lane = set.lanes[index];
    const why = ineligible?.[index] ?? 0;
    if (lane === undefined || why !== 0) {
      scores[index] = rejectionBase + (lane === undefined ? rejection.unknownChannel : why);
      continue;
    }
    if (chooser.isTried(index, includeTried)) {
      scores[index] = rejectionBase + rejection.alreadyTried;
      continue;
    }
    const found = table.scores[index] ?? rejectionBase;
    scores[index] = found;
    if (found >= bestScore) continue;
    const rejected = admissionOf(state, chooser, lane, nowMs, panic, reserve, strictness);
    if (rejected === 0) {
      best = index;
      bestScore = found;
    } else scores[index] = rejectionBase + rejected;
  }
  return best;
}

/** Why a lane cannot take this request now; 0 when it can. */
export function admissionOf(
  state: RoutingState,
  chooser: Chooser,
  lane: Lane,
  nowMs: number,
  panic: boolean,
  reserve: number,
  strictness: Strictness,
): number {
  const { channel } = lane;
  if (channel.offReason !== undefined && channel.isOff(nowMs)) return rejection.switchedOff;
  if (!panic && (lane.health.blocks(nowMs) || channel.health.blocks(nowMs))) {
    return rejection.breakerOpen;
  }
  const open = 1 - reserve;
  if (channel.active >= channel.concurrencyMaximum * open) return rejection.concurrency;
  if (strictness === 'overflow') {
    if (!lane.limit.isSlowStart && lane.active >= lane.limit.limit) return rejection.concurrency;
  } else {
    if (lane.active >= lane.limit.limit * open) return rejection.concurrency;
    if (lane.latency.isStalled(nowMs)) return rejection.slow;
    if (lane.latency.isSuspect() && !lane.latency.mayLook(nowMs)) return rejection.slow;
    if (strictness === 'normal' && isOnProbation(state, chooser, lane)) return rejection.tooNew;
  }
  const { ticket, request } = chooser;
  const need = chooser.needAt(lane);
  if (lane.group.waitMs(need, reserve, headroom(state, request, nowMs), nowMs) > 0)
    return rejection.bucketEmpty;
  const holder = lane.reservation === undefined ? undefined : holderOf(lane, nowMs);
  if (holder !== undefined && !yields(holder, ticket, request.class)) {
    const readyMs = nowMs + lane.group.waitBehindMs(holder.need, need, nowMs);
    if (readyMs > holder.readyAtMs) return rejection.reserved;
  }
  return rejection.none;
}

/** A lane that joined experienced ones lately gets only the share of exploration. */
function isOnProbation(state: RoutingState, chooser: Chooser, lane: Lane): boolean {
  if (lane.latency.samples >= state.settings.newLaneSamples) return false;
  return lane.createdAtMs > chooser.set.oldestMs + probationMs;
}

/** Stays where the session's prompt cache is, or starts a new session where every node would. */
function prefersSession(
  state: RoutingState,
  chooser: Chooser,
  nowMs: number,
  reserve: number,
  choice: Choice,
): boolean {
  const { set } = chooser;
  const { sessionKey, model } = chooser.request;
  if (sessionKey === undefined) return false;
  const bestScore = state.scores[choice.index] ?? rejectionBase;
  const home = state.affinity.find(sessionKey, model, nowMs);
  if (home !== undefined) {
    const index = set.lanes.indexOf(home);
    if (index >= 0 && (state.scores[index] ?? rejectionBase) < rejectionBase) {
      score(state, chooser, index, index + 1, nowMs, true);
      if (
        (set.table.scores[index] ?? rejectionBase) <= bestScore + state.settings.affinitySlack &&
        admissionOf(state, chooser, home, nowMs, choice.isPanic, reserve, 'normal') === 0
      ) {
        choice.index = index;
        choice.how = 'affinity';
        return true;
      }
    }
    return false;
  }
  const keyHash = hashText(`${model}\n${sessionKey}`);
  const limit = bestScore + state.settings.rendezvousSlack;
  let heaviest = -1;
  for (let index = 0; index < set.lanes.length; index++) {
    const lane = set.lanes[index];
    if (lane === undefined || (state.scores[index] ?? rejectionBase) > limit) continue;
    const weight = rendezvousWeight(keyHash, lane.hash);
    if (weight <= heaviest) continue;
    if (index !== choice.index) {
      const rejected = admissionOf(state, chooser, lane, nowMs, choice.isPanic, reserve, 'normal');
      if (rejected !== 0) continue;
    }
    heaviest = weight;
    choice.index = index;
    choice.how = 'rendezvous';
  }
  return false;
}

/** Now and then an unknown or long unused lane is tried, the least known first. */
function explore(
  state: RoutingState,
  chooser: Chooser,
  nowMs: number,
  reserve: number,
  choice: Choice,
): void {
  const { newLaneSamples, newLaneShare } = state.settings;
  if (state.random() >= newLaneShare) return;
  const { lanes } = chooser.set;
  const bestScore = state.scores[choice.index] ?? rejectionBase;
  let least = Infinity;
  let found = -1;
  for (let index = 0; index < lanes.length; index++) {
    const lane = lanes[index];
    if (lane === undefined || !isUnexplored(lane, newLaneSamples, nowMs)) continue;
    const known = lane.latency.samples + lane.latency.waiting;
    const mark = state.scores[index] ?? rejectionBase;
    const isRejected = mark >= rejectionBase && mark !== rejectionBase + rejection.tooNew;
    if (known >= least || isRejected) continue;
    // A few samples tell enough of a lane that is clearly worse.
    if (known >= firstLookSamples && mark < rejectionBase && mark > bestScore + 1) continue;
    least = known;
    found = index;
  }
  if (found < 0 || found === choice.index) return;
  const lane = lanes[found];
  if (lane === undefined || lane.weightPenalty >= 50) return;
  if (admissionOf(state, chooser, lane, nowMs, choice.isPanic, reserve, 'exploration') !== 0)
    return;
  choice.index = found;
  choice.how = 'exploration';
}

function isUnexplored(lane: Lane, newLaneSamples: number, nowMs: number): boolean {
  return (
    lane.latency.samples < newLaneSamples ||
    nowMs - lane.latency.sampledAtMs >
      (lane.health.isOpen || lane.channel.health.isOpen || lane.latency.isSuspect()
        ? healedMs
        : staleMs)
  );
}
