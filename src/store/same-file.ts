import { statSync } from 'node:fs';
import { FinalStoreError } from './sqlite-connection.ts';

/**
 * Throws when `path` no longer leads to the file that it led to when this was made: SQLite would go on
 * writing what is gone with the process, and nobody could tell from outside.
 */
export function watchFile(path: string): () => void {
  const before = identityOf(path);
  return () => {
    if (identityOf(path) !== before)
      throw new FinalStoreError(
        'store_unavailable',
        `${path} was deleted or replaced while it was open; nothing more is written until the server is started again`,
      );
  };
}

function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}
