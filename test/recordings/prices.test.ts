/**
 * Our charge for every recorded answer with usage beside an independent calculation by
 * `@pydantic/genai-prices`: its extraction of usage, its prices, its arithmetic. The recordings have no
 * dates, so that both are asked for one moment, outside the hours that cost more.
 */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  calcPrice,
  extractUsage,
  findProvider,
  type PriceCalculation,
  type Usage as TheirUsage,
} from '@pydantic/genai-prices';
import type { Usage } from '#canonical';
import { builtInModels, createCatalog, priceAt, type Model, type Price } from '#catalog';
import * as dialects from '#dialects';
import type { Dialect } from '#dialects';
import { rate } from '#metering';
import { asCount, asObject, parseJsonObject, type JsonObject } from '#std';
import { listCases, sseFrames, type RecordingCase } from './load.ts';

const at = new Date('2026-11-23T12:00:00Z');
const catalog = createCatalog(builtInModels(), { aliases: {}, models: [] });

/** Whose price book and whose form of usage a recording is held to. */
type Vendor = {
  readonly ours: string;
  readonly theirs: string;
};

const vendors: { readonly [provider: string]: Vendor } = {
  anthropic: { ours: 'anthropic', theirs: 'anthropic' },
  azure: { ours: 'azure', theirs: 'openai' },
  cerebras: { ours: 'cerebras', theirs: 'cerebras' },
  deepseek: { ours: 'deepseek', theirs: 'deepseek' },
  google: { ours: 'gemini', theirs: 'google' },
  'google-vertex': { ours: 'vertex', theirs: 'google' },
  groq: { ours: 'groq', theirs: 'groq' },
  mistral: { ours: 'mistral', theirs: 'mistral' },
  moonshot: { ours: 'moonshot', theirs: 'moonshotai' },
  openai: { ours: 'openai', theirs: 'openai' },
  openrouter: { ours: 'openrouter', theirs: 'openrouter' },
  perplexity: { ours: 'perplexity', theirs: 'perplexity' },
  together: { ours: 'together', theirs: 'together' },
  'vertex-anthropic': { ours: 'vertex', theirs: 'anthropic' },
  xai: { ours: 'xai', theirs: 'x-ai' },
};

const forms: { readonly [kind: string]: { readonly dialect: Dialect; readonly flavor: string } } = {
  chat: { dialect: dialects.openaiChat, flavor: 'chat' },
  responses: { dialect: dialects.openaiResponses, flavor: 'responses' },
  messages: { dialect: dialects.anthropicMessages, flavor: 'default' },
  generate: { dialect: dialects.geminiGenerate, flavor: 'default' },
};

/** Names by which the other book calls a model, where ours has another id for the same one. */
const sameModel: { readonly [theirs: string]: string } = {
  'claude-3-haiku': 'claude-3-haiku-20240307',
  'claude-3-7-sonnet-latest': 'claude-3-7-sonnet-20250219',
  'claude-3-7-sonnet': 'claude-3-7-sonnet-20250219',
  'claude-3-opus-latest': 'claude-3-opus-20240229',
};

/** Aliases of which the other book has the price of an earlier meaning. */
const renamed: { readonly [alias: string]: string } = {
  'deepseek-chat': 'deepseek-v4-flash',
  'deepseek-reasoner': 'deepseek-v4-flash',
  'mistral-small-latest': 'mistral-small-2603',
};

type Difference = {
  readonly vendor: Vendor;
  readonly usage: Usage;
  readonly price: Price;
  /** Nano-USD. */
  readonly charged: number;
  readonly expected: number;
  readonly their: PriceCalculation;
  readonly theirUsage: TheirUsage;
};

type Outcome = 'equal' | 'explained' | 'no usage' | 'no price of ours' | 'no price of theirs';

const outcomes: readonly Outcome[] = [
  'equal',
  'explained',
  'no usage',
  'no price of ours',
  'no price of theirs',
];
const counts = new Map<string, Map<Outcome, number>>();
const explanations = new Map<string, number>();

after(() => {
  const rows = [...counts].sort(([left], [right]) => (left < right ? -1 : 1));
  const line = (name: string, cells: readonly string[]): string =>
    name.padEnd(18) + cells.map((cell) => cell.padStart(19)).join('');
  const total = outcomes.map((outcome) =>
    rows.reduce((sum, [, row]) => sum + (row.get(outcome) ?? 0), 0),
  );
  process.stdout.write(
    `\n${[
      line('prices', outcomes),
      ...rows.map(([name, row]) =>
        line(
          name,
          outcomes.map((outcome) => String(row.get(outcome) ?? 0)),
        ),
      ),
      line('all', total.map(String)),
      ...[...explanations].map(([why, cases]) => `  ${cases} explained: ${why}`),
    ].join('\n')}\n\n`,
  );
});

for (const recorded of listCases({ kinds: Object.keys(forms), providers: Object.keys(vendors) })) {
  if (recorded.meta.status !== 200) continue;
  test(`${recorded.name} costs the same by another book`, () => {
    const outcome = compare(recorded);
    const row = counts.get(recorded.meta.provider) ?? new Map<Outcome, number>();
    counts.set(recorded.meta.provider, row.set(outcome, (row.get(outcome) ?? 0) + 1));
  });
}

function compare(recorded: RecordingCase): Outcome {
  const vendor = vendors[recorded.meta.provider];
  const form = forms[recorded.meta.kind];
  assert.ok(vendor && form);
  const usage = ourUsage(recorded, form.dialect);
  const wire = asObject((recorded.meta.expected ?? {})['usage'] as JsonObject | undefined);
  if (!usage || !wire) return 'no usage';
  const names = [recorded.meta.model ?? '', recorded.meta.request_model ?? ''];
  const name = names.find((candidate) => modelOf(candidate, vendor.ours)) ?? '';
  const model = modelOf(name, vendor.ours);
  const price = model && priceAt(catalog.offer(model, vendor.ours)?.prices ?? [], at.getTime());
  if (!model || !price) return 'no price of ours';
  const their = theirPrice(recorded, vendor, form.flavor, name, wire);
  if (!their || !isSame(their.calculation.model.id, model, name)) return 'no price of theirs';
  const charged = rate(
    { version: 'test', price, atMs: at.getTime(), factorMillionths: 1_000_000 },
    usage,
  ).amountNanoUsd;
  const expected = their.calculation.total_price * 1e9;
  if (Math.abs(charged - expected) <= 1 + expected * 1e-9) return 'equal';
  const difference = {
    vendor,
    usage,
    price,
    charged,
    expected,
    their: their.calculation,
    theirUsage: their.usage,
  };
  const why = reasons.find(([, holds]) => holds(difference))?.[0];
  assert.ok(
    why !== undefined,
    `${name}: charged ${charged}, the other book says ${expected}: ${JSON.stringify({ usage: { ...usage, raw: undefined }, their: their.usage })}`,
  );
  explanations.set(why, (explanations.get(why) ?? 0) + 1);
  return 'explained';
}

/** What the gateway itself would read: the decoder for whole answers, the last word of a stream. */
function ourUsage(recorded: RecordingCase, dialect: Dialect): Usage | undefined {
  const text = recorded.responseBytes.toString('utf8');
  if (recorded.responseForm !== 'sse') {
    const wire = parseJsonObject(text);
    return wire && dialect.response.usage(wire, {});
  }
  const decoder = dialect.stream.decoder({});
  const events = sseFrames(recorded.responseBytes).flatMap((frame) => decoder.push(frame));
  let usage: Usage | undefined;
  for (const event of [...events, ...decoder.end()])
    if (event.kind === 'usage') usage = event.usage;
  return usage;
}

/** By public name, or by the name at this provider. */
function modelOf(name: string, providerId: string): Model | undefined {
  const atProvider = catalog.models.find(
    (model) => catalog.offer(model, providerId)?.name === name,
  );
  return atProvider ?? catalog.find(name);
}

function isSame(theirId: string, model: Model, name: string): boolean {
  return theirId === name || (sameModel[theirId] ?? catalog.find(theirId)?.id) === model.id;
}

type Their = { readonly calculation: PriceCalculation; readonly usage: TheirUsage };

/** Throws of the package count as «no price»: it refuses more cached than input tokens. */
function theirPrice(
  recorded: RecordingCase,
  vendor: Vendor,
  flavor: string,
  name: string,
  wire: JsonObject,
): Their | undefined {
  try {
    const usage = theirUsage(recorded, vendor, flavor, name, wire);
    const calculation = calcPrice(usage, name, { providerId: vendor.theirs, timestamp: at });
    return calculation ? { calculation, usage } : undefined;
  } catch {
    return undefined;
  }
}

function theirUsage(
  recorded: RecordingCase,
  vendor: Vendor,
  flavor: string,
  name: string,
  wire: JsonObject,
): TheirUsage {
  const body =
    recorded.meta.kind === 'generate'
      ? { modelVersion: name, usageMetadata: wire }
      : { model: name, usage: wire };
  // Endpoints of OpenAI's form at other vendors are read by its extractor, where there is none of theirs.
  const extractor = recorded.meta.kind === 'responses' ? 'openai' : vendor.theirs;
  const provider = findProvider({ providerId: extractor });
  const known =
    provider?.extractors?.find(({ api_flavor: candidate }) => candidate === flavor) ??
    provider?.extractors?.[0];
  if (provider && known) return extractUsage(provider, body, known.api_flavor).usage;
  const normalised =
    asObject((recorded.meta.expected ?? {})['usage_normalised'] as JsonObject | undefined) ?? {};
  return {
    input_tokens: asCount(normalised['input_total']),
    cache_read_tokens: asCount(normalised['cached_input']),
    output_tokens: asCount(normalised['output_total']),
  };
}

/**
 * Why the two may differ: the first reason that holds for this very case. A reason that can be
 * checked by arithmetic is checked; anything else fails.
 */
const reasons: readonly (readonly [why: string, holds: (difference: Difference) => boolean])[] = [
  [
    'the vendor counts compaction in `iterations` beside the sum that the other book reads',
    ({ usage }) => Array.isArray(usage.raw?.['iterations']),
  ],
  [
    'the other book does not know tiers of service; times the factor of the tier it is the same',
    ({ usage, price, charged, expected }) => {
      const factor = price.service_tiers?.[usage.serviceTier ?? ''];
      return factor !== undefined && Math.abs(charged - expected * Number(factor)) <= 2;
    },
  ],
  [
    'the other book has no price of sound; without it the charge is the same or less',
    ({ usage, charged, expected, price }) => {
      const dear = Number(price.units.output_audio ?? 0) - Number(price.units.output ?? 0);
      return (
        (usage.outputAudioTokens ?? 0) > 0 &&
        Math.abs(charged - expected - (usage.outputAudioTokens ?? 0) * dear * 1000) <= 2
      );
    },
  ],
  [
    'fee per request: the other book takes the highest size of search context, or none; the tokens cost the same',
    ({ price, charged, expected, their }) => {
      const ours = Number(price.units.request ?? 0) * 1000;
      const tokens = their.total_price * 1e9 - feeOf(their) * 1e9;
      return ours > 0 && Math.abs(charged - ours - tokens) <= 2 && charged !== expected;
    },
  ],
  [
    'searches are charged too; the other book is not told of them, and the rest costs the same',
    ({ usage, price, charged, expected }) => {
      const searches = (usage.webSearches ?? 0) * Number(price.units.web_search ?? 0) * 1000;
      return searches > 0 && Math.abs(charged - searches - expected) <= 2;
    },
  ],
  [
    'cached tokens stand at the top of usage, where the other book does not look',
    ({ usage, theirUsage: their, price: { units }, charged, expected }) => {
      const saving = (Number(units.input) - Number(units.cache_read)) * 1000;
      const cached = usage.cacheReadTokens ?? 0;
      return (
        !their['cache_read_tokens'] &&
        cached > 0 &&
        Math.abs(expected - charged - cached * saving) <= 2
      );
    },
  ],
  [
    'the name has come to mean a newer model; asked for that one, the other book agrees',
    ({ their, theirUsage, vendor, charged }) => {
      const newer = renamed[their.model.id] ?? their.model.id;
      const again = calcPrice(theirUsage, newer, { providerId: vendor.theirs, timestamp: at });
      return (
        newer !== their.model.id &&
        again?.model.id === newer &&
        Math.abs(charged - (again?.total_price ?? 0) * 1e9) <= 2
      );
    },
  ],
  [
    'our charge is the cost that the vendor itself reported; the other book has an older price',
    ({ usage, charged }) =>
      Number(usage.reportedCostUsd ?? 0) > 0 &&
      Math.abs(Number(usage.reportedCostUsd) * 1e9 - charged) <= 2,
  ],
  [
    "the reseller passes the maker's price on; the other book has the price of its batches",
    ({ their, charged, expected }) =>
      their.model.id === 'openai/gpt-5.6-sol' && Math.abs(charged - 2 * expected) <= 2,
  ],
];

/** The part of the other book's price that is for the request and not for tokens. */
function feeOf({ model_price: price }: PriceCalculation): number {
  const fee = price['requests_kcount'];
  return typeof fee === 'number' ? fee / 1000 : 0;
}

test('a reason does not excuse any difference', () => {
  const nothing: Difference = {
    vendor: { ours: 'openai', theirs: 'openai' },
    usage: { inputTokens: 1 },
    price: { from: '2026-01-01', source: 'test', units: { input: '1' } },
    charged: 1000,
    expected: 2000,
    their: { total_price: 0.000002, model: { id: 'gpt-5.2' }, model_price: {} } as PriceCalculation,
    theirUsage: {},
  };
  assert.deepEqual(
    reasons.filter(([, holds]) => holds(nothing)).map(([why]) => why),
    [],
  );
});
