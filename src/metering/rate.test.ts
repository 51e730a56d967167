import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Usage } from '#canonical';
import type { Price, UnitPrices } from '#catalog';
import { nanoUsd } from '#std';
import { roundedUpOnce, seed } from './rate-rig.ts';
import { rate, rateLines, unitPrice, type PriceSnapshot } from './rate.ts';

test('a charge differs from the exact rational by less than one nano-dollar, always upwards', () => {
  fc.assert(roundedUpOnce, { seed, numRuns: 1_000 });
});

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

test('a window of working days does not hold at the weekend, by the day in UTC', () => {
  const days = ['mon', 'tue', 'wed', 'thu', 'fri'] as const;
  const windows = [{ from_minute: 0, until_minute: 1440, days: [...days], units: { input: '4' } }];
  const on = (day: number, hour: number): number =>
    rate(snapshotOf({ windows }, { atMs: Date.UTC(2026, 10, day, hour) }), { inputTokens: 1 })
      .amountNanoUsd;
  assert.equal(on(27, 23), 4000, 'Friday night');
  assert.equal(on(28, 0), 2000, 'Saturday');
  assert.equal(on(29, 23), 2000, 'Sunday night');
  assert.equal(on(30, 0), 4000, 'Monday');
});

test('the tier of service that was served sets the price; one that the book does not name costs the list price', () => {
  const book = { service_tiers: { flex: '0.5', priority: '1.75' } };
  const at = (serviceTier: string | undefined): number =>
    rate(snapshotOf(book), { inputTokens: 100, serviceTier }).amountNanoUsd;
  assert.equal(at('flex'), 100_000);
  assert.equal(at('priority'), 350_000);
  assert.equal(at('fast'), 350_000, 'the new name of priority processing');
  assert.equal(at('default'), 200_000);
  assert.equal(at(undefined), 200_000);
});

test('speed and geography multiply what tokens cost, one upon the other, and not a web search', () => {
  const units = { input: '4', cache_read: '0.2', output: '20', web_search: '10000' };
  const priced = snapshotOf({ units, speeds: { fast: '2' }, geographies: { us: '1.1' } });
  const amount = (usage: Usage): number => rate(priced, usage).amountNanoUsd;
  const used = { inputTokens: 10, cacheReadTokens: 100, outputTokens: 5 };
  const list = 40_000 + 20_000 + 100_000;
  assert.equal(amount({ ...used, speed: 'standard', geography: 'global' }), list);
  assert.equal(amount({ ...used, speed: 'fast', geography: 'not_available' }), list * 2);
  assert.equal(amount({ ...used, geography: 'us' }), list * 1.1);
  assert.equal(amount({ ...used, speed: 'fast', geography: 'us' }), list * 2.2);
  assert.equal(amount({ webSearches: 1, speed: 'fast', geography: 'us' }), 10_000_000);
  const { lines } = rate(priced, { ...used, speed: 'fast', geography: 'us' });
  assert.equal(lines[0]?.priceNanoUsdPerMillion, 8_800_000_000);
});

test('a service tier by the name of what every object has costs the list price', () => {
  const snapshot = snapshotOf({ service_tiers: { flex: '0.5' } });
  for (const serviceTier of ['constructor', '__proto__', 'toString'])
    assert.equal(rate(snapshot, { inputTokens: 1000, serviceTier }).amountNanoUsd, 2_000_000);
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

test('whatever a vendor claims is rated at 100,000 USD at most, so that the costs of many calls add up exactly', () => {
  const claimed = rate(snapshotOf({}), { outputTokens: Number.MAX_SAFE_INTEGER });
  assert.equal(claimed.amountNanoUsd, 100_000_000_000_000);
  assert.equal(rateLines(claimed.lines, 1_000_000), claimed.amountNanoUsd);
  assert.ok(Number.isSafeInteger(claimed.amountNanoUsd * 65), 'of all attempts of a request');
});

test('nothing used costs nothing, and an amount that is no exact integer is refused', () => {
  assert.equal(rate(snapshotOf({}), {}).amountNanoUsd, 0);
  assert.throws(() => nanoUsd(Number.MAX_SAFE_INTEGER + 2), RangeError);
});
