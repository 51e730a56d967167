/** T-B1 of the whole gateway in little; `node test/crash/gateway-kill.ts` is the long run. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';
import { parseJsonObject } from '#std';

it('agrees with vendors and clients after it was killed', async () => {
  const program = join(import.meta.dirname, '../crash/gateway-kill.ts');
  const said = await new Promise<string>((done, failed) => {
    execFile(
      process.execPath,
      [program, '3', '20261123', '40'],
      { timeout: 120_000 },
      (error, stdout, stderr) => {
        if (stdout === '') failed(new Error(stderr, { cause: error }));
        else done(stdout);
      },
    );
  });
  const report = parseJsonObject(said.trim()) ?? {};
  assert.equal(report['ok'], true, said);
});
