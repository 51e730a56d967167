/**
 * What a gateway does in one process it does in a worker too: scenarios of routing, limits and money
 * once more, with everything that requests share behind a pipe.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const suites = [
  'chat',
  'continuation',
  'failover',
  'key-limits',
  'money-oversell',
  'money-short',
  'responses-items',
  'routing-explained',
];

test('the scenarios hold in a worker', async () => {
  const files = suites.map((name) => join(import.meta.dirname, `${name}.test.ts`));
  // In its own context: else the runner takes the inner one for a part of itself.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const said = await new Promise<string>((done, failed) => {
    execFile(
      process.execPath,
      ['--test', '--test-concurrency=2', '--test-reporter=spec', ...files],
      { env: { ...environment, MANIFOLD_RIG: 'worker' }, timeout: 300_000, maxBuffer: 2 ** 26 },
      (error, stdout) => {
        if (error) failed(new Error(stdout, { cause: error }));
        else done(stdout);
      },
    );
  });
  const [, passed] = /^ℹ pass (\d+)$/m.exec(said) ?? [];
  assert.ok(Number(passed) >= 50, said);
});
