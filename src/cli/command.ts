/** What every command gets, and how it reads its options. */

import { nearestNames } from '#catalog';
import { idPattern } from '#ledger';
import { printable } from '#std';
import { ConfigError, loadConfig, type Environment } from './config.ts';
import type { Output } from './output.ts';
import { openBooks, type Books } from './runtime.ts';

export type CommandContext = {
  readonly words: readonly string[];
  readonly values: {
    readonly [name: string]: string | boolean | readonly (string | boolean)[] | undefined;
  };
  readonly environment: Environment;
  readonly output: Output;
};

/** A text option, `undefined` when it was not given. */
export function textOption(context: CommandContext, name: string): string | undefined {
  const value = context.values[name];
  return typeof value === 'string' ? value : undefined;
}

/** A word that has to be there. */
export function requiredWord(context: CommandContext, index: number, what: string): string {
  const word = context.words[index];
  if (word === undefined)
    throw new ConfigError(`Missing: ${what}. \`manifold help\` shows how it is called.`);
  return word;
}

/** A word that the ledger takes for the name of a wallet. */
export function walletName(word: string): string {
  if (idPattern.test(word)) return word;
  throw new ConfigError(
    `\`${word.slice(0, 80)}\` cannot name a wallet. Write letters, digits and marks of ASCII without spaces, 200 at most.`,
  );
}

/** Runs `work` on the data of the configuration, beside a running server if there is one. */
export async function withBooks<T>(
  context: CommandContext,
  work: (books: Books) => Promise<T>,
): Promise<T> {
  const { config } = await loadConfig(textOption(context, 'config'), context.environment);
  // Commands may run side by side; a name of its own keeps each from fencing off the others.
  const books = await openBooks({ ...config, log_level: 'warning' }, `cli-${process.pid % 64}`);
  try {
    return await work(books);
  } finally {
    await books.store.close();
  }
}

/** Names what was perhaps meant. */
export function noSuchChannel(id: string, known: Iterable<string>, what = 'channel'): string {
  const names = [...known];
  const near = nearestNames(id, names, 3);
  const shown = near.length > 0 ? near : names.slice(0, 10);
  const hint = near.length > 0 ? 'Did you mean' : 'There are';
  const tail = near.length > 0 ? '?' : '.';
  return `There is no ${what} ${id}.${shown.length === 0 ? '' : ` ${hint} ${shown.join(', ')}${tail}`}`;
}

/** Columns of text, padded to the widest. */
export function table(texts: readonly (readonly string[])[]): string {
  const rows = texts.map((row) =>
    row.map((cell) => printable(cell).replaceAll('\n', '\\n').replaceAll('\t', '\\t')),
  );
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, (row[column] ?? '').length), 0),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
