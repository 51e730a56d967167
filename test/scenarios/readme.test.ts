/** The examples of both READMEs, as they stand there, against a gateway with simulated vendors. */

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startRig, type Rig } from './rig.ts';

const root = path.resolve(import.meta.dirname, '../..');
const runFile = promisify(execFile);
const printed = 'http://127.0.0.1:8080';

let rig: Rig;

before(async () => {
  rig = await startRig({
    vendors: [
      { id: 'simulated', channel: { models: ['sim-chat'] } },
      { id: 'a', channel: { provider: 'anthropic', models: ['claude-opus-4-6'] } },
      { id: 'o', channel: { provider: 'openai', models: ['gpt-5.2-pro'] } },
    ],
  });
});

after(() => rig.close());

/** Code blocks of a language, with the address of this gateway. */
function blocks(page: string, language: string): readonly string[] {
  const text = readFileSync(path.join(root, page), 'utf8');
  const found = [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))];
  return found.map((match) => (match[1] ?? '').replaceAll(printed, rig.url));
}

/** What a program prints with the key in its environment. */
async function outputOf(file: string, ...words: string[]): Promise<string> {
  const env = { PATH: process.env['PATH'], MANIFOLD_KEY: rig.key };
  const { stdout } = await runFile(file, words, { cwd: root, env, timeout: 30_000 });
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
    if (spawnSync('python3', ['-c', 'import anthropic']).status !== 0) {
      t.skip('the Python library is not installed; npm run test:clients has it');
      return;
    }
    assert.match(await outputOf('python3', '-c', code), /simulator speaking/);
  });
}
