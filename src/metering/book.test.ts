/** Charges by the built-in book beside what vendors' own pages of prices say. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Usage } from '#canonical';
import { builtInModels, priceAt } from '#catalog';
import { rate } from './rate.ts';

const models = builtInModels();

/** US dollars for a million tokens of input, of cache reads and of output, each alone. */
function dollars(id: string, at: string, served: Usage = {}): readonly number[] {
  const atMs = Date.parse(at);
  const price = priceAt(models.find((model) => model.id === id)?.prices ?? [], atMs);
  assert.ok(price, `${id} has no price`);
  const snapshot = { version: 'test', price, atMs, factorMillionths: 1_000_000 };
  // Of a thousand tokens, so that no tier of sizes is reached.
  return (['inputTokens', 'cacheReadTokens', 'outputTokens'] as const).map(
    (bucket) => rate(snapshot, { ...served, [bucket]: 1000 }).amountNanoUsd / 1e6,
  );
}

test('DeepSeek costs half outside its peak hours, and all of a weekend', () => {
  const flash = [0.15, 0.003, 0.6];
  const flashAtPeak = [0.3, 0.006, 1.2];
  for (const id of ['deepseek-flash', 'deepseek-v4-flash', 'deepseek-chat']) {
    assert.deepEqual(dollars(id, '2026-12-04T05:00Z'), flash, id);
    assert.deepEqual(dollars(id, '2026-12-04T09:59Z'), flashAtPeak, 'a Friday');
    assert.deepEqual(dollars(id, '2026-12-05T07:00Z'), flash, 'a Saturday');
  }
  assert.deepEqual(dollars('deepseek-v4-pro', '2026-12-06T02:00Z'), [0.66, 0.022, 1.98]);
  assert.deepEqual(dollars('deepseek-v4-pro', '2026-12-07T02:00Z'), [1.32, 0.044, 3.96]);
});

test("OpenAI's faster and cheaper tiers cost what its pages say, by either name of the fast one", () => {
  const at = '2026-12-01T12:00Z';
  for (const serviceTier of ['priority', 'fast']) {
    assert.deepEqual(dollars('gpt-5.6-sol', at, { serviceTier }), [8, 0.8, 40]);
    assert.deepEqual(dollars('gpt-5.6-luna', at, { serviceTier }), [0.4, 0.04, 2.4]);
    assert.deepEqual(dollars('gpt-6-astra', at, { serviceTier }), [20, 2, 100]);
    assert.deepEqual(dollars('gpt-6.1-sol', at, { serviceTier }), [4, 0.2, 20]);
  }
  assert.deepEqual(dollars('gpt-6.1-sol', at, { serviceTier: 'flex' }), [1, 0.05, 5]);
  assert.deepEqual(dollars('gpt-6-astra', at, { serviceTier: 'ultrafast' }), [60, 6, 300]);
  assert.deepEqual(dollars('gpt-6.2-sol', at, { serviceTier: 'ultrafast' }), [6, 0.3, 30]);
  assert.deepEqual(
    dollars('gpt-6.2-sol', '2027-03-01T00:00Z', { serviceTier: 'ultrafast' })[0],
    12,
  );
});

test('flex inference of Gemini costs half, and priority more than three quarters above the list', () => {
  const at = '2026-12-01T12:00Z';
  assert.deepEqual(dollars('gemini-2.5-pro', at, { serviceTier: 'flex' }), [0.625, 0.0625, 5]);
  assert.deepEqual(dollars('gemini-2.5-pro', at, { serviceTier: 'priority' }), [2.25, 0.225, 18]);
  assert.deepEqual(dollars('gemini-2.5-pro', at, { serviceTier: 'standard' }), [1.25, 0.125, 10]);
});
