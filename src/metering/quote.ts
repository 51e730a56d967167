/** How much a request may cost at most: the size of its hold. */

import type { ChatRequest, Part } from '#canonical';
import type { Price, Unit, UnitPrices } from '#catalog';
import { asObjects, asString, nanoUsd, rememberByObject, zeroNanoUsd, type NanoUsd } from '#std';
import { amountFor, possibleUnits, unitPrice, type PriceSnapshot, type Served } from './rate.ts';

/** What a request asks for beyond text in and text out, where that may cost more. */
export type Extras = Served & {
  /** Units besides plain input and output that the answer may be charged in. */
  readonly units?: readonly ExtraUnit[];
  readonly webSearches?: number;
};

export type Bound = Extras & { readonly inputTokens: number; readonly outputTokens: number };

type ExtraUnit = 'cache_write_1h' | 'input_audio' | 'input_image' | 'output_audio' | 'output_image';

const inputUnits: readonly Unit[] = [
  'input',
  'cache_write',
  'cache_write_1h',
  'input_audio',
  'input_image',
];
const outputUnits: readonly Unit[] = ['output', 'reasoning', 'output_audio', 'output_image'];

/** Charged for by every vendor that has them, whatever the request says. */
const alwaysPossible: ReadonlySet<Unit> = new Set(['input', 'cache_write', 'output', 'reasoning']);

/** Searches that one answer makes at most: more have not been seen. */
const webSearchesMost = 10;

/** Estimates miss the truth by a third at most on ordinary text; the hold covers that. */
const inputMarginPercent = 35;

export function inputBound(inputTokensEstimated: number): number {
  return Math.ceil((inputTokensEstimated * (100 + inputMarginPercent)) / 100);
}

/** What vendors put before a prompt to explain its tools to the model, and count. */
const toolPromptTokens = 700;

/** The input of a whole request, with what its vendor may add to it. */
export function requestBound({ tools }: ChatRequest, inputTokensEstimated: number): number {
  return inputBound(inputTokensEstimated) + (tools.length > 0 ? toolPromptTokens : 0);
}

/** Reads from a request which units besides text it may be charged in. */
export function extrasOf(request: ChatRequest): Extras {
  const units = new Set<ExtraUnit>();
  for (const { parts } of request.messages)
    for (const part of parts) if (part.kind !== 'text' || part.cache) addPartUnits(part, units);
  if (request.tools.some((tool) => tool.kind === 'function' && tool.cache?.ttl === '1h'))
    units.add('cache_write_1h');
  if (request.modalities?.includes('audio')) units.add('output_audio');
  if (request.modalities?.includes('image')) units.add('output_image');
  const searches =
    request.tools.some((tool) => tool.kind === 'web-search') || hasSearchPlugin(request);
  // No other dialect has these two, so they are no part of the neutral request.
  const speed = asString(request.extensions['speed']);
  const geography = asString(request.extensions['inference_geo']);
  return {
    units: [...units],
    serviceTier: request.serviceTier,
    ...(speed === undefined ? {} : { speed }),
    ...(geography === undefined ? {} : { geography }),
    ...(searches ? { webSearches: webSearchesMost } : {}),
  };
}

/** Resellers search for any model, before it is asked, where the request has this plugin. */
function hasSearchPlugin({ extensions }: ChatRequest): boolean {
  return asObjects(extensions['plugins']).some(
    ({ id, enabled }) => id === 'web' && enabled !== false,
  );
}

function addPartUnits(part: Part, units: Set<ExtraUnit>): void {
  if (part.cache?.ttl === '1h') units.add('cache_write_1h');
  if (part.kind === 'tool-result') for (const inner of part.parts) addPartUnits(inner, units);
  if (part.kind !== 'media') return;
  // The sound of a video is counted as audio by those who count audio apart.
  if (part.media === 'audio' || part.media === 'video') units.add('input_audio');
  if (part.media !== 'audio') units.add('input_image');
}

/** The dearest way to be charged for the bound: every token in the dearest unit that may apply. */
export function quote(snapshot: PriceSnapshot, bound: Bound): NanoUsd {
  let most = zeroNanoUsd;
  for (const units of possibleUnits(snapshot, bound.inputTokens)) {
    const amount = quoteAt(snapshot, units, bound);
    if (amount > most) most = amount;
  }
  return most;
}

/** The quotes of one request at its moment: channels of one price, of which there may be hundreds, have one. */
export function quotesOf(bound: Bound): (snapshot: PriceSnapshot) => NanoUsd {
  const known = new Map<Price, NanoUsd>();
  return (snapshot) => {
    if (snapshot.openTier !== undefined) return quote(snapshot, bound);
    let most = known.get(snapshot.price);
    if (most === undefined) {
      most = quote(snapshot, bound);
      known.set(snapshot.price, most);
    }
    return most;
  };
}

function quoteAt(snapshot: PriceSnapshot, units: UnitPrices, bound: Bound): NanoUsd {
  const { inputTokens, outputTokens, webSearches = 0, units: extras = [] } = bound;
  const dearestUnits = extras.length === 0 ? dearestPlain(units) : dearestOf(units, extras);
  return amountFor(snapshot, units, bound, [
    [dearestUnits.input, inputTokens],
    [dearestUnits.output, outputTokens],
    ['web_search', webSearches],
  ]);
}

type DearestUnits = { readonly input: Unit; readonly output: Unit };

function dearestOf(units: UnitPrices, extras: readonly Unit[]): DearestUnits {
  return {
    input: dearestUnit(units, inputUnits, extras),
    output: dearestUnit(units, outputUnits, extras),
  };
}

const dearestPlain = rememberByObject((units: UnitPrices) => dearestOf(units, []));

function dearestUnit(units: UnitPrices, among: readonly Unit[], extras: readonly Unit[]): Unit {
  let dearestPrice = -1n;
  let found: Unit = 'input';
  for (const unit of among) {
    if (!alwaysPossible.has(unit) && !extras.includes(unit)) continue;
    const price = unitPrice(units, unit) ?? 0n;
    if (price <= dearestPrice) continue;
    dearestPrice = price;
    found = unit;
  }
  return found;
}

/** How many output tokens `available` pays for, after the input: at most `atMost`, −1 when not even the input. */
export function affordableOutputTokens(
  snapshot: PriceSnapshot,
  inputTokens: number,
  available: NanoUsd,
  atMost: number,
  extras: Extras = {},
): number {
  const cost = (outputTokens: number): NanoUsd =>
    quote(snapshot, { ...extras, inputTokens, outputTokens });
  if (cost(atMost) <= available) return atMost;
  let low = -1;
  let high = atMost;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (cost(middle) <= available) low = middle;
    else high = middle;
  }
  return low;
}

export function dearest(quotes: readonly NanoUsd[]): NanoUsd {
  return nanoUsd(quotes.reduce((most, amount) => Math.max(most, amount), 0));
}
