import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { catalogFileSchema, modelSchema, type Model } from '#catalog';
import { parseJson, type JsonValue } from '#std';
import { compareBooks, type Change } from './prices/compare.ts';
import { sameDecimal, shiftDecimal } from './prices/decimal.ts';
import { readBook } from './prices/foreign.ts';
import { addVersions, formatCatalog } from './prices/write.ts';

test('a decimal point moves without a float in between', () => {
  const cases: readonly (readonly [number, number, string])[] = [
    [1.75e-6, 6, '1.75'],
    [1.1e-6, 6, '1.1'],
    [2.5e-7, 6, '0.25'],
    [3.625e-9, 6, '0.003625'],
    [0.00001, 6, '10'],
    [0.04, 6, '40000'],
    [10, 3, '10000'],
    [0.0028, 0, '0.0028'],
    [0, 6, '0'],
    [1e21, 0, '1000000000000000000000'],
  ];
  for (const [value, places, text] of cases) assert.equal(shiftDecimal(value, places), text);
  for (const wrong of [-1, Number.NaN, '1', null, undefined])
    assert.equal(shiftDecimal(wrong, 6), undefined);
  assert.ok(sameDecimal('1.50', '1.5') && sameDecimal('2', '2.0') && !sameDecimal('10', '1'));
});

const genai: JsonValue = [
  {
    id: 'openai',
    models: [
      {
        id: 'gpt-a',
        prices: {
          input_mtok: { base: 2, tiers: [{ start: 200_000, price: 4 }] },
          output_mtok: 8,
          web_searches_kcount: 10,
        },
      },
      {
        id: 'gpt-b',
        prices: [
          { prices: { input_mtok: 1, output_mtok: 2 } },
          {
            constraint: { type: 'start_date', start_date: '2026-06-01' },
            prices: { input_mtok: 0.5, output_mtok: 1 },
          },
          {
            constraint: { type: 'start_date', start_date: '2027-01-01' },
            prices: { input_mtok: 9, output_mtok: 9 },
          },
          {
            constraint: { type: 'time_of_date', start_time: '01:00:00Z', end_time: '04:30:00Z' },
            prices: { input_mtok: 1, output_mtok: 2 },
          },
        ],
      },
      { id: 'gpt-free', prices: {} },
    ],
  },
];

test('the form of genai-prices is read: tiers, dates, hours, thousands', () => {
  const book = readBook(genai, '2026-11-23');
  assert.equal(book?.form, 'genai-prices');
  assert.deepEqual(book?.prices, [
    {
      vendor: 'openai',
      model: 'gpt-a',
      units: { input: '2', output: '8', web_search: '10000' },
      tiers: [{ above_input_tokens: 200_000, units: { input: '4' } }],
    },
    {
      vendor: 'openai',
      model: 'gpt-b',
      units: { input: '0.5', output: '1' },
      windows: [{ from_minute: 60, until_minute: 270, units: { input: '1', output: '2' } }],
    },
  ]);
});

test('the form of LiteLLM is read: dollars per token, tiers in the names, vendors before them', () => {
  const book = readBook(
    {
      sample_spec: { mode: 'one of chat, embedding' },
      'gpt-a': {
        litellm_provider: 'openai',
        input_cost_per_token: 2e-6,
        output_cost_per_token: 8e-6,
        input_cost_per_token_above_200k_tokens: 4e-6,
        cache_creation_input_token_cost_above_1hr: 5e-6,
        max_tokens: 1000,
      },
      'xai/grok-a': {
        litellm_provider: 'xai',
        input_cost_per_token: 1e-7,
        output_cost_per_token: 5e-7,
      },
      'nothing-known': { litellm_provider: 'openai' },
    },
    '2026-11-23',
  );
  assert.equal(book?.form, 'litellm');
  assert.deepEqual(book?.prices, [
    {
      vendor: 'openai',
      model: 'gpt-a',
      units: { input: '2', output: '8', cache_write_1h: '5' },
      tiers: [{ above_input_tokens: 200_000, units: { input: '4' } }],
    },
    { vendor: 'xai', model: 'grok-a', units: { input: '0.1', output: '0.5' } },
  ]);
  assert.equal(readBook({ a: 1 }, '2026-11-23'), undefined);
  assert.equal(readBook('text', '2026-11-23'), undefined);
});

function modelOf(id: string, units: Record<string, string>, more: object = {}): Model {
  return modelSchema.parse({
    id,
    vendor: 'openai',
    offers: { openai: id },
    prices: [{ from: '2026-01-01', source: 'test', units, ...more }],
  });
}

const atMs = Date.UTC(2026, 10, 23);

function compare(...models: Model[]) {
  const book = readBook(genai, '2026-11-23');
  assert.ok(book);
  return compareBooks(models, book, atMs);
}

test('what differs is said in words, what only we know is kept, and near names are not compared', () => {
  const tiers = [{ above_input_tokens: 199_999, units: { input: '4' } }];
  const { changes, same, missing } = compare(
    modelOf(
      'gpt-a',
      { input: '3', output: '8.0', cache_read: '0.3' },
      { tiers, service_tiers: { flex: '0.5' }, speeds: { fast: '2' } },
    ),
    modelOf('gpt-a-mini', { input: '1', output: '1' }),
  );
  assert.equal(same, 0);
  assert.deepEqual(missing, ['gpt-a-mini']);
  assert.deepEqual(changes, [
    {
      model: 'gpt-a',
      words: ['input 3 → 2', 'web_search none → 10000'],
      version: {
        units: { input: '2', output: '8', cache_read: '0.3', web_search: '10000' },
        tiers: [{ above_input_tokens: 200_000, units: { input: '4' } }],
        service_tiers: { flex: '0.5' },
        speeds: { fast: '2' },
      },
    },
  ] satisfies Change[]);
});

test('equal prices are no change, and new windows and tiers are', () => {
  const windows = [{ from_minute: 60, until_minute: 270, units: { input: '1', output: '2' } }];
  assert.equal(compare(modelOf('gpt-b', { input: '0.5', output: '1' }, { windows })).same, 1);
  const [change] = compare(modelOf('gpt-b', { input: '0.5', output: '1' })).changes;
  assert.deepEqual(change?.words, [
    'minute 60 to 270 input none → 1',
    'minute 60 to 270 output none → 2',
  ]);
});

test('new prices of hours that hold on some days of the week only are put on those days', () => {
  const windows = [{ from_minute: 60, until_minute: 270, days: ['mon'], units: { input: '6' } }];
  const [change] = compare(modelOf('gpt-b', { input: '0.5', output: '1' }, { windows })).changes;
  assert.deepEqual(change?.version?.windows, [
    { from_minute: 60, until_minute: 270, units: { input: '1', output: '2' }, days: ['mon'] },
  ]);
});

test('a model with windows that the other book does not know is left to a person', () => {
  const windows = [{ from_minute: 60, until_minute: 240, units: { input: '6' } }];
  const [change] = compare(modelOf('gpt-a', { input: '3', output: '8' }, { windows })).changes;
  assert.equal(change?.version, undefined);
  assert.match(change?.words.at(-1) ?? '', /by hand/);
});

test('a host of an open model has a price of its own, which is compared by the name there', () => {
  const model = modelSchema.parse({
    id: 'open-model',
    vendor: 'meta',
    offers: {
      openai: {
        name: 'gpt-b',
        prices: [{ from: '2026-01-01', source: 'test', units: { input: '0.4', output: '1' } }],
      },
    },
  });
  const [change] = compare(model).changes;
  assert.equal(change?.provider, 'openai');
  assert.equal(change?.words[0], 'input 0.4 → 0.5');
});

test('applying adds a version after the others, leaves them as they are, and refuses a day that has a price', () => {
  const model = modelOf('gpt-a', { input: '3', output: '8' });
  const file = { sources: [], models: [model] };
  const changes: Change[] = [
    { model: 'gpt-a', words: [], version: { units: { input: '2', output: '8' } } },
  ];
  const first = addVersions(file, changes, '2026-11-24', 'data.json');
  assert.equal(first.added, 1);
  assert.deepEqual(first.file.models[0]?.prices, [
    ...model.prices,
    { from: '2026-11-24', source: 'data.json', units: { input: '2', output: '8' } },
  ]);
  for (const day of ['2026-11-24', '2026-11-23']) {
    const again = addVersions(first.file, changes, day, 'data.json');
    assert.equal(again.added, 0);
    assert.deepEqual(again.refused, ['gpt-a: a price from 2026-11-24 is there already']);
    assert.deepEqual(again.file, first.file);
  }
});

test('the data files are in the form that this tool writes, so that a change is a small diff', () => {
  const folder = path.join(import.meta.dirname, '..', 'src', 'catalog', 'data');
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.json') || name === 'simulator.json') continue;
    const text = readFileSync(path.join(folder, name), 'utf8');
    const parsed = parseJson(text);
    assert.ok(parsed.ok, name);
    assert.equal(formatCatalog(parsed.value), text, name);
    assert.ok(catalogFileSchema.safeParse(parsed.value).success, name);
  }
});
