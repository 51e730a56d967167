import { existsSync, linkSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Writes a secret that is made once: readable by its owner only, whole or not there at all, and of
 * several processes the first wins. Does nothing when the file is there.
 */
export function writeOnce(file: string, content: string | Uint8Array): void {
  if (existsSync(file)) return;
  const draft = `${file}.${process.pid}`;
  try {
    writeFileSync(draft, content, { mode: 0o600, flush: true });
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}
