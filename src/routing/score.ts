/**
 * The score of candidates: lower is better; see the decision record on it. What it needs of each
 * candidate lies side by side in flat arrays, and every step is one loop over them: a choice among
 * hundreds reads in order, where the objects lie all over the memory, and makes no numbers on the heap.
 */

import type { Chooser } from './choose.ts';
import type { Candidate, RouteRequest } from './contract.ts';
import { rankOffset } from './eligibility.ts';
import { scarceBelow, type Lane } from './lane.ts';
import type { Need } from './limit-group.ts';
import { Logarithms } from './logarithm.ts';
import { costOf, expectedCost, priceAt } from './price.ts';
import type { RoutingSettings, ScoreWeights } from './settings.ts';
import type { RoutingState } from './state.ts';

/** Long answers are judged by when they end and not by when they begin. */
const longOutputTokens = 1_000;
const longOutputShare = 0.25;
const scarceWeight = 2;
const interTokenInitialMs = 30;
/** Distance of model tiers in the score: a lower one always wins. */
const tierStep = 100_000;

/** Places of one lane's numbers behind `ScoreTable.at`. */
const expectedPlace = 0;
const burdenPlace = 1;
const sparePlace = 2;
const freshUntilPlace = 3;
const placesPerLane = 4;

/** One per set of candidates. */
export class ScoreTable {
  readonly inputPrices: Float64Array;
  readonly outputPrices: Float64Array;
  /** The model tier and the operator's weight, as they enter the score. */
  readonly offsets: Float64Array;
  readonly numbers: Float64Array;
  readonly times: Logarithms;
  /** Of costs, or of whatever else the hints ask for. */
  readonly others: Logarithms;
  /** What `score` has found. */
  readonly scores: Float64Array;
  /** Every lane's upstream counts the whole output bound at admission. */
  readonly countsMaximum: boolean;
  /** `Lane.changes` when its numbers were copied. */
  readonly #changes: Int32Array;

  constructor(candidates: readonly Candidate[], lanes: readonly (Lane | undefined)[]) {
    const { length } = candidates;
    this.inputPrices = Float64Array.from(candidates, (one) => one.inputNanoUsdPerMillion);
    this.outputPrices = Float64Array.from(candidates, (one) => one.outputNanoUsdPerMillion);
    this.offsets = Float64Array.from(
      candidates,
      (one, index) => (one.tier ?? 0) * tierStep + (lanes[index]?.weightPenalty ?? 0),
    );
    this.numbers = new Float64Array(length * placesPerLane);
    this.times = new Logarithms(length);
    this.others = new Logarithms(length);
    this.scores = new Float64Array(length);
    this.countsMaximum = lanes.every(
      (lane) => (lane?.group.accounting.outputAtAdmission ?? 'maximum') === 'maximum',
    );
    this.#changes = new Int32Array(length).fill(-1);
  }

  /** Where the numbers of a lane begin, after they were brought up to date. */
  at(index: number, lane: Lane, nowMs: number): number {
    const place = index * placesPerLane;
    const { numbers } = this;
    if (this.#changes[index] === lane.changes && nowMs < (numbers[place + freshUntilPlace] ?? 0))
      return place;
    lane.refresh(nowMs);
    numbers[place + expectedPlace] = lane.expectedMs;
    numbers[place + burdenPlace] = lane.burden;
    numbers[place + sparePlace] = lane.spareTokens;
    numbers[place + freshUntilPlace] = lane.freshUntilMs;
    this.#changes[index] = lane.changes;
    return place;
  }
}

/**
 * Fills the scores of the candidates from one index to another in their set's table.
 *
 * @param isCached the prompt is in the upstream's cache
 */
export function score(
  state: RoutingState,
  chooser: Chooser,
  from: number,
  to: number,
  nowMs: number,
  isCached: boolean,
): void {
  const { hints } = chooser.request;
  const { times, others, offsets, scores } = chooser.set.table;
  putTimes(chooser, from, to, nowMs, state.settings.prefillMsPerToken);
  times.take(from, to);
  const weights = weightsOf(hints, state.settings);
  if (weights.price !== 0) {
    if (hints?.sort === 'throughput') putInterTokenTimes(chooser, from, to);
    else putCosts(state, chooser, from, to, isCached);
    others.take(from, to);
  }
  const { time, price } = weights;
  for (let index = from; index < to; index++)
    scores[index] =
      (offsets[index] ?? 0) +
      time * (times.values[index] ?? 0) +
      price * (others.values[index] ?? 0);
  const order = hints?.order;
  if (order === undefined) return;
  for (let index = from; index < to; index++) {
    const lane = chooser.set.lanes[index];
    if (lane !== undefined) scores[index] = (scores[index] ?? 0) + rankOffset(lane, order);
  }
}

const sortWeights: Readonly<
  Record<NonNullable<NonNullable<RouteRequest['hints']>['sort']>, ScoreWeights>
> = {
  price: { time: 0.01, price: 1 },
  latency: { time: 1, price: 0 },
  throughput: { time: 0.01, price: 1 },
};

function weightsOf(hints: RouteRequest['hints'], settings: RoutingSettings): ScoreWeights {
  if (hints?.sort !== undefined) return sortWeights[hints.sort];
  return settings.presets[hints?.preset ?? settings.preset];
}

/** The time to the first content that is to be expected now, and a part of the time after it. */
function putTimes(
  chooser: Chooser,
  from: number,
  to: number,
  nowMs: number,
  prefillMsPerToken: number,
): void {
  const { request, set } = chooser;
  const { table, lanes } = set;
  const { numbers, countsMaximum } = table;
  const { values } = table.times;
  const prefillMs = request.inputTokens * prefillMsPerToken;
  const isLong = request.outputTokensExpected > longOutputTokens;
  for (let index = from; index < to; index++) {
    const lane = lanes[index];
    if (lane === undefined) continue;
    const place = table.at(index, lane, nowMs);
    let timeMs = (numbers[place + expectedPlace] ?? 0) + prefillMs;
    if (isLong)
      timeMs +=
        longOutputShare *
        request.outputTokensExpected *
        (lane.latency.interTokenMs ?? interTokenInitialMs);
    timeMs *= numbers[place + burdenPlace] ?? 1;
    const need = countsMaximum ? chooser.need : chooser.needAt(lane);
    if (need.inputTokens + need.outputTokens >= (numbers[place + sparePlace] ?? 0))
      timeMs *= scarcity(lane, need);
    values[index] = timeMs;
  }
}

/** A nearly empty bucket is kept for what fits nowhere else: large prompts. */
function scarcity(lane: Lane, need: Need): number {
  const left = lane.group.shareLeft(need, scarceBelow);
  if (left >= scarceBelow) return 1;
  const depth = 1 - left / scarceBelow;
  return 1 + scarceWeight * depth * depth;
}

function putCosts(
  state: RoutingState,
  chooser: Chooser,
  from: number,
  to: number,
  isCached: boolean,
): void {
  const { request, set } = chooser;
  const { inputTokens, outputTokensExpected } = request;
  const { inputPrices, outputPrices } = set.table;
  const { values } = set.table.others;
  const isPlain = !isCached && !set.hasPriceChanges;
  const wallMs = isPlain ? 0 : state.clock.now();
  for (let index = from; index < to; index++) {
    const candidate = isPlain ? undefined : set.candidates[index];
    values[index] =
      candidate === undefined
        ? costOf(
            inputTokens,
            inputPrices[index] ?? 0,
            outputTokensExpected,
            outputPrices[index] ?? 0,
          )
        : expectedCost(
            candidate,
            priceAt(candidate, wallMs, state.settings.priceFlipMarginMs),
            inputTokens,
            outputTokensExpected,
            isCached,
          );
  }
}

function putInterTokenTimes(chooser: Chooser, from: number, to: number): void {
  const { lanes, table } = chooser.set;
  for (let index = from; index < to; index++)
    table.others.values[index] = lanes[index]?.latency.interTokenMs ?? interTokenInitialMs;
}
