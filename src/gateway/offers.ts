/**
 * Who offers what: channels × catalog → for each public model the offers of all channels. Built once
 * per change of configuration into an immutable snapshot; a request only looks things up.
 */

import { hash } from 'node:crypto';
import type { Catalog, Model, Price } from '#catalog';
import { modelSchema, priceAt } from '#catalog';
import type { DialectId } from '#canonical';
import type { Quirks } from '#dialects';
import { matchesPattern } from '#access';
import { unitsAt } from '#metering';
import type { ChannelDefinition, Operation, Provider, Speech } from '#providers';
import type { Candidate, ChannelConfig } from '#routing';
import { parseUsd, rememberByObject } from '#std';

/** A channel ready for use: its provider resolved, its base URL filled in. */
export type Channel = {
  readonly id: string;
  readonly definition: ChannelDefinition;
  readonly provider: Provider;
  readonly baseUrl: string;
  /** All addresses of the channel, `baseUrl` first. */
  readonly baseUrls: readonly string[];
  readonly parameters: { readonly [name: string]: string };
  readonly secret: string;
};

/** How this channel goes out: every call of its own takes the same way, also those for tokens and counts. */
export function egressOf({ definition }: Channel): {
  readonly allowPrivate: boolean;
  readonly outboundProxy?: string;
} {
  const { allow_private: allowPrivate = false, outbound_proxy: outboundProxy } = definition;
  return outboundProxy === undefined ? { allowPrivate } : { allowPrivate, outboundProxy };
}

/** One model at one channel. */
export type Offer = {
  readonly channel: Channel;
  readonly model: Model;
  /** The model's name at the upstream. */
  readonly name: string;
  readonly prices: readonly Price[];
  readonly dialects: readonly string[] | undefined;
  /** Channel's own quirks for this model, over all others. */
  readonly quirks: Quirks;
};

export type Snapshot = {
  readonly catalog: Catalog;
  readonly channels: ReadonlyMap<string, Channel>;
  /** Public models with at least one offer, in alphabetical order. */
  readonly models: readonly Model[];
  offersOf(model: Model): readonly Offer[];
  /** Candidates for the router, the same array for the same model, operation and hour. */
  candidatesOf(model: Model, operation: Operation, atMs: number): readonly OfferCandidate[];
  /** A model by id, alias, or a name only a channel knows. */
  find(name: string): Model | undefined;
};

export type OfferCandidate = Candidate & {
  readonly offer: Offer;
  /** The price of today: candidates are made anew at least when the day begins. */
  readonly price: Price | undefined;
};

export function buildSnapshot(catalog: Catalog, channels: readonly Channel[]): Snapshot {
  const byModel = new Map<string, { readonly model: Model; readonly offers: Offer[] }>();
  for (const channel of channels) {
    if (channel.definition.enabled === false) continue;
    for (const offer of offersOfChannel(catalog, channel)) {
      const entry = byModel.get(offer.model.id) ?? { model: offer.model, offers: [] };
      entry.offers.push(offer);
      byModel.set(offer.model.id, entry);
    }
  }
  const models = [...byModel.values()]
    .map((entry) => entry.model)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const offersOf = (model: Model): readonly Offer[] => byModel.get(model.id)?.offers ?? [];
  return {
    catalog,
    channels: new Map(channels.map((channel) => [channel.id, channel])),
    models,
    offersOf,
    candidatesOf: candidateCache(offersOf),
    find: (name) => byModel.get(name)?.model ?? catalog.find(name),
  };
}

/** What the channel's `models` setting selects: everything the provider is known to offer when absent. */
function offersOfChannel(catalog: Catalog, channel: Channel): readonly Offer[] {
  const setting = channel.definition.models;
  if (setting === undefined) return knownOffers(catalog, channel, () => true);
  if (Array.isArray(setting)) {
    const known = knownOffers(catalog, channel, (id) =>
      setting.some((pattern) => matchesPattern(pattern, id)),
    );
    const found = new Set(known.map((offer) => offer.model.id));
    const rest = setting.filter(
      (name) => !name.includes('*') && !found.has(catalog.find(name)?.id ?? name),
    );
    return [...known, ...rest.map((name) => namedOffer(catalog, channel, name, name))];
  }
  return Object.entries(setting).map(([name, value]) => namedOffer(catalog, channel, name, value));
}

function knownOffers(
  catalog: Catalog,
  channel: Channel,
  selects: (id: string) => boolean,
): Offer[] {
  const offers: Offer[] = [];
  for (const model of catalog.models) {
    const offer = selects(model.id) ? catalog.offer(model, channel.provider.id) : undefined;
    if (offer) offers.push({ channel, model, ...offer, quirks: {} });
  }
  return offers;
}

type OfferedModel = Exclude<NonNullable<ChannelDefinition['models']>, string[]>[string];

function namedOffer(catalog: Catalog, channel: Channel, name: string, value: OfferedModel): Offer {
  const settings = typeof value === 'string' ? { name: value } : value;
  const listed = catalog.find(name);
  // A name the operator gives is a public model of its own, even where the catalog has it as an alias.
  const model = listed
    ? listed.id === name
      ? listed
      : { ...listed, id: name, aliases: [] }
    : unknownModel(name, channel, settings);
  const known = catalog.offer(model, channel.provider.id);
  const prices = pricesOf(settings, channel.id);
  return {
    channel,
    model,
    name: settings.name ?? known?.name ?? name,
    prices:
      prices ?? known?.prices ?? (channel.definition.provider === undefined ? [] : model.prices),
    dialects: settings.dialects ?? known?.dialects ?? model.dialects,
    quirks: settings.quirks ?? {},
  };
}

function unknownModel(
  name: string,
  channel: Channel,
  settings: Exclude<OfferedModel, string>,
): Model {
  return modelSchema.parse({
    id: name,
    vendor: channel.provider.id,
    offers: {},
    ...(settings.operations ? { operations: settings.operations } : {}),
    ...(settings.context_tokens ? { context_tokens: settings.context_tokens } : {}),
    ...(settings.output_tokens ? { output_tokens: settings.output_tokens } : {}),
    ...(settings.silence_ms ? { silence_ms: settings.silence_ms } : {}),
  });
}

/** Prices the operator gave with the channel. `free` is a price of zero, said on purpose. */
function pricesOf(
  settings: Exclude<OfferedModel, string>,
  channelId: string,
): readonly Price[] | undefined {
  if (settings.prices === undefined) return undefined;
  const units = settings.prices === 'free' ? { input: '0', output: '0' } : settings.prices;
  return [{ from: '2000-01-01', source: `channel ${channelId}`, units }];
}

/** Names a price by its day and a mark of what it says: what an operator changes in place is another version. */
export const versionOf = rememberByObject(({ from, source: _, ...said }: Price) => {
  const mark = hash('sha256', JSON.stringify(said)).slice(0, 8);
  return `${from}#${mark}`;
});

const cachePeriodMs = 5 * 60_000;

/** Prices move with the hour; the router caches by array identity, so arrays are kept for a while. */
function candidateCache(offersOf: (model: Model) => readonly Offer[]): Snapshot['candidatesOf'] {
  const cache = new Map<
    string,
    { readonly period: number; readonly candidates: readonly OfferCandidate[] }
  >();
  return (model, operation, atMs) => {
    const period = Math.floor(atMs / cachePeriodMs);
    const key = `${operation} ${model.id}`;
    const kept = cache.get(key);
    if (kept?.period === period) return kept.candidates;
    const candidates: OfferCandidate[] = [];
    for (const offer of offersOf(model)) {
      const speaks = offer.channel.provider.speaks.some(
        (speech) => isWayFor(speech, operation) && serves(offer, speech),
      );
      if (speaks) candidates.push(candidateOf(offer, atMs));
    }
    cache.set(key, { period, candidates });
    return candidates;
  };
}

/** Input is estimated: only what is far beyond a context is not even tried; the vendor knows exactly. */
export const estimateSlack = 1.5;

/** How long a model thinks or draws without a word, before an answer and in the middle of one. */
const longSilenceMs = 120_000;

function candidateOf(offer: Offer, atMs: number): OfferCandidate {
  const price = priceAt(offer.prices, atMs);
  const units = price === undefined ? undefined : unitsAt(price, atMs);
  const input = nanoPerMillion(units?.input);
  const { context_tokens: contextTokens, reasoning, output: media, silence_ms } = offer.model;
  const isSlow = reasoning || media.includes('image');
  const silenceMs = silence_ms ?? (isSlow ? longSilenceMs : undefined);
  return {
    offer,
    price,
    channelId: offer.channel.id,
    model: offer.name,
    inputNanoUsdPerMillion: input,
    outputNanoUsdPerMillion: nanoPerMillion(units?.output),
    cachedInputNanoUsdPerMillion:
      units?.cache_read === undefined ? input : nanoPerMillion(units.cache_read),
    ...(contextTokens === undefined ? {} : { contextTokens: contextTokens * estimateSlack }),
    ...(silenceMs === undefined ? {} : { firstContentFloorMs: silenceMs, idleMs: silenceMs }),
  };
}

function nanoPerMillion(text: string | undefined): number {
  return text === undefined ? 0 : (parseUsd(text) ?? 0);
}

/** Old-style completions can be had from a chat model too, where a vendor has no completions any more. */
function isWayFor(speech: Speech, operation: Operation): boolean {
  return (
    speech.operation === operation || (operation === 'completions' && speech.operation === 'chat')
  );
}

/** Whether this way of speaking serves the model at this channel. */
export function serves(offer: Offer, speech: Speech): boolean {
  if (
    offer.dialects !== undefined &&
    speech.operation === 'chat' &&
    !offer.dialects.includes(speech.dialect)
  )
    return false;
  return speech.models === undefined || speech.models(offer.name);
}

export type SpeechChoice = { readonly speech: Speech; readonly quirks: Quirks };

/**
 * The ways to speak with this offer, best first: the client's own dialect where the vendor has it
 * (bytes pass through), then the vendor's own order. Models whose tools work in one dialect only say so.
 */
export function speechChoices(
  offer: Offer,
  operation: Operation,
  dialect: DialectId | undefined,
  hasTools: boolean,
): readonly SpeechChoice[] {
  const known = choicesOf(offer);
  const key = `${operation} ${dialect ?? ''} ${hasTools ? 'tools' : ''}`;
  let choices = known.get(key);
  if (choices === undefined) {
    choices = orderedChoices(offer, operation, dialect, hasTools);
    known.set(key, choices);
  }
  return choices;
}

/** By what was asked: a few dozen at the most for each offer. */
const choicesOf = rememberByObject((_offer: Offer) => new Map<string, readonly SpeechChoice[]>());

function orderedChoices(
  offer: Offer,
  operation: Operation,
  dialect: DialectId | undefined,
  hasTools: boolean,
): readonly SpeechChoice[] {
  const ways = offer.channel.provider.speaks.filter(
    (speech) => isWayFor(speech, operation) && serves(offer, speech),
  );
  const rank = (speech: Speech): number => {
    if (hasTools && offer.model.tools_dialect === speech.dialect) return 0;
    return speech.dialect === dialect ? 1 : 2;
  };
  const ordered = ways.length < 2 ? ways : ways.toSorted((left, right) => rank(left) - rank(right));
  return ordered.map((speech) => ({ speech, quirks: quirksOf(offer, speech) }));
}

/** Provider ← model ← channel ← the model at this channel. One object when nobody deviates. */
function quirksOf(offer: Offer, speech: Speech): Quirks {
  return {
    ...speech.quirks,
    ...offer.model.quirks?.[speech.dialect],
    ...offer.channel.definition.quirks,
    ...offer.quirks,
  };
}

/** What the router needs to know of the channels. */
export function routingChannels(channels: Iterable<Channel>): readonly ChannelConfig[] {
  return Array.from(channels, ({ id, definition, provider }) => {
    const { enabled, weight, tags, limits } = definition;
    return {
      id,
      provider: provider.id,
      ...(enabled === undefined ? {} : { enabled }),
      ...(weight === undefined ? {} : { weight }),
      ...(tags === undefined ? {} : { tags }),
      limits: {
        ...(limits?.requests_per_minute === undefined
          ? {}
          : { requestsPerMinute: limits.requests_per_minute }),
        ...(limits?.requests_per_day === undefined
          ? {}
          : { requestsPerDay: limits.requests_per_day }),
        ...(limits?.tokens_per_minute === undefined
          ? {}
          : { tokensPerMinute: limits.tokens_per_minute }),
        ...(limits?.input_tokens_per_minute === undefined
          ? {}
          : { inputTokensPerMinute: limits.input_tokens_per_minute }),
        ...(limits?.output_tokens_per_minute === undefined
          ? {}
          : { outputTokensPerMinute: limits.output_tokens_per_minute }),
        ...(limits?.concurrency === undefined ? {} : { concurrency: limits.concurrency }),
      },
    };
  });
}
