/** The charge beside the exact rational: a property, run briefly by the gate and at length beside it. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { usageBuckets, type Usage, type UsageBucket } from '#canonical';
import type { Price, Unit, UnitPrices } from '#catalog';
import { rate, rateLines, type PriceSnapshot } from './rate.ts';

export const seed = 20_261_123;

// ---- an independent calculation in rationals ---------------------------------------------------

type Rational = { readonly numerator: bigint; readonly denominator: bigint };

const one: Rational = { numerator: 1n, denominator: 1n };

function rational(decimal: string): Rational {
  const [whole = '0', fraction = ''] = decimal.split('.');
  return { numerator: BigInt(whole + fraction), denominator: 10n ** BigInt(fraction.length) };
}

function times(left: Rational, right: Rational): Rational {
  return {
    numerator: left.numerator * right.numerator,
    denominator: left.denominator * right.denominator,
  };
}

function plus(left: Rational, right: Rational): Rational {
  return {
    numerator: left.numerator * right.denominator + right.numerator * left.denominator,
    denominator: left.denominator * right.denominator,
  };
}

/** Which price a bucket has, written out by hand from the documentation of the price book. */
const chains: { readonly [bucket in UsageBucket]: readonly Unit[] } = {
  inputTokens: ['input'],
  cacheReadTokens: ['cache_read', 'input'],
  cacheWriteTokens: ['cache_write', 'input'],
  cacheWriteLongTokens: ['cache_write_1h', 'cache_write', 'input'],
  outputTokens: ['output'],
  reasoningTokens: ['reasoning', 'output'],
  inputAudioTokens: ['input_audio', 'input'],
  inputImageTokens: ['input_image', 'input'],
  outputAudioTokens: ['output_audio', 'output'],
  outputImageTokens: ['output_image', 'output'],
  webSearches: ['web_search'],
  images: ['image'],
  seconds: ['second'],
  characters: ['character'],
};

const inputSide: readonly UsageBucket[] = [
  'inputTokens',
  'cacheReadTokens',
  'cacheWriteTokens',
  'cacheWriteLongTokens',
  'inputAudioTokens',
  'inputImageTokens',
];

const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/** The exact amount in nano-USD. */
function exactAmount({ price, atMs, factorMillionths }: PriceSnapshot, usage: Usage): Rational {
  const minute = new Date(atMs).getUTCHours() * 60 + new Date(atMs).getUTCMinutes();
  const input = inputSide.reduce((sum, bucket) => sum + (usage[bucket] ?? 0), 0);
  const merged: Record<string, string | undefined> = { ...price.units };
  const today = weekdays[new Date(atMs).getUTCDay()];
  for (const { from_minute: from, until_minute: until, days, units } of price.windows ?? []) {
    const isOnDay = days === undefined || days.some((day) => day === today);
    if (isOnDay && minute >= from && minute < until) Object.assign(merged, units);
  }
  for (const { above_input_tokens: above, units } of price.tiers ?? []) {
    if (input > above) Object.assign(merged, units);
  }
  let total: Rational = { numerator: 0n, denominator: 1n };
  const add = (quantity: number, text: string | undefined, more: Rational): void => {
    if (text === undefined) return;
    const amount = times({ numerator: BigInt(quantity), denominator: 1n }, rational(text));
    total = plus(total, times(amount, more));
  };
  const speed = rational(price.speeds?.[usage.speed ?? ''] ?? '1');
  const ofTokens = times(speed, rational(price.geographies?.[usage.geography ?? ''] ?? '1'));
  for (const bucket of usageBuckets) {
    const unit = chains[bucket].find((candidate) => merged[candidate] !== undefined);
    const more = bucket.endsWith('Tokens') ? ofTokens : one;
    add(usage[bucket] ?? 0, unit === undefined ? undefined : merged[unit], more);
  }
  add(1, merged['request'], one);
  const tier = rational(price.service_tiers?.[usage.serviceTier ?? ''] ?? '1');
  // Dollars per million units → nano-dollars: × 10⁹ / 10⁶; the group's factor is in millionths.
  const scale: Rational = { numerator: 1000n * BigInt(factorMillionths), denominator: 1_000_000n };
  return times(times(total, tier), scale);
}

/** 100,000 USD: nothing is rated higher, whatever a vendor claims. */
const ratedMaxNanoUsd = 100_000n * 1_000_000_000n;

/** 0 ≤ amount − exact < 1 nano-USD, up to the highest amount there is. */
function assertRoundedUpOnce(amount: number, { numerator, denominator }: Rational): void {
  if (numerator > ratedMaxNanoUsd * denominator)
    return assert.equal(BigInt(amount), ratedMaxNanoUsd);
  const difference = BigInt(amount) * denominator - numerator;
  assert.ok(difference >= 0n, 'charged less than the exact amount');
  assert.ok(difference < denominator, 'charged a nano-dollar or more above the exact amount');
}

// ---- what is thrown at it ------------------------------------------------------------------------

/** Six decimals, as finely as any vendor writes: with all the factors of a price the product is still whole. */
const dollars = fc
  .tuple(fc.integer({ min: 0, max: 999 }), fc.integer({ min: 0, max: 999_999 }))
  .map(([whole, millionths]) => `${whole}.${String(millionths).padStart(6, '0')}`);

const unitNames: readonly Unit[] = [
  ...new Set([...Object.values(chains).flat(), 'request'] satisfies Unit[]),
];

const unitPrices: fc.Arbitrary<UnitPrices> = fc
  .array(fc.tuple(fc.constantFrom(...unitNames), dollars), { maxLength: 8 })
  .map((entries) => Object.fromEntries(entries));

const price: fc.Arbitrary<Price> = fc.record({
  from: fc.constant('2026-01-01'),
  source: fc.constant('test'),
  units: unitPrices,
  tiers: fc.array(
    fc.record({
      above_input_tokens: fc.integer({ min: 1, max: 2_000_000 }),
      units: unitPrices,
    }),
    { maxLength: 2 },
  ),
  windows: fc.array(
    fc.record({
      from_minute: fc.integer({ min: 0, max: 1439 }),
      until_minute: fc.integer({ min: 1, max: 1440 }),
      days: fc.option(fc.subarray([...weekdays], { minLength: 1 }), { nil: undefined }),
      units: unitPrices,
    }),
    { maxLength: 2 },
  ),
  service_tiers: fc.constant({ flex: '0.5', priority: '1.75' }),
  speeds: fc.constant({ fast: '2' }),
  geographies: fc.constant({ us: '1.1' }),
});

const quantity = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 2_000_000 }) },
);

const usage: fc.Arbitrary<Usage> = fc
  .tuple(
    fc.tuple(...usageBuckets.map(() => quantity)),
    fc.constantFrom(undefined, 'default', 'flex', 'priority'),
    fc.constantFrom(undefined, 'standard', 'fast'),
    fc.constantFrom(undefined, 'global', 'us'),
  )
  .map(([quantities, serviceTier, speed, geography]) => ({
    ...Object.fromEntries(usageBuckets.map((bucket, index) => [bucket, quantities[index]])),
    serviceTier,
    speed,
    geography,
  }));

const factor = fc.oneof(
  fc.constant(1_000_000),
  fc.constant(0),
  fc.integer({ min: 1, max: 10_000_000 }),
);

export const roundedUpOnce = fc.property(
  price,
  usage,
  factor,
  fc.nat(2_000_000_000),
  (book, used, factorMillionths, second) => {
    const snapshot = { version: 'test', price: book, atMs: second * 1000, factorMillionths };
    const rated = rate(snapshot, used);
    assertRoundedUpOnce(rated.amountNanoUsd, exactAmount(snapshot, used));
    assert.equal(rateLines(rated.lines, factorMillionths), rated.amountNanoUsd);
  },
);
