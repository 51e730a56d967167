/** The data files against everything they name: providers, dialects, quirks, and each other. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as dialects from '#dialects';
import type { Dialect } from '#dialects';
import { providersById } from '#providers';
import { parseUsd } from '#std';
import { builtInModels, checkedModels } from './catalog.ts';
import type { Model, Price, UnitPrices } from './model.ts';

const models = builtInModels();
const dialectsById = new Map(
  Object.values<unknown>(dialects)
    .filter(
      (value): value is Dialect =>
        typeof value === 'object' && value !== null && 'quirkNames' in value && 'id' in value,
    )
    .map((dialect) => [dialect.id as string, dialect]),
);

function pricesOf(model: Model): readonly Price[] {
  const offers = Object.values(model.offers);
  return [
    ...model.prices,
    ...offers.flatMap((offer) => (typeof offer === 'string' ? [] : (offer.prices ?? []))),
  ];
}

function complain(find: (model: Model) => readonly string[]): void {
  assert.deepEqual(
    models.flatMap((model) => find(model).map((complaint) => `${model.id}: ${complaint}`)),
    [],
  );
}

test('the files keep to the schema, and a start reads what the schema reads', () => {
  assert.deepEqual(models, checkedModels());
});

test('no name means two models', () => {
  const owners = new Map<string, string>();
  complain((model) =>
    [model.id, ...(model.aliases ?? [])].filter((name) => {
      const taken = owners.has(name);
      owners.set(name, model.id);
      return taken;
    }),
  );
});

test('every offer names a provider that is there, and every provider but the nameless has an offer or needs none', () => {
  complain((model) => Object.keys(model.offers).filter((id) => providersById[id] === undefined));
  const offered = new Set(models.flatMap((model) => Object.keys(model.offers)));
  const silent = Object.keys(providersById).filter(
    (id) => !id.startsWith('compatible-') && id !== 'vllm' && !offered.has(id),
  );
  assert.deepEqual(silent, []);
});

test('every offer can be spoken to: the provider has a dialect and an operation for it', () => {
  complain((model) =>
    Object.entries(model.offers).flatMap(([id, offer]) => {
      const name = typeof offer === 'string' ? offer : offer.name;
      const allowed = (typeof offer === 'string' ? undefined : offer.dialects) ?? model.dialects;
      return model.operations
        .filter((operation) => {
          const ways = providersById[id]?.speaks.filter(
            (speech) =>
              speech.operation === operation &&
              (operation !== 'chat' || (allowed?.includes(speech.dialect) ?? true)) &&
              (speech.models?.(name) ?? true),
          );
          return ways === undefined || ways.length === 0;
        })
        .map((operation) => `${id} has no way to speak for ${operation}`);
    }),
  );
});

test('every dialect and every quirk is one that the code knows', () => {
  complain((model) => {
    const named = [
      ...(model.dialects ?? []),
      ...(model.tools_dialect === undefined ? [] : [model.tools_dialect]),
      ...Object.keys(model.quirks ?? {}),
    ];
    const strangers = named.filter((id) => !dialectsById.has(id));
    const quirks = Object.entries(model.quirks ?? {}).flatMap(([id, values]) =>
      Object.keys(values).filter((name) => !dialectsById.get(id)?.quirkNames.includes(name)),
    );
    return [...strangers, ...quirks];
  });
});

/** Pairs that must not be the other way round: a misplaced decimal point is caught by them. */
function oddUnits(units: UnitPrices): string[] {
  const amount = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : parseUsd(text);
  const input = amount(units.input);
  const output = amount(units.output);
  const read = amount(units.cache_read);
  const write = amount(units.cache_write);
  const long = amount(units.cache_write_1h);
  return [
    ...(input !== undefined && read !== undefined && read > input
      ? ['cache reads dearer than input']
      : []),
    ...(input !== undefined && write !== undefined && write < input
      ? ['cache writes cheaper than input']
      : []),
    ...(write !== undefined && long !== undefined && long < write
      ? ['long writes cheaper than short']
      : []),
    ...(output !== undefined && output > 1_000_000_000_000
      ? ['output above $1,000 a million']
      : []),
  ];
}

test('no price is implausible', () => {
  // The vendor counts its cache apart from its speed; its list says so of two models.
  const known = new Set([
    'MiniMax-M2.7-highspeed: cache writes cheaper than input',
    'MiniMax-M2.5-highspeed: cache writes cheaper than input',
  ]);
  complain((model) =>
    pricesOf(model)
      .flatMap((price) => [price.units, ...(price.tiers ?? []).map(({ units }) => units)])
      .flatMap(oddUnits)
      .filter((complaint) => !known.has(`${model.id}: ${complaint}`)),
  );
});

test('a chat model with a price has one for input and for output', () => {
  complain((model) =>
    model.operations.includes('embeddings')
      ? []
      : pricesOf(model)
          .filter(({ units }) => units.input === undefined || units.output === undefined)
          .map(({ from }) => `the price of ${from} lacks input or output`),
  );
});

test('a model that takes or makes sound or pictures by the token has a price for them, or its input price covers them', () => {
  complain((model) =>
    model.prices
      .filter(({ units }) =>
        model.output.some(
          (kind) =>
            (kind === 'audio' && units.output_audio === undefined) ||
            (kind === 'image' && units.output_image === undefined),
        ),
      )
      .map(({ from }) => `the price of ${from} has none for what it makes`),
  );
});

test('tiers rise, windows lie within the day and do not overlap, versions are of different days', () => {
  complain((model) =>
    [
      model.prices,
      ...Object.values(model.offers).map((offer) =>
        typeof offer === 'string' ? [] : (offer.prices ?? []),
      ),
    ].flatMap((versions) => {
      const days = versions.map(({ from }) => from);
      return [
        ...(new Set(days).size === days.length ? [] : ['two versions of one day']),
        ...versions.flatMap(disorder),
      ];
    }),
  );
});

function disorder({ tiers = [], windows = [] }: Price): string[] {
  const thresholds = tiers.map(({ above_input_tokens: above }) => above);
  const rising = thresholds.every((above, index) => above > (thresholds[index - 1] ?? 0));
  const apart = windows.every(
    (window, index) =>
      window.from_minute < window.until_minute &&
      window.from_minute >= (windows[index - 1]?.until_minute ?? 0),
  );
  return [...(rising ? [] : ['tiers do not rise']), ...(apart ? [] : ['windows overlap'])];
}

test('the models that the product promises are there with their prices', () => {
  const promised: readonly (readonly [string, string, string])[] = [
    ['gpt-5.2-pro', '21', '168'],
    ['gpt-5.3-codex', '1.75', '14'],
    ['claude-opus-4-6', '5', '25'],
    ['kimi-k2.5', '0.6', '3'],
    ['gpt-3.5-turbo', '0.5', '1.5'],
    ['gpt-6-sol', '2', '10'],
    ['gemini-3.1-pro-preview', '2', '12'],
  ];
  for (const [id, input, output] of promised) {
    const units = models.find((model) => model.id === id)?.prices.at(-1)?.units;
    assert.deepEqual([id, units?.input, units?.output], [id, input, output]);
  }
  const priced = models.filter((model) => pricesOf(model).length > 0).length;
  process.stdout.write(`catalog: ${models.length} models, ${priced} with a price\n`);
});
