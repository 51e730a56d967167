/** Time and chance are passed in, so that tests and the deterministic simulator own them. */

export type Clock = {
  /** Wall clock, milliseconds since the epoch. */
  now(): number;
  /** Never steps back, milliseconds from an arbitrary start, sub-millisecond resolution. */
  monotonic(): number;
};

export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };

/** Uniform in [0, 1). */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();

/** A seeded generator (mulberry32, 32-bit state) for tests and simulation; not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
