/** `npm run gen`: writes the generated files. `--check` writes nothing and fails when one is stale. */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generatedDocuments, generatedFiles, type GeneratedFile } from './generate.ts';
import { root } from './run.ts';
import { treeOfFolder } from './tidy/tree.ts';

const check = process.argv.includes('--check');
const tree = treeOfFolder(root);

function write(files: readonly GeneratedFile[]): number {
  const stale = files.filter(({ path: file, text }) => tree.read(file) !== text);
  for (const { path: file, text } of stale) {
    console.log(`${file}: ${check ? 'stale, run npm run gen' : 'written'}`);
    if (check) continue;
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  }
  return stale.length;
}

const count = write(generatedFiles(tree)) + write(await generatedDocuments(tree));
if (count === 0) console.log('all generated files are fresh');
if (check && count > 0) process.exitCode = 1;
