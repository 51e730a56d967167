import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChatRequest, Usage } from '#canonical';
import { builtInModels, type Price } from '#catalog';
import { openaiChat } from '#dialects';
import { nanoUsd } from '#std';
import { affordableOutputTokens, dearest, extrasOf, quote, type Extras } from './quote.ts';
import { rate, type PriceSnapshot } from './rate.ts';

const seed = 20_261_124;
const numRuns = 20_000;

const book = builtInModels().flatMap((model) => model.prices);
const snapshots: fc.Arbitrary<PriceSnapshot> = fc.record({
  version: fc.constant('test'),
  price: fc.constantFrom(...book),
  atMs: fc.nat(2_000_000_000).map((second) => second * 1000),
  factorMillionths: fc.constantFrom(1_000_000, 800_000, 1_234_567),
});

const tokens = fc.oneof(fc.nat(500), fc.nat(400_000));

/** Splits `total` at the given shares; the parts add up to at most the total. */
function split(total: number, shares: readonly number[]): number[] {
  let rest = total;
  return shares.map((share) => {
    const part = Math.floor(rest * share);
    rest -= part;
    return part;
  });
}

const share = fc.double({ min: 0, max: 1, noNaN: true });

test(`no way of using the bound costs more than its quote, at every price of the catalog (${numRuns} cases, seed ${seed})`, () => {
  const extras: fc.Arbitrary<Extras> = fc.record({
    units: fc.constantFrom(
      [],
      ['cache_write_1h'] as const,
      ['input_audio', 'output_audio'] as const,
      ['input_image', 'output_image'] as const,
    ),
    serviceTier: fc.constantFrom(undefined, 'flex', 'priority'),
    webSearches: fc.constantFrom(0, 10),
  });
  fc.assert(
    fc.property(
      snapshots,
      tokens,
      tokens,
      extras,
      fc.tuple(share, share, share, share, share),
      (snapshot, inputTokens, outputTokens, extra, [a, b, c, d, e]) => {
        const allowed = (unit: string): boolean =>
          extra.units?.some((name) => name === unit) ?? false;
        const [read, write, long, audio, image] = split(inputTokens, [a, b, c, d, e]);
        const [reasoning, outAudio, outImage, output] = split(outputTokens, [e, d, c, b]);
        const usage: Usage = {
          cacheReadTokens: read,
          cacheWriteTokens: write,
          ...(allowed('cache_write_1h') ? { cacheWriteLongTokens: long } : { inputTokens: long }),
          ...(allowed('input_audio') ? { inputAudioTokens: audio } : {}),
          ...(allowed('input_image') ? { inputImageTokens: image } : {}),
          reasoningTokens: reasoning,
          ...(allowed('output_audio') ? { outputAudioTokens: outAudio } : {}),
          ...(allowed('output_image') ? { outputImageTokens: outImage } : {}),
          outputTokens: output,
          webSearches: extra.webSearches,
          serviceTier: extra.serviceTier,
        };
        const charged = rate(snapshot, usage).amountNanoUsd;
        assert.ok(charged <= quote(snapshot, { ...extra, inputTokens, outputTokens }));
      },
    ),
    { seed, numRuns },
  );
});

test(`what is affordable fits, and one token more does not (${numRuns} cases, seed ${seed})`, () => {
  fc.assert(
    fc.property(
      snapshots,
      tokens,
      fc.nat(2_000_000_000),
      fc.nat(200_000),
      (snapshot, inputTokens, available, atMost) => {
        const affordable = affordableOutputTokens(
          snapshot,
          inputTokens,
          nanoUsd(available),
          atMost,
        );
        const costs = (outputTokens: number): number =>
          quote(snapshot, { inputTokens, outputTokens });
        assert.ok(affordable >= -1 && affordable <= atMost);
        if (affordable >= 0) assert.ok(costs(affordable) <= available);
        else assert.ok(costs(0) > available);
        if (affordable < atMost && affordable >= 0) assert.ok(costs(affordable + 1) > available);
      },
    ),
    { seed, numRuns },
  );
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

test('the dearest of no quotes is nothing', () => {
  assert.equal(dearest([]), 0);
  assert.equal(dearest([nanoUsd(3), nanoUsd(9), nanoUsd(4)]), 9);
});
