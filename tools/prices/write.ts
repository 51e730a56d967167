/** Adds dated versions to the data files. A version that is there is never touched. */

import type { CatalogFile, Model, Price } from '#catalog';
import { asArray, type JsonValue } from '#std';
import type { Change } from './compare.ts';

export type Written = {
  readonly file: CatalogFile;
  readonly added: number;
  readonly refused: readonly string[];
};

/**
 * The file with a version for each change that concerns it. A day on or before which a version has
 * begun already is refused: what was charged must stay what it was.
 */
export function addVersions(
  file: CatalogFile,
  changes: readonly Change[],
  from: string,
  source: string,
): Written {
  const refused: string[] = [];
  let added = 0;
  const models = file.models.map((model) => {
    let next = model;
    for (const change of changes) {
      if (change.model !== model.id || change.version === undefined) continue;
      const versions = versionsOf(next, change.provider);
      const latest = versions.at(-1)?.from ?? '';
      if (latest >= from) {
        refused.push(`${model.id}: a price from ${latest} is there already`);
        continue;
      }
      added += 1;
      next = withVersions(next, change.provider, [
        ...versions,
        { from, source, ...change.version },
      ]);
    }
    return next;
  });
  return { file: { ...file, models }, added, refused };
}

function versionsOf(model: Model, provider: string | undefined): readonly Price[] {
  if (provider === undefined) return model.prices;
  const offer = model.offers[provider];
  return typeof offer === 'object' ? (offer.prices ?? []) : [];
}

function withVersions(model: Model, provider: string | undefined, prices: Price[]): Model {
  if (provider === undefined) return { ...model, prices };
  const offer = model.offers[provider];
  if (typeof offer !== 'object') return model;
  return { ...model, offers: { ...model.offers, [provider]: { ...offer, prices } } };
}

const widthMax = 118;
/** Above this depth every object is written over several lines, so that a diff shows one fact a line. */
const openIndent = 6;

/** JSON as the data files have it: what fits stays on one line from the models' fields downwards. */
export function formatCatalog(value: JsonValue): string {
  return `${format(value, 0, 0)}\n`;
}

function format(value: JsonValue, indent: number, lead: number): string {
  const line = oneLine(value);
  if (typeof value !== 'object' || value === null || line === '{}' || line === '[]') return line;
  if (indent >= openIndent && line.length + indent + lead <= widthMax) return line;
  const inner = ' '.repeat(indent + 2);
  const close = ' '.repeat(indent);
  const list = asArray(value);
  if (list) {
    return `[\n${list.map((entry) => inner + format(entry, indent + 2, 0)).join(',\n')}\n${close}]`;
  }
  const rows = Object.entries(value).map(([key, entry]) => {
    const name = `${JSON.stringify(key)}: `;
    return inner + name + format(entry ?? null, indent + 2, name.length);
  });
  return `{\n${rows.join(',\n')}\n${close}}`;
}

function oneLine(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(oneLine).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(
    ([key, entry]) => `${JSON.stringify(key)}: ${oneLine(entry ?? null)}`,
  );
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}
