/**
 * `npm run prices -- import SOURCE [--only MODEL,…] [--apply] [--from YYYY-MM-DD]`: compares the catalog's prices with a
 * public price data set and prints what differs. SOURCE is a JSON file in the form of genai-prices or of
 * LiteLLM, or the name of the installed package @pydantic/genai-prices. `--apply` writes the differences
 * as versions that begin on a day to come (tomorrow unless told); nothing that holds today is changed.
 */

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { builtInModels, catalogFileSchema } from '#catalog';
import { asArray, asObject, parseJson, type JsonValue } from '#std';
import { compareBooks, type Change, type Comparison } from './prices/compare.ts';
import { readBook } from './prices/foreign.ts';
import { addVersions, formatCatalog } from './prices/write.ts';
import { root } from './run.ts';

const dataFolder = path.join(root, 'src', 'catalog', 'data');
const packageName = '@pydantic/genai-prices';
const dayMs = 86_400_000;

async function main(): Promise<void> {
  const [command, source, ...flags] = process.argv.slice(2);
  if (command !== 'import' || source === undefined)
    return refuse(
      'say what to read: npm run prices -- import FILE, or import @pydantic/genai-prices',
    );
  const from = optionOf(flags, '--from') ?? dayOf(Date.now() + dayMs);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(from))
    return refuse(`--from ${from}: write the day as YYYY-MM-DD`);
  if (from <= dayOf(Date.now()))
    return refuse(
      `--from ${from}: a price begins on a day to come, so that none of today is changed`,
    );
  const data = source === packageName ? await packageData() : fileData(source);
  const book = data === undefined ? undefined : readBook(data, from);
  if (!book) return refuse(`${source} is neither in the form of genai-prices nor of LiteLLM`);
  const only = optionOf(flags, '--only')?.split(',');
  const models = builtInModels().filter(({ id }) => only?.includes(id) ?? true);
  const comparison = compareBooks(models, book, Date.parse(from));
  print(comparison, book.prices.length);
  if (flags.includes('--apply'))
    apply(
      comparison.changes,
      from,
      `${path.basename(source)} (${book.form}), read ${dayOf(Date.now())}`,
    );
  else if (comparison.changes.length > 0)
    console.log(`\nNothing was written. Add --apply to write these as versions from ${from}.`);
}

function optionOf(flags: readonly string[], name: string): string | undefined {
  const at = flags.indexOf(name);
  return at === -1 ? undefined : flags[at + 1];
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function fileData(file: string): JsonValue | undefined {
  const parsed = parseJson(readFileSync(file, 'utf8'));
  return parsed.ok ? parsed.value : undefined;
}

/** The package hands out one vendor at a time. */
async function packageData(): Promise<JsonValue> {
  const { findProvider } = await import('@pydantic/genai-prices');
  const ids = [
    'openai',
    'anthropic',
    'google',
    'moonshotai',
    'deepseek',
    'x-ai',
    'mistral',
    'minimax',
    'cohere',
    'groq',
    'cerebras',
    'together',
    'fireworks',
  ];
  const vendors = ids
    .map((providerId) => findProvider({ providerId }))
    .filter((vendor) => vendor !== undefined);
  const parsed = parseJson(JSON.stringify(vendors));
  return parsed.ok ? parsed.value : [];
}

function print({ changes, same, missing }: Comparison, size: number): void {
  for (const { model, provider, words } of changes)
    console.log(`${model}${provider === undefined ? '' : ` at ${provider}`}: ${words.join('; ')}`);
  console.log(
    `\n${size} prices read; ${same} as here, ${changes.length} different, ${missing.length} of ours not in it.`,
  );
}

function apply(changes: readonly Change[], from: string, source: string): void {
  let total = 0;
  for (const name of readdirSync(dataFolder)
    .filter((file) => file.endsWith('.json'))
    .sort()) {
    const file = path.join(dataFolder, name);
    const written = writeFile(file, changes, from, source);
    for (const why of written.refused) console.log(`not written: ${why}`);
    total += written.added;
  }
  console.log(
    `${total} versions from ${from} written; look at them with git diff before you commit.`,
  );
}

/** Only the prices are replaced in the file's own object, so that nothing else is filled in or reordered. */
function writeFile(
  file: string,
  changes: readonly Change[],
  from: string,
  source: string,
): { readonly added: number; readonly refused: readonly string[] } {
  const raw = fileData(file);
  const written = addVersions(catalogFileSchema.parse(raw), changes, from, source);
  if (written.added === 0) return written;
  const concerned = new Set(changes.map(({ model }) => model));
  const models = new Map(
    written.file.models.filter(({ id }) => concerned.has(id)).map((model) => [model.id, model]),
  );
  const object = asObject(raw) ?? {};
  const kept = asArray(object['models']) ?? [];
  const next = kept.map((entry) => {
    const model = asObject(entry);
    const after = models.get(String(model?.['id']));
    if (!model || !after) return entry;
    const prices = after.prices.length > 0 ? { prices: after.prices } : {};
    return { ...model, offers: after.offers, ...prices };
  });
  writeFileSync(file, formatCatalog({ ...object, models: next }));
  return written;
}

function refuse(message: string): void {
  console.error(message);
  process.exitCode = 1;
}

await main();
