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
export type Slope = { readonly slope: number; readonly low: number; readonly high: number };

/** Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom. */
const studentT = [
  12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12,
  2.11, 2.1, 2.09, 2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04,
];

/** Least squares with the 95 % interval of the slope; NaN where there are fewer than three points. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): Slope {
  const count = points.length;
  if (count < 3) return { slope: NaN, low: NaN, high: NaN };
  const mean = (pick: 0 | 1): number => points.reduce((sum, point) => sum + point[pick], 0) / count;
  const [meanX, meanY] = [mean(0), mean(1)];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  const rest = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  const error = Math.sqrt(rest / (count - 2) / spread);
  const width = (studentT[count - 3] ?? 1.96) * error;
  return { slope, low: slope - width, high: slope + width };
}
