/** What must hold of every quote: properties, run briefly by the gate and at length beside it. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Usage } from '#canonical';
import { builtInModels } from '#catalog';
import { nanoUsd } from '#std';
import { affordableOutputTokens, quote, type Extras } from './quote.ts';
import { rate, type PriceSnapshot } from './rate.ts';

export const seed = 20_261_124;

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

const extras: fc.Arbitrary<Extras> = fc.record({
  units: fc.constantFrom(
    [],
    ['cache_write_1h'] as const,
    ['input_audio', 'output_audio'] as const,
    ['input_image', 'output_image'] as const,
  ),
  serviceTier: fc.constantFrom(undefined, 'flex', 'priority'),
  speed: fc.constantFrom(undefined, 'standard', 'fast'),
  geography: fc.constantFrom(undefined, 'global', 'us'),
  webSearches: fc.constantFrom(0, 10),
});

/** A vendor serves in the tier that was asked for, or in its ordinary one. */
const isServedAsAsked = fc.boolean();

export const quoteCovers = fc.property(
  snapshots,
  tokens,
  tokens,
  extras,
  fc.tuple(share, share, share, share, share),
  isServedAsAsked,
  (snapshot, inputTokens, outputTokens, extra, [a, b, c, d, e], servedAsAsked) => {
    const allowed = (unit: string): boolean => extra.units?.some((name) => name === unit) ?? false;
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
      serviceTier: servedAsAsked ? extra.serviceTier : 'default',
      speed: servedAsAsked ? extra.speed : 'standard',
      geography: servedAsAsked ? (extra.geography ?? 'us') : 'not_available',
    };
    const charged = rate(snapshot, usage).amountNanoUsd;
    assert.ok(charged <= quote(snapshot, { ...extra, inputTokens, outputTokens }));
  },
);

export const affordableFits = fc.property(
  snapshots,
  tokens,
  fc.nat(2_000_000_000),
  fc.nat(200_000),
  (snapshot, inputTokens, available, atMost) => {
    const affordable = affordableOutputTokens(snapshot, inputTokens, nanoUsd(available), atMost);
    const costs = (outputTokens: number): number => quote(snapshot, { inputTokens, outputTokens });
    assert.ok(affordable >= -1 && affordable <= atMost);
    if (affordable >= 0) assert.ok(costs(affordable) <= available);
    else assert.ok(costs(0) > available);
    if (affordable < atMost && affordable >= 0) assert.ok(costs(affordable + 1) > available);
  },
);
