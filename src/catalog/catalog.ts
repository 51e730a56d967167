/** The loaded catalog: an immutable snapshot with look-up by name, alias and nearness. */

import { readFileSync, readdirSync } from 'node:fs';
import { asObject, asObjects, parseJson, type JsonValue } from '#std';
import { catalogFileSchema, modelDefaults, type Model, type Price } from './model.ts';

export type Offer = {
  /** The model's name at the provider. */
  readonly name: string;
  readonly prices: readonly Price[];
  readonly dialects: readonly string[] | undefined;
};

export type Catalog = {
  readonly models: readonly Model[];
  /** By id or alias; the operator's aliases come first. */
  find(name: string): Model | undefined;
  offer(model: Model, providerId: string): Offer | undefined;
  /** The most similar names, best first. */
  nearest(name: string, limit: number): readonly string[];
};

/** Operator's additions: aliases and whole models, from the configuration. */
export type CatalogAdditions = {
  readonly aliases: Readonly<Record<string, string>>;
  readonly models: readonly Model[];
};

/** A model as the files have it. */
type WrittenModel = Omit<Model, keyof typeof modelDefaults> & Partial<Model>;

const dataFolder = new URL('./data/', import.meta.url);

/**
 * The models that come with the program. The files were checked against the schema when they were
 * made (data.test.ts), so a start reads them as they are; {@link checkedModels} looks again.
 */
export function builtInModels(): readonly Model[] {
  return dataFiles(dataFolder).flatMap(([, file]) => {
    // That these are models once they have the defaults is what `checkedModels` says.
    const models = asObjects(asObject(file)?.['models']) as object[] as WrittenModel[];
    return models.map((model) => ({ ...modelDefaults, ...model }));
  });
}

/** The same under the eyes of the schema. Throws with file and field when one is wrong. */
export function checkedModels(folder: URL = dataFolder): readonly Model[] {
  return dataFiles(folder).flatMap(([name, value]) => {
    const file = catalogFileSchema.safeParse(value);
    if (file.success) return file.data.models;
    const issue = file.error.issues[0];
    throw new Error(
      `catalog file ${name}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
    );
  });
}

function dataFiles(folder: URL): readonly (readonly [name: string, value: JsonValue])[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return names.sort().map((name) => {
    const parsed = parseJson(readFileSync(new URL(name, folder), 'utf8'));
    if (!parsed.ok) throw new Error(`catalog file ${name}: ${parsed.message}`);
    return [name, parsed.value] as const;
  });
}

export function createCatalog(builtIn: readonly Model[], additions: CatalogAdditions): Catalog {
  const byName = new Map<string, Model>();
  for (const model of builtIn) register(byName, model);
  for (const model of additions.models) replace(byName, model);
  for (const [alias, target] of Object.entries(additions.aliases)) {
    const model = byName.get(target);
    if (model) byName.set(alias, model);
  }
  return {
    models: [...new Set(byName.values())],
    find: (name) => byName.get(name),
    offer: (model, providerId) => offerOf(model, providerId),
    nearest: (name, limit) => nearestNames(name, byName.keys(), limit),
  };
}

function register(byName: Map<string, Model>, model: Model): void {
  byName.set(model.id, model);
  for (const alias of model.aliases ?? []) if (!byName.has(alias)) byName.set(alias, model);
}

/** A model of the operator takes the place of one with its id, also under that one's aliases. */
function replace(byName: Map<string, Model>, model: Model): void {
  for (const [name, { id }] of byName) if (id === model.id) byName.set(name, model);
  register(byName, model);
}

function offerOf(model: Model, providerId: string): Offer | undefined {
  const offer = model.offers[providerId];
  if (offer === undefined) return undefined;
  if (typeof offer === 'string')
    return { name: offer, prices: model.prices, dialects: model.dialects };
  return {
    name: offer.name,
    prices: offer.prices ?? model.prices,
    dialects: offer.dialects ?? model.dialects,
  };
}

/** Ranks by shared letter pairs (Dice's coefficient): typing errors and missing suffixes come out near. */
export function nearestNames(
  name: string,
  names: Iterable<string>,
  limit: number,
): readonly string[] {
  const wanted = letterPairs(name);
  const ranked: { readonly name: string; readonly score: number }[] = [];
  for (const candidate of names) {
    const pairs = letterPairs(candidate);
    let shared = 0;
    for (const pair of pairs) if (wanted.has(pair)) shared += 1;
    const score = (2 * shared) / (wanted.size + pairs.size || 1);
    if (score > 0.4) ranked.push({ name: candidate, score });
  }
  ranked.sort((left, right) => right.score - left.score || left.name.localeCompare(right.name));
  return ranked.slice(0, limit).map((entry) => entry.name);
}

function letterPairs(text: string): Set<string> {
  const lower = ` ${text.slice(0, 100).toLowerCase()} `;
  const pairs = new Set<string>();
  for (let index = 0; index + 1 < lower.length; index += 1)
    pairs.add(lower.slice(index, index + 2));
  return pairs;
}

/** The price that holds at a moment: the latest that has begun. */
export function priceAt(prices: readonly Price[], atMs: number): Price | undefined {
  const day = new Date(atMs).toISOString().slice(0, 10);
  let current: Price | undefined;
  for (const price of prices) {
    if (price.from <= day && (!current || price.from >= current.from)) current = price;
  }
  return current;
}
