/**
 * Public price data sets, read into the units of the catalog. Two forms are known: the list of vendors
 * of genai-prices (dollars per million) and the table of models of LiteLLM (dollars per unit).
 */

import type { Price, UnitPrices } from '#catalog';
import { asArray, asObject, asObjects, asString, type JsonObject, type JsonValue } from '#std';
import { shiftDecimal } from './decimal.ts';

/** The price of one model at one vendor or host as the data set has it, for one moment. */
export type ForeignPrice = Pick<Price, 'units' | 'tiers' | 'windows'> & {
  /** Vendor by the data set's own id. */
  readonly vendor: string;
  readonly model: string;
};

type Form = 'genai-prices' | 'litellm';

export type ForeignBook = { readonly form: Form; readonly prices: readonly ForeignPrice[] };

/** `undefined` when the data have neither form. `day`: which dated price is read (YYYY-MM-DD). */
export function readBook(data: JsonValue, day: string): ForeignBook | undefined {
  const vendors = asArray(data) ?? asArray(asObject(data)?.['providers']);
  if (vendors)
    return {
      form: 'genai-prices',
      prices: asObjects(vendors).flatMap((vendor) => readVendor(vendor, day)),
    };
  const table = asObject(data);
  if (!table) return undefined;
  const prices = Object.entries(table).flatMap(([name, entry]) =>
    readTableEntry(name, asObject(entry)),
  );
  return prices.length > 0 ? { form: 'litellm', prices } : undefined;
}

// ---- genai-prices ------------------------------------------------------------------------------

const perMillion: { readonly [key: string]: keyof UnitPrices } = {
  input_mtok: 'input',
  cache_read_mtok: 'cache_read',
  cache_write_mtok: 'cache_write',
  cache_write_1h_mtok: 'cache_write_1h',
  output_mtok: 'output',
  output_reasoning_mtok: 'reasoning',
  input_audio_mtok: 'input_audio',
  input_image_mtok: 'input_image',
  output_audio_mtok: 'output_audio',
  output_image_mtok: 'output_image',
};
const perThousand: { readonly [key: string]: keyof UnitPrices } = {
  web_searches_kcount: 'web_search',
  requests_kcount: 'request',
};

function readVendor(vendor: JsonObject, day: string): ForeignPrice[] {
  const id = asString(vendor['id']) ?? '';
  return asObjects(vendor['models']).flatMap((model) => {
    const price = readModelPrices(model['prices'], day);
    const name = asString(model['id']);
    return price === undefined || name === undefined ? [] : [{ vendor: id, model: name, ...price }];
  });
}

type Tiered = Pick<Price, 'units' | 'tiers' | 'windows'>;

/** One object, or a list of objects with the conditions under which they hold: the last that has begun. */
function readModelPrices(value: JsonValue | undefined, day: string): Tiered | undefined {
  const single = asObject(value);
  if (single) return readUnits(single);
  let found: Tiered | undefined;
  const windows: NonNullable<Price['windows']> = [];
  for (const entry of asObjects(value)) {
    const condition = asObject(entry['constraint']);
    const prices = asObject(entry['prices']) ?? {};
    const from = asString(condition?.['start_time']);
    const until = asString(condition?.['end_time']);
    if (from !== undefined && until !== undefined) {
      const units = readUnits(prices)?.units;
      if (units)
        windows.push({ from_minute: minuteOf(from), until_minute: minuteOf(until), units });
    } else if ((asString(condition?.['start_date']) ?? '') <= day) {
      found = readUnits(prices) ?? found;
    }
  }
  return found && (windows.length > 0 ? { ...found, windows } : found);
}

function minuteOf(time: string): number {
  const [hours = '0', minutes = '0'] = time.split(':');
  return Number(hours) * 60 + Number(minutes);
}

function readUnits(prices: JsonObject): Tiered | undefined {
  const units: Record<string, string> = {};
  const tiers = new Map<number, Record<string, string>>();
  for (const [key, value] of Object.entries(prices)) {
    const unit = perMillion[key] ?? perThousand[key];
    if (unit === undefined) continue;
    const places = perMillion[key] === undefined ? 3 : 0;
    const base = shiftDecimal(asObject(value)?.['base'] ?? value, places);
    if (base !== undefined) units[unit] = base;
    for (const tier of asObjects(asObject(value)?.['tiers'])) {
      const price = shiftDecimal(tier['price'], places);
      const start = tier['start'];
      if (price === undefined || typeof start !== 'number') continue;
      tiers.set(start, { ...tiers.get(start), [unit]: price });
    }
  }
  return withTiers(units, tiers);
}

function withTiers(units: UnitPrices, tiers: ReadonlyMap<number, UnitPrices>): Tiered | undefined {
  if (Object.keys(units).length === 0) return undefined;
  if (tiers.size === 0) return { units };
  const sorted = [...tiers].sort(([left], [right]) => left - right);
  return {
    units,
    tiers: sorted.map(([above, prices]) => ({ above_input_tokens: above, units: prices })),
  };
}

// ---- LiteLLM -----------------------------------------------------------------------------------

const perUnit: { readonly [key: string]: keyof UnitPrices } = {
  input_cost_per_token: 'input',
  cache_read_input_token_cost: 'cache_read',
  cache_creation_input_token_cost: 'cache_write',
  cache_creation_input_token_cost_above_1hr: 'cache_write_1h',
  output_cost_per_token: 'output',
  output_cost_per_reasoning_token: 'reasoning',
  input_cost_per_audio_token: 'input_audio',
  input_cost_per_image_token: 'input_image',
  output_cost_per_audio_token: 'output_audio',
  output_cost_per_image_token: 'output_image',
  output_cost_per_image: 'image',
  output_cost_per_second: 'second',
  input_cost_per_character: 'character',
};

function readTableEntry(name: string, entry: JsonObject | undefined): ForeignPrice[] {
  const vendor = asString(entry?.['litellm_provider']);
  if (!entry || vendor === undefined) return [];
  const units: Record<string, string> = {};
  const tiers = new Map<number, Record<string, string>>();
  for (const [key, value] of Object.entries(entry)) {
    const [, base = key, thousands] = /^(.*)_above_(\d+)k_tokens$/.exec(key) ?? [];
    const unit = perUnit[base];
    const price = shiftDecimal(value, 6);
    if (unit === undefined || price === undefined) continue;
    if (thousands === undefined) units[unit] = price;
    else
      tiers.set(Number(thousands) * 1000, {
        ...tiers.get(Number(thousands) * 1000),
        [unit]: price,
      });
  }
  const tiered = withTiers(units, tiers);
  // The table names a model with its vendor before it, where the bare name belongs to another.
  const model = name.startsWith(`${vendor}/`) ? name.slice(vendor.length + 1) : name;
  return tiered === undefined ? [] : [{ vendor, model, ...tiered }];
}
