import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testStoreContract } from './store.ts';

testStoreContract(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-store-'));
  return {
    url: join(folder, 'store.db'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
});
