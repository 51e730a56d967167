/** Order statistics and paired bootstrap intervals, seeded: the same data give the same interval. */

export type Interval = { readonly median: number; readonly low: number; readonly high: number };

/** The value below which `share` of the values lie; NaN when there are none. */
export function percentile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return NaN;
  const position = (sorted.length - 1) * share;
  const below = Math.floor(position);
  const low = sorted[below] ?? NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? low;
  return low + (high - low) * (position - below);
}

export function median(values: ArrayLike<number>): number {
  return percentile(values, 0.5);
}

/** A generator of numbers in [0, 1) that repeats itself for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const resamples = 2_000;

/** Median of the values with a 95 % bootstrap interval over the rounds. */
export function interval(values: readonly number[], seed = 1): Interval {
  const known = values.filter((value) => Number.isFinite(value));
  if (known.length === 0) return { median: NaN, low: NaN, high: NaN };
  const random = seededRandom(seed);
  const medians = Array.from({ length: resamples }, () =>
    median(known.map(() => known[Math.floor(random() * known.length)] ?? NaN)),
  );
  return {
    median: median(known),
    low: percentile(medians, 0.025),
    high: percentile(medians, 0.975),
  };
}

/** Ratio of two legs, round by round: what the machine did to both cancels. */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): Interval {
  return interval(ours.map((value, round) => value / (theirs[round] ?? NaN)));
}

/** Difference of two legs, round by round. */
export function pairedDifference(ours: readonly number[], theirs: readonly number[]): Interval {
  return interval(ours.map((value, round) => value - (theirs[round] ?? NaN)));
}
