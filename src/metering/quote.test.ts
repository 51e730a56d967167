import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChatRequest } from '#canonical';
import type { Price } from '#catalog';
import { anthropicMessages, openaiChat } from '#dialects';
import { nanoUsd } from '#std';
import { affordableFits, quoteCovers, seed } from './quote-rig.ts';
import { affordableOutputTokens, dearest, extrasOf, quote, quotesOf } from './quote.ts';
import { rate, type PriceSnapshot } from './rate.ts';

test('no way of using the bound costs more than its quote, at every price of the catalog', () => {
  fc.assert(quoteCovers, { seed, numRuns: 1_000 });
});

test('what is affordable fits, and one token more does not', () => {
  fc.assert(affordableFits, { seed, numRuns: 1_000 });
});

const plain: Price = {
  from: '2026-01-01',
  source: 'test',
  units: {
    input: '2',
    cache_write: '2.5',
    cache_write_1h: '4',
    output: '10',
    input_audio: '40',
    web_search: '10000',
  },
};
const snapshot: PriceSnapshot = {
  version: 'test',
  price: plain,
  atMs: 0,
  factorMillionths: 1_000_000,
};

test('a hold counts all input as written to the cache where that costs more, for an hour only where it is asked for', () => {
  assert.equal(quote(snapshot, { inputTokens: 1000, outputTokens: 0 }), 2_500_000);
  assert.equal(
    quote(snapshot, { inputTokens: 1000, outputTokens: 0, units: ['cache_write_1h'] }),
    4_000_000,
  );
  assert.equal(
    quote(snapshot, { inputTokens: 1000, outputTokens: 0, units: ['input_audio'] }),
    40_000_000,
  );
  assert.equal(quote(snapshot, { inputTokens: 0, outputTokens: 0, webSearches: 10 }), 100_000_000);
});

test('a cheap service tier is held at the list price, which is billed when the vendor has no room in it', () => {
  const tiers = { flex: '0.5', priority: '2' };
  const priced: PriceSnapshot = { ...snapshot, price: { ...plain, service_tiers: tiers } };
  const bound = { inputTokens: 1000, outputTokens: 100 };
  const list = quote(priced, bound);
  assert.equal(quote(priced, { ...bound, serviceTier: 'flex' }), list);
  assert.equal(quote(priced, { ...bound, serviceTier: 'priority' }), list * 2);
  assert.equal(quote(priced, { ...bound, serviceTier: 'fast' }), list * 2);
  assert.equal(affordableOutputTokens(priced, 1000, list, 5000, { serviceTier: 'flex' }), 100);
});

test('where a project gives requests a dearer tier that name none, the hold covers it unless they ask for the default', () => {
  const tiers = { flex: '0.5', priority: '2', ultrafast: '6' };
  const priced: PriceSnapshot = { ...snapshot, price: { ...plain, service_tiers: tiers } };
  const bound = { inputTokens: 1000, outputTokens: 100 };
  const list = quote(priced, bound);
  const held = (serviceTier: string | undefined): number =>
    quote({ ...priced, openTier: 'priority' }, { ...bound, serviceTier });
  for (const tier of [undefined, 'auto', 'standard_only', 'flex', 'fast'])
    assert.equal(held(tier), list * 2, tier);
  assert.equal(held('default'), list);
  assert.equal(held('ultrafast'), list * 6);
  assert.equal(quote({ ...priced, openTier: 'flex' }, bound), list);
});

test('quotes of many channels are those of each alone, also where projects differ', () => {
  const tiers = { priority: '2' };
  const dear: PriceSnapshot = { ...snapshot, price: { ...plain, service_tiers: tiers } };
  const bound = { inputTokens: 1000, outputTokens: 100 };
  const channels = [snapshot, dear, { ...dear, openTier: 'priority' }, dear, snapshot];
  const alone = channels.map((channel) => quote(channel, bound));
  assert.deepEqual(channels.map(quotesOf(bound)), alone);
  assert.equal(alone[2], 2 * (alone[1] ?? 0));
});

test('a hold covers the speed and the geography that are asked for', () => {
  const factors = { speeds: { fast: '2' }, geographies: { us: '1.1' } };
  const priced: PriceSnapshot = { ...snapshot, price: { ...plain, ...factors } };
  const wire = { model: 'm', max_tokens: 100, messages: [], speed: 'fast', inference_geo: 'us' };
  const asked = extrasOf(anthropicMessages.request.decode(wire, {}));
  const bound = { inputTokens: 1000, outputTokens: 100 };
  assert.equal(quote(priced, { ...bound, ...asked }), (quote(snapshot, bound) * 22) / 10);
});

test('a hold covers the dearest geography where none is asked for: the vendor takes that of its customer', () => {
  const geographies = { eu: '1', us: '1.1', home: '0.9' };
  const priced: PriceSnapshot = { ...snapshot, price: { ...plain, geographies } };
  const bound = { inputTokens: 1000, outputTokens: 100 };
  const list = quote(snapshot, bound);
  assert.equal(quote(priced, bound), (list * 11) / 10);
  for (const geography of ['global', 'eu', 'home'])
    assert.equal(quote(priced, { ...bound, geography }), list);
});

test('where long prompts are cheaper, a hold still covers one that turns out to be shorter', () => {
  const tiers = [{ above_input_tokens: 900, units: { input: '0.1', cache_write: '0.1' } }];
  const priced: PriceSnapshot = { ...snapshot, price: { ...plain, tiers } };
  const held = quote(priced, { inputTokens: 1000, outputTokens: 10 });
  const charged = rate(priced, { cacheWriteTokens: 900, outputTokens: 10 }).amountNanoUsd;
  assert.ok(charged <= held, `${charged} charged, ${held} held`);
});

function decode(body: object): ChatRequest {
  return openaiChat.request.decode({ model: 'm', messages: [], ...body }, {});
}

test('the extras of a request are read from its parts, tools and wishes', () => {
  const sound = { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } };
  const picture = { type: 'image_url', image_url: { url: 'https://example.org/cat.png' } };
  assert.deepEqual(extrasOf(decode({ messages: [{ role: 'user', content: 'hello' }] })), {
    units: [],
    serviceTier: undefined,
  });
  const many = decode({
    messages: [{ role: 'user', content: [sound, picture] }],
    modalities: ['text', 'audio'],
    audio: { voice: 'alloy', format: 'wav' },
    service_tier: 'priority',
    web_search_options: {},
  });
  assert.deepEqual(extrasOf(many), {
    units: ['input_audio', 'input_image', 'output_audio'],
    serviceTier: 'priority',
    webSearches: 10,
  });
});

test('a search that a plugin of the vendor makes is held for as one of a tool', () => {
  const messages = [{ role: 'user', content: 'news' }];
  assert.equal(
    extrasOf(decode({ messages, plugins: [{ id: 'web', max_results: 3 }] })).webSearches,
    10,
  );
  const others = [{ id: 'file-parser' }, { id: 'web', enabled: false }];
  assert.equal(extrasOf(decode({ messages, plugins: others })).webSearches, undefined);
});

test('the dearest of no quotes is nothing', () => {
  assert.equal(dearest([]), 0);
  assert.equal(dearest([nanoUsd(3), nanoUsd(9), nanoUsd(4)]), 9);
});
