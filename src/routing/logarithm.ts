/**
 * Natural logarithms of positive numbers, for ranking: wrong by less than 1e-7. One loop over many
 * numbers, because the engine's own is a call out of compiled code for each of them, and half of the
 * time of a choice among hundreds. The exponent is read from a number's bits and the mantissa looked
 * up, with a straight line between the entries. Zero and infinity give the ends of the scale.
 */
export class Logarithms {
  /** Put numbers here, and find their logarithms in the same places. */
  readonly values: Float64Array;
  readonly #words: Uint32Array;

  constructor(count: number) {
    this.values = new Float64Array(count);
    this.#words = new Uint32Array(this.values.buffer);
  }

  take(from: number, to: number): void {
    const { values } = this;
    const words = this.#words;
    for (let index = from; index < to; index++) {
      const high = words[2 * index + highWord] ?? 0;
      const low = words[2 * index + 1 - highWord] ?? 0;
      const place = (high >>> restBits) & (entries - 1);
      const rest = ((high & restMask) + low * lowScale) * restScale;
      const below = table[place] ?? 0;
      const above = table[place + 1] ?? 0;
      values[index] = ((high >>> 20) - exponentBias) * Math.LN2 + below + (above - below) * rest;
    }
  }
}

const entries = 2_048;
const exponentBias = 1_023;
/** Bits of the mantissa in the high word that are not looked up. */
const restBits = 9;
const restMask = (1 << restBits) - 1;
const restScale = 1 / (1 << restBits);
const lowScale = 2 ** -32;

const table = Float64Array.from({ length: entries + 1 }, (_, index) =>
  Math.log(1 + index / entries),
);
/** Of 1 only the high word has bits. */
const highWord = new Uint32Array(new Float64Array([1]).buffer)[1] === 0 ? 0 : 1;
