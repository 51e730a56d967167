/**
 * `npm run new provider NAME`: writes the provider's file and its fixture folder, with places to fill
 * in, and lists the provider. The contract suite then says what is missing, until nothing is.
 */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { placeholderFiles } from './provider-template.ts';
import { packageCommand, root, run } from './run.ts';

async function main(): Promise<void> {
  const [kind, name = ''] = process.argv.slice(2);
  if (kind !== 'provider') return refuse('say what to make: npm run new provider NAME');
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) {
    return refuse(
      'a name has small letters, digits and single dashes, and begins with a letter: npm run new provider acme',
    );
  }
  const files = placeholderFiles(name);
  const taken = files
    .map(({ path: file }) => file)
    .find((file) => existsSync(path.join(root, file)));
  if (taken !== undefined) return refuse(`${taken} exists already`);
  for (const { path: file, text } of files) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  }
  const generated = await run(
    'gen',
    [process.execPath, path.join(root, 'tools', 'gen.ts')],
    60_000,
  );
  await run('format', packageCommand('oxfmt/bin/oxfmt', `src/providers/${name}.ts`), 60_000);
  if (generated.code !== 0)
    return refuse(`the list of providers was not written:\n${generated.output}`);
  console.log(instructions(name));
}

function instructions(name: string): string {
  return [
    `Written: src/providers/${name}.ts and test/fixtures/providers/${name}/.`,
    '',
    `1. Fill in src/providers/${name}.ts; src/providers/provider.ts explains each field.`,
    `2. Fill in the cases below test/fixtures/providers/${name}/: request and answer as they went over the`,
    '   wire, without keys. SOURCE.md says how, and how to leave a case out.',
    `3. npm test -- contract --grep ${name}     says what is missing, until nothing is.`,
    '4. npm run check                            before you hand it in.',
  ].join('\n');
}

function refuse(message: string): void {
  console.error(message);
  process.exitCode = 1;
}

await main();
