/**
 * `npm run test:crash`: kills, power cuts, full disks and long models, one after another; minutes.
 * `npm run test:crash ledger-kill 20` runs one with its arguments. A program takes part by saying in
 * its first comment how it is called.
 */

import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { printOutcome, root, run } from './run.ts';

const limitMs = 30 * 60_000;
const folder = 'test/crash';

const names = globSync(`${folder}/*.ts`, { cwd: root })
  .filter((file) => readFileSync(path.join(root, file), 'utf8').includes(`\`node ${file}`))
  .map((file) => path.basename(file, '.ts'))
  .sort();

const commandOf = (name: string): string[] => [
  process.execPath,
  path.join(root, folder, `${name}.ts`),
];

async function main(): Promise<number> {
  const [chosen, ...rest] = process.argv.slice(2);
  if (chosen === undefined) return runAll();
  if (!names.includes(chosen)) {
    console.error(`there is no ${folder}/${chosen}.ts; there are ${names.join(', ')}`);
    return 1;
  }
  const [program = '', ...words] = commandOf(chosen);
  return new Promise((resolve) => {
    const child = spawn(program, [...words, ...rest], {
      cwd: root,
      stdio: 'inherit',
      timeout: limitMs,
    });
    child.once('close', (code) => resolve(code ?? 1));
  });
}

async function runAll(): Promise<number> {
  let failures = 0;
  for (const name of names) {
    const outcome = await run(name, commandOf(name), limitMs);
    printOutcome(outcome);
    if (outcome.code === 0) console.log(outcome.output.trimEnd().replace(/^/gm, '     '));
    else failures += 1;
  }
  console.log(
    failures === 0 ? `crash: ${names.length} programs hold` : `crash: ${failures} failed`,
  );
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
