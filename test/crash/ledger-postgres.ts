/**
 * Runs another program of this folder against a private, flushing PostgreSQL:
 * `node test/crash/ledger-postgres.ts kill 200 SEED`, `… cost 100 20000`, `… model 100000 SEED`.
 */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { openFixture } from '../contract/ledger-fixture.ts';
import { checkModel } from '../contract/ledger-model-run.ts';
import { startCluster } from '../contract/ledger-postgres-cluster.ts';

const [program = 'kill', first = '200', second = '1'] = process.argv.slice(2);
const cluster = await startCluster('on');
if (!cluster) process.exit(0);
try {
  if (program === 'model') {
    const seed = Number(second);
    const commands = await checkModel({
      seed,
      commandsMin: Number(first),
      lengthMax: 400,
      open: async () => openFixture(await cluster.freshUrl(), async () => undefined),
    });
    console.log(JSON.stringify({ test: 'T-B3', store: 'postgres', seed, commands, violations: 0 }));
  } else {
    const url = await cluster.freshUrl();
    const words = program === 'kill' ? [first, second, 'none', url] : [first, second, url];
    const result = spawnSync(
      process.execPath,
      [join(import.meta.dirname, `ledger-${program}.ts`), ...words],
      { stdio: 'inherit' },
    );
    process.exitCode = result.status ?? 1;
  }
} finally {
  cluster.stop();
}
