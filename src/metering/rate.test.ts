import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { usageBuckets, type Usage, type UsageBucket } from '#canonical';
import type { Price, Unit, UnitPrices } from '#catalog';
import { nanoUsd } from '#std';
import { rate, rateLines, unitPrice, type PriceSnapshot } from './rate.ts';

/** 20,000 in the normal suite; `MANIFOLD_RATE_RUNS=10000000` for the long proof. */
const runs = Number(process.env['MANIFOLD_RATE_RUNS'] ?? 20_000);
const seed = 20_261_123;

// ---- an independent calculation in rationals ---------------------------------------------------

type Rational = { readonly numerator: bigint; readonly denominator: bigint };

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

/** The exact amount in nano-USD. */
function exactAmount({ price, atMs, factorMillionths }: PriceSnapshot, usage: Usage): Rational {
  const minute = new Date(atMs).getUTCHours() * 60 + new Date(atMs).getUTCMinutes();
  const input = inputSide.reduce((sum, bucket) => sum + (usage[bucket] ?? 0), 0);
  const merged: Record<string, string | undefined> = { ...price.units };
  for (const { from_minute: from, until_minute: until, units } of price.windows ?? []) {
    if (minute >= from && minute < until) Object.assign(merged, units);
  }
  for (const { above_input_tokens: above, units } of price.tiers ?? []) {
    if (input > above) Object.assign(merged, units);
  }
  let total: Rational = { numerator: 0n, denominator: 1n };
  const add = (quantity: number, text: string | undefined): void => {
    if (text === undefined) return;
    total = plus(total, times({ numerator: BigInt(quantity), denominator: 1n }, rational(text)));
  };
  for (const bucket of usageBuckets) {
    const unit = chains[bucket].find((candidate) => merged[candidate] !== undefined);
    add(usage[bucket] ?? 0, unit === undefined ? undefined : merged[unit]);
  }
  add(1, merged['request']);
  const tier = rational(price.service_tiers?.[usage.serviceTier ?? ''] ?? '1');
  // Dollars per million units → nano-dollars: × 10⁹ / 10⁶; the group's factor is in millionths.
  const scale: Rational = { numerator: 1000n * BigInt(factorMillionths), denominator: 1_000_000n };
  return times(times(total, tier), scale);
}

/** 0 ≤ amount − exact < 1 nano-USD. */
function assertRoundedUpOnce(amount: number, { numerator, denominator }: Rational): void {
  const difference = BigInt(amount) * denominator - numerator;
  assert.ok(difference >= 0n, 'charged less than the exact amount');
  assert.ok(difference < denominator, 'charged a nano-dollar or more above the exact amount');
}

// ---- what is thrown at it ------------------------------------------------------------------------

/** Six decimals, as finely as any vendor writes: with a tier factor of three the product is still whole. */
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
      units: unitPrices,
    }),
    { maxLength: 2 },
  ),
  service_tiers: fc.constant({ flex: '0.5', priority: '1.75' }),
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
  )
  .map(([quantities, serviceTier]) => ({
    ...Object.fromEntries(usageBuckets.map((bucket, index) => [bucket, quantities[index]])),
    serviceTier,
  }));

const factor = fc.oneof(
  fc.constant(1_000_000),
  fc.constant(0),
  fc.integer({ min: 1, max: 10_000_000 }),
);

test(`a charge differs from the exact rational by less than one nano-dollar, always upwards (${runs} cases, seed ${seed})`, () => {
  fc.assert(
    fc.property(
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
    ),
    { seed, numRuns: runs },
  );
});

// ---- one example per rule ------------------------------------------------------------------------

const list: Price = {
  from: '2026-01-01',
  source: 'test',
  units: { input: '2', cache_read: '0.5', output: '10' },
};

function snapshotOf(changes: Partial<Price>, rest: Partial<PriceSnapshot> = {}): PriceSnapshot {
  return {
    version: 'test',
    price: { ...list, ...changes },
    atMs: Date.UTC(2026, 10, 23, 12),
    factorMillionths: 1_000_000,
    ...rest,
  };
}

test('a plain answer costs its tokens', () => {
  const rated = rate(snapshotOf({}), { inputTokens: 1000, cacheReadTokens: 400, outputTokens: 50 });
  assert.equal(rated.amountNanoUsd, 2_000_000 + 200_000 + 500_000);
  assert.deepEqual(rated.lines, [
    { unit: 'input', quantity: 1000, priceNanoUsdPerMillion: 2_000_000_000 },
    { unit: 'cache_read', quantity: 400, priceNanoUsdPerMillion: 500_000_000 },
    { unit: 'output', quantity: 50, priceNanoUsdPerMillion: 10_000_000_000 },
  ]);
});

test('a tier begins above its threshold, counts cached tokens in, and prices the whole request', () => {
  const tiers = [{ above_input_tokens: 200_000, units: { input: '4', output: '20' } }];
  const at = (inputTokens: number, cacheReadTokens: number): number =>
    rate(snapshotOf({ tiers }), { inputTokens, cacheReadTokens, outputTokens: 1 }).amountNanoUsd;
  assert.equal(at(150_000, 50_000), 300_000_000 + 25_000_000 + 10_000);
  assert.equal(at(150_001, 50_000), 600_004_000 + 25_000_000 + 20_000);
  assert.equal(at(150_000, 50_001), 600_000_000 + 25_000_500 + 20_000);
});

test('of two tiers the higher one holds, units it does not name stay as the lower one has them', () => {
  const tiers = [
    { above_input_tokens: 10, units: { input: '3', output: '11' } },
    { above_input_tokens: 20, units: { input: '5' } },
  ];
  assert.equal(
    rate(snapshotOf({ tiers }), { inputTokens: 21, outputTokens: 1 }).amountNanoUsd,
    105_000 + 11_000,
  );
});

test('a daily window holds from its first minute until the last before its end, by the start of the request', () => {
  const windows = [{ from_minute: 60, until_minute: 240, units: { input: '4' } }];
  const at = (hour: number, minute: number, second = 0): number =>
    rate(snapshotOf({ windows }, { atMs: Date.UTC(2026, 10, 23, hour, minute, second) }), {
      inputTokens: 1,
    }).amountNanoUsd;
  assert.equal(at(0, 59, 59), 2000);
  assert.equal(at(1, 0), 4000);
  assert.equal(at(3, 59, 59), 4000);
  assert.equal(at(4, 0), 2000);
});

test('a window that ends at midnight holds in the last minute and not in the first', () => {
  const windows = [{ from_minute: 1380, until_minute: 1440, units: { input: '1' } }];
  const at = (hour: number, minute: number): number =>
    rate(snapshotOf({ windows }, { atMs: Date.UTC(2026, 10, 23, hour, minute) }), {
      inputTokens: 1,
    }).amountNanoUsd;
  assert.equal(at(23, 59), 1000);
  assert.equal(at(0, 0), 2000);
});

test('the tier of service that was served sets the price; one that the book does not name costs the list price', () => {
  const book = { service_tiers: { flex: '0.5', priority: '1.75' } };
  const at = (serviceTier: string | undefined): number =>
    rate(snapshotOf(book), { inputTokens: 100, serviceTier }).amountNanoUsd;
  assert.equal(at('flex'), 100_000);
  assert.equal(at('priority'), 350_000);
  assert.equal(at('default'), 200_000);
  assert.equal(at(undefined), 200_000);
});

test('a tier factor that is no whole number makes a line price that is rounded up, and the receipt agrees', () => {
  const rated = rate(
    snapshotOf({ units: { input: '0.000000001' }, service_tiers: { flex: '0.5' } }),
    {
      inputTokens: 3_000_000,
      serviceTier: 'flex',
    },
  );
  assert.equal(rated.lines[0]?.priceNanoUsdPerMillion, 1);
  assert.equal(rated.amountNanoUsd, 3);
  assert.equal(rateLines(rated.lines, 1_000_000), 3);
});

test('the factor of a group scales the whole charge, and a factor of zero charges nothing', () => {
  const at = (factorMillionths: number): number =>
    rate(snapshotOf({}, { factorMillionths }), { inputTokens: 1000 }).amountNanoUsd;
  assert.equal(at(1_000_000), 2_000_000);
  assert.equal(at(1_500_000), 3_000_000);
  assert.equal(at(333_333), 666_666);
  assert.equal(at(0), 0);
});

test('a unit without a price of its own takes the next one in its line', () => {
  const units: UnitPrices = { input: '2', output: '10' };
  assert.equal(unitPrice(units, 'cache_write_1h'), 2_000_000_000n);
  assert.equal(unitPrice({ ...units, cache_write: '3' }, 'cache_write_1h'), 3_000_000_000n);
  assert.equal(unitPrice(units, 'reasoning'), 10_000_000_000n);
  assert.equal(unitPrice(units, 'output_audio'), 10_000_000_000n);
  assert.equal(unitPrice(units, 'web_search'), undefined);
});

test('what has no price at all is a line of zero, so that it can be seen', () => {
  const rated = rate(snapshotOf({}), { inputTokens: 1, webSearches: 3 });
  assert.deepEqual(rated.lines.at(-1), {
    unit: 'web_search',
    quantity: 3,
    priceNanoUsdPerMillion: 0,
  });
  assert.equal(rated.amountNanoUsd, 2000);
});

test('a price of zero is a price: cached tokens may be free', () => {
  const rated = rate(snapshotOf({ units: { input: '2', cache_read: '0', output: '1' } }), {
    cacheReadTokens: 5000,
  });
  assert.equal(rated.amountNanoUsd, 0);
});

test('searches and requests are priced per million of them like everything else', () => {
  const rated = rate(
    snapshotOf({ units: { input: '1', output: '1', web_search: '10000', request: '12000' } }),
    { webSearches: 2 },
  );
  // $10 a thousand searches, $12 a thousand requests.
  assert.equal(rated.amountNanoUsd, 20_000_000 + 12_000_000);
});

test('nothing used costs nothing, and an amount that is no exact integer is refused', () => {
  assert.equal(rate(snapshotOf({}), {}).amountNanoUsd, 0);
  assert.throws(() => nanoUsd(Number.MAX_SAFE_INTEGER + 2), RangeError);
});
