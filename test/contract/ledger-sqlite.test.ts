import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testClocks } from './ledger-clocks.ts';
import { openFixture } from './ledger-fixture.ts';
import { testNodes } from './ledger-nodes.ts';
import { testLedgerContract } from './ledger.ts';

/** T-B4 asks for 100; `LEDGER_NODE_ROUNDS=100`. */
const rounds = Number(process.env['LEDGER_NODE_ROUNDS'] ?? 10);

testLedgerContract(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-ledger-'));
  return openFixture(join(folder, 'ledger.db'), async () =>
    rmSync(folder, { recursive: true, force: true }),
  );
});

async function freshUrl() {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-nodes-'));
  return {
    url: join(folder, 'ledger.db'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

testNodes(freshUrl, rounds);
testClocks(freshUrl);
