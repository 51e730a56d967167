/** What the pages say about the program is what the program says about itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfigText } from '#cli';
import { generatedDocuments } from './generate.ts';
import { refreshed } from './reference.ts';
import { root } from './run.ts';
import { treeOfFolder } from './tidy/tree.ts';

const tree = treeOfFolder(root);

test('the generated parts of the documents are fresh', async () => {
  const documents = await generatedDocuments(tree);
  assert.ok(documents.length >= 4, 'pages with generated parts are found');
  for (const { path, text } of documents) {
    assert.equal(tree.read(path), text, `${path} is stale: run npm run gen`);
  }
});

test('only the marked parts of a page are written anew', () => {
  const page = 'a\n<!-- generated: commands -->\n\noutdated\n\n<!-- end of generated -->\nb\n';
  const text = refreshed(page);
  assert.match(text, /^a\n<!-- generated: commands -->\n\n### serve/);
  assert.match(text, /\n\n<!-- end of generated -->\nb\n$/);
  assert.doesNotMatch(text, /outdated/);
  assert.equal(refreshed(text), text);
  assert.throws(() => refreshed('<!-- generated: nothing -->'), /nobody makes/);
});

test('every configuration in the documents is accepted', async () => {
  let examples = 0;
  for (const path of tree.paths.filter((file) => /^docs\/.*\.md$|^README.*\.md$/.test(file))) {
    for (const match of (tree.read(path) ?? '').matchAll(/```yaml\n([\s\S]*?)```/g)) {
      const environment = new Proxy({}, { get: (_, name) => `value-of-${String(name)}` });
      await assert.doesNotReject(parseConfigText(match[1] ?? '', path, environment), path);
      examples += 1;
    }
  }
  assert.ok(examples >= 5, `${examples} examples`);
});

test('every header of the gateway is on the page of headers, and no other', () => {
  const page = tree.read('docs/reference/headers.md') ?? '';
  const named = new Set(page.match(/x-manifold-[a-z-]+/g));
  const used = new Set<string>();
  for (const { path, text, isTest } of tree.sources) {
    if (isTest || !/^src\/(gateway|access)\//.test(path)) continue;
    for (const name of text.match(/x-manifold-[a-z-]+/g) ?? []) used.add(name);
  }
  assert.deepEqual([...named].sort(), [...used].sort());
});
