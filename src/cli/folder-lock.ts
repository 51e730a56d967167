/** One server per data folder: a second one would take the ledger away from the first. */

import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ConfigError } from './config-error.ts';

/** SQLITE_BUSY: another process holds the lock. */
const busy = 5;

/**
 * Takes the folder until the returned function is called or the process ends, however it ends: the
 * lock is the operating system's, on an empty database that nobody writes. Throws {@link ConfigError}
 * when another server has it.
 */
export function lockFolder(folder: string): () => void {
  const database = new DatabaseSync(path.join(folder, 'serve.lock'), { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!(error instanceof Error) || !('errcode' in error) || error.errcode !== busy) throw error;
    throw new ConfigError(
      `Another Manifold serves from ${folder}. Use that one, stop it, or give this one a folder of its own: MANIFOLD_DATA=./data-2.`,
    );
  }
  return () => database.close();
}
