/** The loaded catalog: an immutable snapshot with look-up by name, alias and nearness. */

import { readFileSync, readdirSync } from 'node:fs';
import { parseJson } from '#std';
import { catalogFileSchema, type Model, type Price } from './model.ts';

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

/** Reads the data files. Throws with file and field when one is wrong: a broken catalog must not start. */
export function loadModels(folder: URL): readonly Model[] {
  const models: Model[] = [];
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.json')) continue;
    const parsed = parseJson(readFileSync(new URL(name, folder), 'utf8'));
    if (!parsed.ok) throw new Error(`catalog file ${name}: ${parsed.message}`);
    const file = catalogFileSchema.safeParse(parsed.value);
    if (!file.success) {
      const issue = file.error.issues[0];
      throw new Error(
        `catalog file ${name}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
      );
    }
    models.push(...file.data.models);
  }
  return models;
}

export function builtInModels(): readonly Model[] {
  return loadModels(new URL('./data/', import.meta.url));
}

export function createCatalog(builtIn: readonly Model[], additions: CatalogAdditions): Catalog {
  const byName = new Map<string, Model>();
  for (const model of builtIn) register(byName, model);
  for (const model of additions.models) register(byName, model);
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
