/** What a foreign price book says otherwise than the catalog, and what would be written for it. */

import { priceAt, type Model, type Price, type UnitPrices } from '#catalog';
import { sameDecimal } from './decimal.ts';
import type { ForeignBook, ForeignPrice } from './foreign.ts';

/** Ids by which the two data sets call whom the catalog calls by its vendor or provider. */
const vendorNames: { readonly [ours: string]: readonly string[] } = {
  openai: ['openai'],
  anthropic: ['anthropic'],
  google: ['google', 'gemini'],
  moonshot: ['moonshotai', 'moonshot'],
  deepseek: ['deepseek'],
  xai: ['x-ai', 'xai'],
  mistral: ['mistral'],
  minimax: ['minimax'],
  cohere: ['cohere', 'cohere_chat'],
  zhipu: ['zhipu', 'zai'],
  qwen: ['dashscope'],
  groq: ['groq'],
  cerebras: ['cerebras'],
  together: ['together', 'together_ai'],
  fireworks: ['fireworks', 'fireworks_ai'],
  openrouter: ['openrouter'],
};

export type Change = {
  readonly model: string;
  /** Provider whose own price it is; the list price of the vendor when absent. */
  readonly provider?: string;
  /** `input 1.75 → 1.5`, or what else is different, for people. */
  readonly words: readonly string[];
  /** The version to be written; `undefined` when it must be set by hand, and why stands in `words`. */
  readonly version: Omit<Price, 'from' | 'source'> | undefined;
};

export type Comparison = {
  readonly changes: readonly Change[];
  readonly same: number;
  /** Prices of the catalog that the other book does not have. */
  readonly missing: readonly string[];
};

/** Models are compared by exact name or alias: a prefix would give a new model an old one's price. */
export function compareBooks(
  models: readonly Model[],
  book: ForeignBook,
  atMs: number,
): Comparison {
  const known = new Map(book.prices.map((price) => [`${price.vendor} ${price.model}`, price]));
  const changes: Change[] = [];
  const missing: string[] = [];
  let same = 0;
  const judge = (
    id: string,
    provider: string | undefined,
    current: Price | undefined,
    foreign: ForeignPrice | undefined,
  ): void => {
    if (!foreign) {
      if (current) missing.push(provider === undefined ? id : `${id} at ${provider}`);
      return;
    }
    const change = changeOf(id, provider, current, foreign);
    if (change) changes.push(change);
    else same += 1;
  };
  for (const model of models) {
    const listed = find(known, model.vendor, [model.id, ...(model.aliases ?? [])]);
    if (listed !== undefined || model.prices.length > 0)
      judge(model.id, undefined, priceAt(model.prices, atMs), listed);
    for (const [provider, offer] of Object.entries(model.offers)) {
      if (typeof offer === 'string' || offer.prices === undefined) continue;
      const hosted = find(known, provider, [
        offer.name,
        offer.name.split('/').at(-1) ?? offer.name,
      ]);
      if (hosted !== undefined || offer.prices.length > 0)
        judge(model.id, provider, priceAt(offer.prices, atMs), hosted);
    }
  }
  return { changes, same, missing };
}

function find(
  known: ReadonlyMap<string, ForeignPrice>,
  ours: string,
  names: readonly string[],
): ForeignPrice | undefined {
  for (const vendor of vendorNames[ours] ?? [ours]) {
    for (const name of names) {
      const found = known.get(`${vendor} ${name}`);
      if (found) return found;
    }
  }
  return undefined;
}

function changeOf(
  model: string,
  provider: string | undefined,
  current: Price | undefined,
  foreign: ForeignPrice,
): Change | undefined {
  const words = [
    ...unitWords(current?.units ?? {}, foreign.units, ''),
    ...tierWords(current?.tiers ?? [], foreign.tiers ?? []),
    ...windowWords(current?.windows ?? [], foreign.windows),
  ];
  if (words.length === 0) return undefined;
  const place = provider === undefined ? {} : { provider };
  if (current?.windows && foreign.windows === undefined) {
    return {
      model,
      ...place,
      words: [...words, 'has daily windows that the other book does not know: set it by hand'],
      version: undefined,
    };
  }
  return { model, ...place, words, version: versionOf(current, foreign) };
}

/** Units that only the catalog knows are kept: the other book does not deny them. */
function unitWords(ours: UnitPrices, theirs: UnitPrices, where: string): string[] {
  return Object.entries(theirs).flatMap(([unit, price]) => {
    const before = ours[unit as keyof UnitPrices];
    return sameDecimal(before, price) ? [] : [`${where}${unit} ${before ?? 'none'} → ${price}`];
  });
}

type Tiers = NonNullable<Price['tiers']>;

function tierWords(ours: Tiers, theirs: Tiers): string[] {
  if (theirs.length === 0) return ours.length === 0 ? [] : ['no tiers any more'];
  const added = theirs.flatMap(({ above_input_tokens: above, units }) => {
    // One token more or less is how the books write «above» and «from».
    const before = ours.find((tier) => Math.abs(tier.above_input_tokens - above) <= 1);
    return unitWords(before?.units ?? {}, units, `above ${above} `);
  });
  return ours.length > theirs.length ? [...added, 'fewer tiers'] : added;
}

type Windows = NonNullable<Price['windows']>;

function windowWords(ours: Windows, theirs: Windows | undefined): string[] {
  return (theirs ?? []).flatMap((window) => {
    const { from_minute: from, until_minute: until, units } = window;
    return unitWords(sameHours(ours, window)?.units ?? {}, units, `minute ${from} to ${until} `);
  });
}

/** No other book knows days of the week. */
function withDays(ours: Windows): (window: Windows[number]) => Windows[number] {
  return (window) => {
    const days = sameHours(ours, window)?.days;
    return days === undefined ? window : { ...window, days };
  };
}

function sameHours(ours: Windows, { from_minute: from, until_minute: until }: Windows[number]) {
  return ours.find((window) => window.from_minute === from && window.until_minute === until);
}

function versionOf(
  current: Price | undefined,
  { units, tiers, windows }: ForeignPrice,
): Change['version'] {
  const { service_tiers: keptTiers, speeds, geographies } = current ?? {};
  return {
    units: { ...current?.units, ...units },
    ...(tiers === undefined ? {} : { tiers }),
    ...(windows === undefined ? {} : { windows: windows.map(withDays(current?.windows ?? [])) }),
    ...(keptTiers === undefined ? {} : { service_tiers: keptTiers }),
    ...(speeds === undefined ? {} : { speeds }),
    ...(geographies === undefined ? {} : { geographies }),
  };
}
