import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCatalog, modelSchema } from '#catalog';
import { channelSchema, providersById } from '#providers';
import { buildSnapshot } from './offers.ts';

test('the router compares the prices of the hour, as they are charged', () => {
  const night = { from_minute: 0, until_minute: 360, units: { input: '1', cache_read: '0.1' } };
  const model = modelSchema.parse({
    id: 'house',
    vendor: 'own',
    offers: { simulator: 'house' },
    prices: [
      {
        from: '2026-01-01',
        source: 'test',
        units: { input: '4', cache_read: '0.4', output: '8' },
        windows: [night],
      },
    ],
  });
  const catalog = createCatalog([model], { aliases: {}, models: [] });
  const provider = providersById['simulator'];
  assert.ok(provider);
  const definition = channelSchema.parse({ id: 'one', provider: 'simulator' });
  const address = { baseUrl: 'http://127.0.0.1', baseUrls: ['http://127.0.0.1'] };
  const channel = { id: 'one', definition, provider, ...address, parameters: {}, secret: '' };
  const snapshot = buildSnapshot(catalog, [channel]);
  const pricesAt = (hour: number): readonly (number | undefined)[] =>
    snapshot
      .candidatesOf(model, 'chat', Date.UTC(2026, 10, 23, hour))
      .flatMap((candidate) => [
        candidate.inputNanoUsdPerMillion,
        candidate.cachedInputNanoUsdPerMillion,
        candidate.outputNanoUsdPerMillion,
      ]);
  assert.deepEqual(pricesAt(5), [1e9, 1e8, 8e9]);
  assert.deepEqual(pricesAt(6), [4e9, 4e8, 8e9]);
});
