/** The crash tests in little: minutes become seconds, the equalities stay the same. */

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

type Outcome = { readonly code: number; readonly report: { readonly [name: string]: unknown } };

function run(program: string, ...words: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [join(import.meta.dirname, program), ...words],
      { timeout: 100_000 },
      (error, stdout, stderr) => {
        const line = stdout.trim().split('\n').at(-1) ?? '';
        if (!line.startsWith('{')) reject(new Error(`${program}: ${stderr}`, { cause: error }));
        else resolve({ code: error ? 1 : 0, report: JSON.parse(line) as Outcome['report'] });
      },
    );
  });
}

test('kill -9: vendor, client and ledger agree (T-B1, short)', async () => {
  const { code, report } = await run('ledger-kill.ts', '4', '20261123');
  assert.equal(code, 0, JSON.stringify(report));
});

test('kill -9: a call before the hold is durable is found (guard of T-B1)', async () => {
  const { code, report } = await run('ledger-kill.ts', '3', '20261123', 'send_early');
  assert.equal(code, 1, JSON.stringify(report));
  assert.ok(Number(report['orphans']) > 0);
});

test('kill -9: an answer before the settlement is durable is found (guard of T-B1)', async () => {
  const { code, report } = await run('ledger-kill.ts', '3', '20261123', 'ack_early');
  assert.equal(code, 1, JSON.stringify(report));
  assert.ok(Number(report['lostAcknowledgements']) > 0);
});

const hasStrace = spawnSync('strace', ['-V']).status === 0;
if (!hasStrace) {
  if (process.env['CI'] === 'true') throw new Error('strace is needed here for the power cut test');
  console.error('SKIPPED: the power cut test needs strace');
}

test(
  'power cut: nothing acknowledged is lost with FULL (T-B2, short)',
  { skip: !hasStrace },
  async () => {
    const { code, report } = await run('ledger-power.ts', '25', '20261123', 'FULL', '400');
    assert.equal(code, 0, JSON.stringify(report));
  },
);

test(
  'power cut: NORMAL loses what was acknowledged (guard of T-B2)',
  { skip: !hasStrace },
  async () => {
    const { code, report } = await run('ledger-power.ts', '25', '20261123', 'NORMAL', '400');
    assert.equal(code, 1, JSON.stringify(report));
    assert.ok(Number(report['lost']) > 0);
  },
);

test('a flipped bit in a receipt is located (short)', async () => {
  const { code, report } = await run('ledger-verify.ts', '1500', '4', '20261123');
  assert.equal(code, 0, JSON.stringify(report));
});
