import { after, test } from 'node:test';
import { openFixture } from './ledger-fixture.ts';
import { checkModel } from './ledger-model-run.ts';
import { startCluster } from './ledger-postgres-cluster.ts';
import { testNodes } from './ledger-nodes.ts';
import { testLedgerContract } from './ledger.ts';

const cluster = await startCluster();

if (!cluster) test('the ledger on PostgreSQL', { skip: 'no PostgreSQL server here' }, () => undefined);
else {
  after(() => cluster.stop());
  const open = async () => openFixture(await cluster.freshUrl(), async () => undefined);
  testLedgerContract(open);
  testNodes(async () => ({ url: await cluster.freshUrl(), remove: () => undefined }), 10);

  const seed = Number(process.env['LEDGER_MODEL_SEED'] ?? 20_261_123);
  test(`random scripts agree with a naive model (seed ${seed})`, async () => {
    await checkModel({ seed, commandsMin: 600, lengthMax: 80, open });
  });
}
