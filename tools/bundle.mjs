/**
 * The program as one file: Node needs half a second for five hundred. The sources stay what is
 * read, tested and debugged; this is a copy that `bootstrap.mjs` makes anew whenever one changes.
 * Plain JavaScript for the same reason as bootstrap.mjs.
 */
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, stop } from 'esbuild';

/** A server that runs starts its workers from its copy, so older copies are not removed at once. */
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
 * Writes the program and `main.cjs`, which runs it, into `folder`, all at once or not at all.
 *
 * @param {{ root: string, folder: string }} where
 */
export async function makeBundle({ root, folder }) {
  const unfinished = `${folder}-${process.pid}`;
  try {
    await build({
      absWorkingDir: root,
      entryPoints: ['src/main.ts'],
      outfile: path.join(unfinished, 'program.cjs'),
      bundle: true,
      // Of modules Node cannot be given the code that was compiled for an earlier start.
      format: 'cjs',
      platform: 'node',
      target: 'node24',
      // Large, and hardly ever loaded: from where npm has put them.
      external: ['pg', 'undici'],
      plugins: [ownPlaces],
      logLevel: 'silent',
    });
    copyFileSync(path.join(root, 'tools', 'loader.cjs'), path.join(unfinished, 'main.cjs'));
    if (!existsSync(folder)) renameSync(unfinished, folder);
  } finally {
    // It is a process, and would stay beside the server that is started now.
    await stop();
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
