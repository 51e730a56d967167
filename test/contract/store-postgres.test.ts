import { after, test } from 'node:test';
import { startCluster } from './ledger-postgres-cluster.ts';
import { testStoreContract } from './store.ts';

const cluster = await startCluster();

if (!cluster)
  test('the store on PostgreSQL', { skip: 'no PostgreSQL server here' }, () => undefined);
else {
  after(() => cluster.stop());
  testStoreContract(async () => ({ url: await cluster.freshUrl(), remove: () => undefined }));
}
