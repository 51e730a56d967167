import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtInModels, createCatalog, nearestNames, priceAt } from './catalog.ts';
import { modelSchema, type Price } from './model.ts';

const noAdditions = { aliases: {}, models: [] };
const millisecondsPerDay = 86_400_000;

function priceFrom(from: string, input: string): Price {
  return { from, source: 'test', units: { input } };
}

test('a window that ends before it starts would never hold, and is refused', () => {
  const windowed = (from_minute: number, until_minute: number): boolean =>
    modelSchema.safeParse({
      id: 'night',
      vendor: 'own',
      offers: {},
      prices: [
        { ...priceFrom('2026-01-01', '1'), windows: [{ from_minute, until_minute, units: {} }] },
      ],
    }).success;
  assert.ok(windowed(1_380, 1_440));
  assert.ok(!windowed(1_380, 240));
  assert.ok(!windowed(60, 60));
});

test('an alias finds its model, and a name that nobody has finds none', () => {
  const catalog = createCatalog(builtInModels(), noAdditions);
  assert.equal(catalog.find('gpt-5.2-2025-12-11')?.id, 'gpt-5.2');
  assert.equal(catalog.find('claude-haiku-4-5-20251001')?.id, 'claude-haiku-4-5');
  assert.equal(catalog.find('gpt-5.2-proo'), undefined);
});

test('the nearest names of a typing error begin with what was meant', () => {
  const catalog = createCatalog(builtInModels(), noAdditions);
  assert.equal(catalog.nearest('gpt-5.2-proo', 3)[0], 'gpt-5.2-pro');
  assert.equal(catalog.nearest('gemini-3.6-flahs', 3)[0], 'gemini-3.6-flash');
  assert.equal(catalog.nearest('claude-opus-46', 3)[0], 'claude-opus-4-6');
  assert.deepEqual(nearestNames('zzzz', ['gpt-4o'], 3), []);
});

test("an operator's alias goes before the built-in name, and his model replaces ours", () => {
  const own = modelSchema.parse({ id: 'gpt-4o', vendor: 'own', offers: {} });
  const catalog = createCatalog(builtInModels(), {
    aliases: { 'gpt-5.2': 'claude-opus-4-6', cheap: 'gpt-5-nano', lost: 'no-such-model' },
    models: [own],
  });
  assert.equal(catalog.find('gpt-5.2')?.id, 'claude-opus-4-6');
  assert.equal(catalog.find('cheap')?.id, 'gpt-5-nano');
  assert.equal(catalog.find('lost'), undefined);
  assert.equal(catalog.find('gpt-4o')?.vendor, 'own');
  assert.equal(catalog.find('gpt-4o-2024-08-06')?.vendor, 'own', 'also by an alias of ours');
  assert.equal(catalog.models.filter(({ id }) => id === 'gpt-4o').length, 1);
});

test('an offer has its own price and dialects where it says so, and the list price where not', () => {
  const catalog = createCatalog(builtInModels(), noAdditions);
  const codex = catalog.find('gpt-5.3-codex');
  assert.ok(codex);
  assert.deepEqual(catalog.offer(codex, 'openai')?.dialects, ['openai-responses']);
  assert.deepEqual(catalog.offer(codex, 'openrouter')?.dialects, [
    'openai-chat',
    'openai-responses',
  ]);
  const open = catalog.find('gpt-oss-120b');
  assert.ok(open);
  assert.equal(catalog.offer(open, 'groq')?.prices[0]?.units.input, '0.15');
  assert.deepEqual(catalog.offer(open, 'huggingface')?.prices, []);
  assert.equal(catalog.offer(open, 'anthropic'), undefined);
});

test('a price holds from the first moment of its day (UTC) until the next one begins', () => {
  const prices = [priceFrom('2026-12-01', '4'), priceFrom('2026-01-01', '2')];
  const start = Date.UTC(2026, 11, 1);
  assert.equal(priceAt(prices, start - 1)?.units.input, '2');
  assert.equal(priceAt(prices, start)?.units.input, '4');
  assert.equal(priceAt(prices, Date.UTC(2026, 0, 1) - 1), undefined);
  assert.equal(priceAt([], start), undefined);
});

test('of two prices of one day the later in the list holds', () => {
  const prices = [priceFrom('2026-01-01', '1'), priceFrom('2026-01-01', '2')];
  assert.equal(priceAt(prices, Date.UTC(2026, 0, 1) + millisecondsPerDay)?.units.input, '2');
});
