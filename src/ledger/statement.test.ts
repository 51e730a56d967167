import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#std';
import { openStore, query, textOf, type Command, type Row } from '#store';
import { readStatementPage } from './statement.ts';

/** What a step asks, with a chain in which some receipts are indexed and some are not. */
function queriesOf(): readonly Extract<Command, { run: 'query' }>[] {
  const steps = readStatementPage({ walletId: 'w', fromMs: 1, untilMs: 2, before: '2-3' });
  const chains: Row[] = [{ number: 0, sequence: 9, indexed: 5 }];
  const asked: Extract<Command, { run: 'query' }>[] = [];
  for (let next = steps.next(); next.done !== true;) {
    assert.equal(next.value.run, 'query');
    if (next.value.run === 'query') asked.push(next.value);
    next = steps.next(asked.length === 1 ? chains : []);
  }
  return asked;
}

test('a statement never makes SQLite look at all receipts', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'manifold-statement-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const store = await openStore({ url: path.join(folder, 'ledger.db'), clock: systemClock });
  const asked = queriesOf();
  assert.equal(asked.length, 3);
  for (const { sql, parameters } of asked) {
    const plan = await store.engine.read(function* () {
      return yield* query(`EXPLAIN QUERY PLAN ${sql}`, parameters);
    });
    const words = plan.map((row) => textOf(row, 'detail')).join('; ');
    assert.doesNotMatch(words, /AUTOMATIC|SCAN receipts/, `${words} for ${sql}`);
  }
  await store.close();
});
