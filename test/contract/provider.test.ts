/** Every provider and every case of its fixture folder. `npm test -- contract --grep acme` runs one. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { providersById, type Provider } from '#providers';
import { assertCaseReads, assertFileIsFilledIn, casesOf, fixturesFolder } from './provider.ts';

const providers = Object.values<Provider>(providersById).filter(
  ({ id }) => !id.startsWith('compatible-'),
);

for (const provider of providers) {
  test(`${provider.id}: the file says who the vendor is`, () => assertFileIsFilledIn(provider));
  for (const fixture of casesOf(provider.id)) {
    test(`${provider.id}/${fixture.name}: reads as the vendor meant it`, () =>
      assertCaseReads(provider, fixture));
  }
}

test('every fixture folder belongs to a provider', () => {
  const folders = existsSync(fixturesFolder)
    ? readdirSync(fixturesFolder, { withFileTypes: true })
    : [];
  const known = new Set(providers.map(({ id }) => id));
  const strangers = folders.filter((entry) => entry.isDirectory() && !known.has(entry.name));
  assert.deepEqual(
    strangers.map(({ name }) => path.join('test/fixtures/providers', name)),
    [],
  );
});
