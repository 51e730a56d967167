/** The cases of test/raw-http, read from their files. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** One connection: what is sent, and the statuses that may come back (0 stands for a bare close). */
export type RawCase = {
  readonly file: string;
  readonly name: string;
  /** All alternatives, or for two statuses of one connection the sequence; see README.md there. */
  readonly verdicts: readonly number[];
  readonly bytes: Buffer;
};

/** Reads all `*.txt` of a folder, in the form that its README.md describes. */
function readRawCases(folder: string): RawCase[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return files.toSorted().flatMap((file) => readFile(path.join(folder, file), file));
}

function readFile(place: string, file: string): RawCase[] {
  const blocks = readFileSync(place, 'utf8').split(/^=== /m).slice(1);
  return blocks.map((block) => {
    const end = block.indexOf('\n');
    const [name = '', verdict = ''] = block.slice(0, end).split(' | ');
    const verdicts = verdict.split(',').map((word) => (word === 'close' ? 0 : Number(word)));
    return { file, name, verdicts, bytes: readRequest(block.slice(end + 1)) };
  });
}

function readRequest(text: string): Buffer {
  const lines = text.endsWith('\n') ? text.slice(0, -1).split('\n') : text.split('\n');
  return Buffer.concat(
    lines.map((line) => {
      const open = /(?<!\\)(?:\\\\)*\\$/.test(line);
      return unescape(open ? line.slice(0, -1) : `${line}\\r\\n`);
    }),
  );
}

const letters: Readonly<Record<string, string>> = {
  r: '\r',
  n: '\n',
  t: '\t',
  '0': '\0',
  '\\': '\\',
};

function unescape(line: string): Buffer {
  const repeated = line.replace(/\\\{(.*?)\*(\d+)\}/g, (_all, text: string, count: string) =>
    text.repeat(Number(count)),
  );
  const plain = repeated.replace(
    /\\(?:x([0-9a-f]{2})|([rnt0\\]))/g,
    (_all, hex?: string, letter?: string) =>
      hex === undefined
        ? (letters[letter ?? ''] ?? '')
        : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(plain, 'latin1');
}

/** All cases. */
export const rawCases: readonly RawCase[] = readRawCases(
  path.join(import.meta.dirname, '../../../test/raw-http/cases'),
);
