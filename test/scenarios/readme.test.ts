/** The examples of both READMEs, as they stand there, against a gateway with simulated vendors. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { install, kits, type Installed } from '../clients/kits.ts';
import { startRig, type Rig } from './rig.ts';

const root = path.resolve(import.meta.dirname, '../..');
const runFile = promisify(execFile);
const printed = 'http://127.0.0.1:8080';

let rig: Rig;
/** The library of the Python example, in a folder that is thrown away. */
let python: Installed;
const pythonFolder = mkdtempSync(path.join(tmpdir(), 'manifold-readme-'));

before(async () => {
  const library = kits.python.packages.filter((name) => name.startsWith('anthropic'));
  python = await install(
    { ...kits.python, packages: library },
    { folder: pythonFolder, signal: AbortSignal.timeout(180_000), limitMs: 180_000 },
  );
  rig = await startRig({
    vendors: [
      { id: 'simulated', channel: { models: ['sim-chat'] } },
      { id: 'a', channel: { provider: 'anthropic', models: ['claude-opus-4-6'] } },
      { id: 'o', channel: { provider: 'openai', models: ['gpt-5.2-pro'] } },
    ],
  });
});

after(async () => {
  await rig.close();
  rmSync(pythonFolder, { recursive: true, force: true });
});

/** Code blocks of a language, with the address of this gateway. */
function blocks(page: string, language: string): readonly string[] {
  const text = readFileSync(path.join(root, page), 'utf8');
  const found = [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))];
  return found.map((match) => (match[1] ?? '').replaceAll(printed, rig.url));
}

/** What a program prints with the key in its environment. */
async function outputOf(file: string, ...words: string[]): Promise<string> {
  const env = { PATH: process.env['PATH'], MANIFOLD_KEY: rig.key };
  const { stdout } = await runFile(file, words, { cwd: root, env, timeout: 90_000 });
  return stdout;
}

for (const page of ['README.md', 'README.zh-CN.md']) {
  test(`${page}: the curl lines list models and stream an answer`, async () => {
    const shell = blocks(page, 'sh').find((block) => block.includes('curl'));
    assert.ok(shell);
    const text = await outputOf('/bin/sh', '-ec', shell);
    assert.match(text, /"id":"claude-opus-4-6"/);
    assert.match(text, /data: \[DONE\]/);
  });

  test(`${page}: the TypeScript example streams an answer`, async () => {
    const [code] = blocks(page, 'ts');
    assert.ok(code);
    const text = await outputOf(process.execPath, '--input-type=module-typescript', '-e', code);
    assert.match(text, /simulator speaking/);
  });

  test(`${page}: the Python example prints an answer`, async (t) => {
    const [code] = blocks(page, 'python');
    assert.ok(code);
    if (python.skipped) {
      assert.notEqual(process.env['CI'], 'true', `needed here: ${python.skipped.reason}`);
      console.error(`SKIPPED: the Python library cannot be had: ${python.skipped.reason}`);
      t.skip(python.skipped.reason);
      return;
    }
    const program = path.join(python.folder, 'bin', 'python3');
    assert.match(await outputOf(program, '-c', code), /simulator speaking/);
  });
}
