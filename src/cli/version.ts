/** Which version of the program this is. */

import { readFileSync } from 'node:fs';
import { asString, parseJsonObject } from '#std';

/** The version that package.json names. It is read when somebody asks, so that a start need not. */
export function version(): string {
  // A bundle keeps the address of this source, so the file is found from there as well.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return asString(parseJsonObject(text)?.['version']) ?? 'unknown';
}
