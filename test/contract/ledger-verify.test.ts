/** Rows changed by another hand: what `verify` has to notice besides amounts and hashes. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { openFixture } from './ledger-fixture.ts';
import { runLine } from './ledger-script.ts';

const changes = [
  ['a lot that was given to another wallet', "UPDATE lots SET wallet_id = 'v'", 'lot_balance'],
  ['a gift that became refundable', "UPDATE lots SET kind = 'paid'", 'lot_balance'],
  ['a lot that would be paid back elsewhere', "UPDATE lots SET source = 'card:x'", 'lot_balance'],
  ['a lot that would be spent later', 'UPDATE lots SET created_at_ms = 9e14', 'lot_balance'],
  [
    'a request that is charged and held again',
    "UPDATE holds SET request_id = 'done'",
    'hold_resolved',
  ],
] as const;

for (const [what, sql, kind] of changes)
  test(`verify notices ${what}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'manifold-verify-'));
    const path = join(folder, 'ledger.db');
    const fixture = await openFixture(path, async () =>
      rmSync(folder, { recursive: true, force: true }),
    );
    for (const line of [
      'credit w gift 1000 e1',
      'reserve done w 10',
      'settle done 7',
      'reserve open w 10',
      'verify',
    ])
      assert.match(await runLine(fixture, line), /^ok/);
    await fixture.restart();
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
    assert.match(await runLine(fixture, 'verify'), new RegExp(`^${kind}`));
    await fixture.close();
  });
