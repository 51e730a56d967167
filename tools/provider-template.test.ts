/** What `npm run new provider` writes is in order by itself, and says plainly that it is unfinished. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixtureMinimum, providerIdIsFileName } from './tidy/providers.ts';
import { treeOf } from './tidy/tree.ts';
import { placeholderFiles } from './provider-template.ts';

const files = placeholderFiles('acme-cloud');

test('the file is named by its id and the folder shows every kind of case', () => {
  const tree = treeOf(new Map(files.map(({ path, text }) => [path, text])));
  assert.deepEqual(providerIdIsFileName(tree), []);
  assert.deepEqual(fixtureMinimum(tree), []);
});

test('no answer is invented, and nothing can be mistaken for a recording', () => {
  assert.deepEqual(
    files.filter(({ path }) => path.includes('/response.')),
    [],
  );
  const metas = files.filter(({ path }) => path.endsWith('/meta.json'));
  assert.equal(metas.length, 6);
  for (const { text } of metas) assert.match(text, /"authenticity": "placeholder"/);
});

test('the address, the documentation and the key are marked as missing or named', () => {
  const provider = files.find(({ path }) => path === 'src/providers/acme-cloud.ts')?.text ?? '';
  assert.equal(provider.match(/example\.invalid/g)?.length, 2);
  assert.match(provider, /ACME_CLOUD_API_KEY/);
  assert.match(provider, /label: 'Acme Cloud'/);
});
