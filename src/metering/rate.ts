/**
 * Rating: usage × price → amount. One rounding, up, at the very end, so that a charge differs from
 * the exact rational by less than one nano-dollar. All arithmetic is in BigInt.
 */

import type { Price, Unit, UnitPrices } from '#catalog';
import { inputTotalTokens, tokenUnits, type Usage } from '#canonical';
import {
  nanoUsd,
  nanoUsdPerUsd,
  parseUsd,
  rememberByObject,
  zeroNanoUsd,
  type NanoUsd,
} from '#std';

/** Everything that decides the price of a request, frozen when it is admitted. */
export type PriceSnapshot = {
  /** Names the book entry and multiplier, for the receipt: `gpt-5.2@2025-12-11#3fa90c1b`. */
  readonly version: string;
  readonly price: Price;
  /** Start of the request: chooses the daily window. */
  readonly atMs: number;
  /** The user group's factor in millionths: 1,000,000 = list price. */
  readonly factorMillionths: number;
  /** The tier of service that requests get which do not say `default`, where the operator has said so. */
  readonly openTier?: string | undefined;
};

export type RatedLine = {
  readonly unit: Unit;
  readonly quantity: number;
  /** Nano-USD per million units, after service tier, speed and geography, before the group factor. */
  readonly priceNanoUsdPerMillion: number;
};

export type Rated = {
  readonly amountNanoUsd: NanoUsd;
  readonly lines: readonly RatedLine[];
  readonly formula: string;
};

const million = 1_000_000n;
/** A hundred thousand US dollars: the costs of all the calls that one request can make still add up exactly. */
const amountMax = 100_000n * BigInt(nanoUsdPerUsd);

/** Where a unit has no price of its own, the first of these that has one is used. */
const fallbacks: { readonly [unit in Unit]: readonly Unit[] } = {
  input: [],
  cache_read: ['input'],
  cache_write: ['input'],
  cache_write_1h: ['cache_write', 'input'],
  output: [],
  reasoning: ['output'],
  input_audio: ['input'],
  input_image: ['input'],
  output_audio: ['output'],
  output_image: ['output'],
  web_search: [],
  image: [],
  second: [],
  character: [],
  request: [],
};

const quantities: readonly (readonly [Unit, (usage: Usage) => number | undefined])[] = [
  ['input', (usage) => usage.inputTokens],
  ['cache_read', (usage) => usage.cacheReadTokens],
  ['cache_write', (usage) => usage.cacheWriteTokens],
  ['cache_write_1h', (usage) => usage.cacheWriteLongTokens],
  ['output', (usage) => usage.outputTokens],
  ['reasoning', (usage) => usage.reasoningTokens],
  ['input_audio', (usage) => usage.inputAudioTokens],
  ['input_image', (usage) => usage.inputImageTokens],
  ['output_audio', (usage) => usage.outputAudioTokens],
  ['output_image', (usage) => usage.outputImageTokens],
  ['web_search', (usage) => usage.webSearches],
  ['image', (usage) => usage.images],
  ['second', (usage) => usage.seconds],
  ['character', (usage) => usage.characters],
];

const countedInTokens: ReadonlySet<Unit> = new Set(tokenUnits);

/** The prices that apply: daily window over base, then the tier for this input size over both. */
export function applicableUnits(snapshot: PriceSnapshot, inputTokens: number): UnitPrices {
  let units = unitsAt(snapshot.price, snapshot.atMs);
  for (const tier of snapshot.price.tiers ?? []) {
    if (inputTokens > tier.above_input_tokens) units = { ...units, ...tier.units };
  }
  return units;
}

/** Every list of prices that may apply to a request of so many input tokens, or of fewer. */
export function possibleUnits(snapshot: PriceSnapshot, inputTokens: number): readonly UnitPrices[] {
  const possible = [unitsAt(snapshot.price, snapshot.atMs)];
  for (const { above_input_tokens: above } of snapshot.price.tiers ?? [])
    if (inputTokens > above) possible.push(applicableUnits(snapshot, above + 1));
  return possible;
}

/** The prices at a moment: those of the daily windows that hold over the base. */
export function unitsAt(price: Price, atMs: number): UnitPrices {
  let units = price.units;
  const minute = Math.floor(atMs / 60_000) % 1440;
  for (const window of price.windows ?? []) {
    if (minute < window.from_minute || minute >= window.until_minute) continue;
    if (window.days?.some((day) => day === weekdayOf(atMs)) !== false)
      units = { ...units, ...window.units };
  }
  return units;
}

/** In UTC, as prices name it: `mon`. */
function weekdayOf(atMs: number): string {
  return new Date(atMs).toUTCString().slice(0, 3).toLowerCase();
}

/** Prices read once for each immutable price list; a request asks for some fifty of them. */
const pricesRead = new WeakMap<UnitPrices, Map<Unit, bigint | undefined>>();

/** Nano-USD per million of a unit, `undefined` when neither it nor a fallback has a price. */
export function unitPrice(units: UnitPrices, unit: Unit): bigint | undefined {
  let known = pricesRead.get(units);
  if (known === undefined) {
    known = new Map();
    pricesRead.set(units, known);
  }
  if (known.has(unit)) return known.get(unit);
  const price = readUnitPrice(units, unit);
  known.set(unit, price);
  return price;
}

function readUnitPrice(units: UnitPrices, unit: Unit): bigint | undefined {
  const own =
    units[unit] ?? fallbacks[unit].map((other) => units[other]).find((text) => text !== undefined);
  const amount = own === undefined ? undefined : parseUsd(own);
  return amount === undefined ? undefined : BigInt(amount);
}

/** The charge for `usage`. A unit that was used and has no price at all costs nothing and says so in its line. */
export function rate(snapshot: PriceSnapshot, usage: Usage): Rated {
  const units = applicableUnits(snapshot, inputTotalTokens(usage) ?? 0);
  const factors = factorsOf(snapshot.price, usage);
  const lines: RatedLine[] = [];
  let total = 0n;
  const add = (unit: Unit, quantity: number): void => {
    const price = factoredPrice(units, unit, factors);
    lines.push({ unit, quantity, priceNanoUsdPerMillion: Number(price) });
    total += BigInt(quantity) * price;
  };
  for (const [unit, read] of quantities) {
    const quantity = read(usage);
    if (quantity !== undefined && quantity > 0) add(unit, quantity);
  }
  if (unitPrice(units, 'request') !== undefined) add('request', 1);
  return {
    amountNanoUsd: amountOf(total, snapshot.factorMillionths),
    lines,
    formula: formulaOf(snapshot.factorMillionths),
  };
}

/** A price after its factors is a whole number of nano-USD per million, rounded up: a receipt recomputes it. */
function factoredPrice(units: UnitPrices, unit: Unit, factors: Factors): bigint {
  const price = unitPrice(units, unit) ?? 0n;
  let product = price;
  let divisor = 1n;
  for (const factor of countedInTokens.has(unit) ? factors.tokens : factors.others) {
    product *= factor;
    divisor *= million;
  }
  return divisor === 1n ? price : (product + divisor - 1n) / divisor;
}

/**
 * The most that {@link rate} gives for these quantities; `units` are those that apply. A vendor that has no room in
 * a cheap service tier, or at another speed, may serve, and bill, in its ordinary one. Where no geography is asked
 * for, it is the default of the operator's account with the vendor, which may be the dearest. So it is with the tier,
 * but that default is the list price unless the operator says otherwise: the dearest is a multiple of it.
 */
export function amountFor(
  snapshot: PriceSnapshot,
  units: UnitPrices,
  asked: Served,
  quantitiesByUnit: readonly (readonly [Unit, number])[],
): NanoUsd {
  const factors = atLeastList(factorsOf(snapshot.price, wherever(snapshot, asked)));
  let total =
    unitPrice(units, 'request') === undefined ? 0n : factoredPrice(units, 'request', factors);
  for (const [unit, quantity] of quantitiesByUnit)
    if (quantity > 0) total += BigInt(quantity) * factoredPrice(units, unit, factors);
  return amountOf(total, snapshot.factorMillionths);
}

/** Recomputes a charge from the lines of a receipt and its factor: what `ledger verify` calls. */
export function rateLines(
  lines: readonly { quantity: number; priceNanoUsdPerMillion: number }[],
  factorMillionths: number,
): NanoUsd {
  let total = 0n;
  for (const line of lines) total += BigInt(line.quantity) * BigInt(line.priceNanoUsdPerMillion);
  return amountOf(total, factorMillionths);
}

/** `Σ quantity × price / 10⁶ × factor / 10⁶`, rounded up once. */
function amountOf(total: bigint, factorMillionths: number): NanoUsd {
  const scaled = total * BigInt(factorMillionths);
  const divisor = million * million;
  if (scaled <= 0n) return zeroNanoUsd;
  const amount = (scaled + divisor - 1n) / divisor;
  // A vendor may claim any number of tokens: beyond all money an amount is just the largest one.
  return nanoUsd(amount > amountMax ? amountMax : amount);
}

/** In ASCII: one wider character makes every text of a receipt twice as wide to write and to hash. */
function formulaOf(factorMillionths: number): string {
  const factor = factorMillionths === 1_000_000 ? '' : ` * ${factorMillionths} / 1000000`;
  return `ceil(sum(quantity * price_nano_usd_per_million) / 1000000${factor})`;
}

/** How an answer was made, or is asked for, where that changes its price. */
export type Served = Pick<Usage, 'serviceTier' | 'speed' | 'geography'>;

/** In millionths; those of one are left out. */
type Factors = { readonly tokens: readonly bigint[]; readonly others: readonly bigint[] };

const noFactors: Factors = { tokens: [], others: [] };

/** A tier counts for all that is paid, speed and geography for tokens only: a web search costs the same. */
function factorsOf(price: Price, { serviceTier, speed, geography }: Served): Factors {
  const { service_tiers: tiers, speeds, geographies } = price;
  if (tiers === undefined && speeds === undefined && geographies === undefined) return noFactors;
  const others = notOne([tierFactor(tiers, serviceTier)]);
  const tokens = notOne([factorOf(speeds, speed), factorOf(geographies, geography)]);
  return { tokens: [...others, ...tokens], others };
}

function wherever({ price, openTier }: PriceSnapshot, asked: Served): Served {
  const { geographies, service_tiers: tiers } = price;
  let served = asked;
  if (geographies !== undefined && asked.geography === undefined)
    served = { ...served, geography: dearestName(geographies) };
  // Another tier that is asked for may be lost in translation, and `auto` asks for none.
  const mayBeOpen = openTier !== undefined && asked.serviceTier !== 'default';
  if (mayBeOpen && tierFactor(tiers, openTier) > tierFactor(tiers, asked.serviceTier))
    served = { ...served, serviceTier: openTier };
  return served;
}

/** Priority processing has been renamed by its vendor to fast mode, which takes and tells either name. */
function tierFactor(tiers: Price['service_tiers'], name: string | undefined): bigint {
  const isRenamed = name === 'fast' && tiers?.[name] === undefined;
  return factorOf(tiers, isRenamed ? 'priority' : name);
}

const dearestName = rememberByObject((factors: Readonly<Record<string, string>>) => {
  const [first] = Object.keys(factors).toSorted((one, other) =>
    factorOf(factors, one) < factorOf(factors, other) ? 1 : -1,
  );
  return first;
});

function atLeastList({ tokens, others }: Factors): Factors {
  const raises = (factor: bigint): boolean => factor > million;
  return { tokens: tokens.filter(raises), others: others.filter(raises) };
}

function notOne(factors: readonly bigint[]): readonly bigint[] {
  return factors.filter((factor) => factor !== million);
}

/** A factor by its name in millionths; a name that the book does not have costs the list price. */
function factorOf(
  factors: { readonly [name: string]: string } | undefined,
  name: string | undefined,
): bigint {
  // The name is a client's or a vendor's: it may be that of something every object has.
  const factor =
    factors === undefined || name === undefined || !Object.hasOwn(factors, name)
      ? undefined
      : factors[name];
  const parsed = factor === undefined ? undefined : parseUsd(factor);
  return parsed === undefined ? million : BigInt(parsed) / 1000n;
}
