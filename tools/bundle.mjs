/**
 * The program as a few files: Node needs half a second for five hundred. The sources stay what is
 * read, tested and debugged; this is a copy that `bootstrap.mjs` makes anew whenever one changes.
 * Plain JavaScript for the same reason as bootstrap.mjs.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** A server that runs loads parts of its copy later, so older copies are not removed at once. */
const copiesMax = 8;

/** Sources that look for files beside them find those of the checkout. */
const ownPlaces = {
  name: 'own-places',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path: file }) => {
      const place = JSON.stringify(pathToFileURL(file).href);
      const contents = readFileSync(file, 'utf8').replaceAll('import.meta.url', place);
      return { contents, loader: 'ts' };
    });
  },
};

/**
 * Writes `main.mjs` and what it loads later into `folder`, all at once or not at all.
 *
 * @param {{ root: string, folder: string }} where
 */
export async function makeBundle({ root, folder }) {
  const unfinished = `${folder}-${process.pid}`;
  try {
    await build({
      absWorkingDir: root,
      entryPoints: ['src/main.ts'],
      outdir: unfinished,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node24',
      // Large, and hardly ever loaded: from where npm has put them.
      external: ['pg', 'undici'],
      // Some of what is put in still asks for Node's modules in the old way.
      banner: {
        js: "import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(import.meta.url);",
      },
      plugins: [ownPlaces],
      logLevel: 'silent',
    });
    if (!existsSync(folder)) renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  removeOld(path.dirname(folder));
}

function removeOld(parent) {
  const copies = readdirSync(parent).map((name) => path.join(parent, name));
  const newestFirst = copies.sort(
    (left, right) => statSync(right).mtimeMs - statSync(left).mtimeMs,
  );
  for (const copy of newestFirst.slice(copiesMax)) rmSync(copy, { recursive: true, force: true });
}
