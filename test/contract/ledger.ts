/** The contract of the ledger, run over every database: text cases, and what needs concurrency. */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { nanoUsd } from '#std';
import { parseScript, runLine, type LedgerFixture } from './ledger-script.ts';

const casesFolder = join(import.meta.dirname, 'ledger-cases');

export type OpenFixture = () => Promise<LedgerFixture>;

export function testLedgerContract(open: OpenFixture): void {
  const files = readdirSync(casesFolder).filter((name) => name.endsWith('.txt'));
  assert.ok(files.length > 5, 'the ledger cases are missing');
  for (const file of files) {
    test(`${file.replace('.txt', '').replaceAll('-', ' ')}`, async () => {
      const fixture = await open();
      try {
        for (const line of parseScript(readFileSync(join(casesFolder, file), 'utf8'))) {
          assert.equal(
            await runLine(fixture, line.command),
            line.expected,
            `${file}:${line.number} ${line.command}`,
          );
        }
        assert.equal(await runLine(fixture, 'verify'), 'ok', `${file}: the books at the end`);
      } finally {
        await fixture.close();
      }
    });
  }
  testConcurrency(open);
  testArguments(open);
}

function testConcurrency(open: OpenFixture): void {
  test('an account adds up exactly beyond 64 bits, and goes on after a restart', async () => {
    await withFixture(open, async (fixture) => {
      const gifts = Array.from({ length: 1_030 }, (_, index) =>
        runLine(fixture, `credit w${index} gift 9000000000000000 e${index}`),
      );
      assert.ok((await Promise.all(gifts)).every((result) => result === 'ok -9000000000000000'));
      await fixture.restart();
      assert.equal(await runLine(fixture, 'credit w paid 5 e'), 'ok -5');
      assert.equal(await runLine(fixture, 'account promo'), 'debits 9270000000000000000 credits 0');
      assert.equal(await runLine(fixture, 'verify'), 'ok');
    });
  });

  test('1,000 concurrent requests on a balance for 10 admit exactly 10', async () => {
    await withFixture(open, async (fixture) => {
      await runLine(fixture, 'credit w paid 1009 e1');
      const results = await Promise.all(
        Array.from({ length: 1000 }, (_, index) => runLine(fixture, `reserve r${index} w 100`)),
      );
      assert.equal(results.filter((result) => result === 'ok 100').length, 10);
      assert.equal(
        results.filter((result) => result === 'insufficient_balance available 9 required 100')
          .length,
        990,
      );
      assert.equal(await runLine(fixture, 'balance w'), 'posted 1009 pending 1000 available 9');
    });
  });

  test('a budget holds exactly under concurrency while the wallet has plenty', async () => {
    await withFixture(open, async (fixture) => {
      await runLine(fixture, 'credit w paid 1000000 e1');
      const results = await Promise.all(
        Array.from({ length: 300 }, (_, index) =>
          runLine(fixture, `reserve r${index} w 100 key:k1:daily=750 project:p1:monthly=900`),
        ),
      );
      assert.equal(results.filter((result) => result === 'ok 100').length, 7);
      assert.equal(results.filter((result) => result.startsWith('budget_exceeded k1')).length, 293);
      assert.equal(await runLine(fixture, 'budget k1 daily'), 'spent 0 pending 700');
    });
  });

  test('a top-up event that arrives 1,000 times at once credits once', async () => {
    await withFixture(open, async (fixture) => {
      const results = await Promise.all(
        Array.from({ length: 1000 }, () => runLine(fixture, 'credit w paid 500 e1')),
      );
      assert.equal(results.filter((result) => result === 'ok -500').length, 1);
      assert.equal(results.filter((result) => result === 'ok -500 repeat').length, 999);
      assert.equal(await runLine(fixture, 'balance w'), 'posted 500 pending 0 available 500');
    });
  });

  test('100 concurrent requests with one idempotency key make one hold', async () => {
    await withFixture(open, async (fixture) => {
      await runLine(fixture, 'credit w paid 100000 e1');
      const results = await Promise.all(
        Array.from({ length: 100 }, (_, index) =>
          runLine(fixture, `reserve r${index} w 100 idem=k/h`),
        ),
      );
      assert.equal(results.filter((result) => result === 'ok 100').length, 1);
      assert.equal(
        results.filter((result) => result === 'idempotency_duplicate r0 open').length,
        99,
      );
      assert.equal(
        await runLine(fixture, 'reserve other w 100 idem=k/different'),
        'idempotency_mismatch r0',
      );
    });
  });

  test('concurrent settlements of one request charge once', async () => {
    await withFixture(open, async (fixture) => {
      await runLine(fixture, 'credit w paid 1000 e1');
      await runLine(fixture, 'reserve r w 500');
      const results = await Promise.all(
        Array.from({ length: 50 }, () => runLine(fixture, 'settle r 300')),
      );
      assert.equal(results.filter((result) => result === 'ok 300').length, 1);
      assert.equal(results.filter((result) => result === 'ok 300 repeat').length, 49);
      assert.equal(await runLine(fixture, 'balance w'), 'posted 700 pending 0 available 700');
    });
  });

  test('a statement pages through all receipts, the indexed and the recent ones, newest first', async () => {
    await withFixture(open, async (fixture) => {
      await runLine(fixture, 'credit w paid 1000000 e1');
      const count = 2200;
      for (let start = 0; start < count; start += 100) {
        fixture.clock.advance(1);
        const ids = Array.from(
          { length: 100 },
          (_, index) => `r${String(start + index).padStart(5, '0')}`,
        );
        await Promise.all(
          ids.flatMap((id) => [
            runLine(fixture, `reserve ${id} w 1`),
            runLine(fixture, `settle ${id} 1`),
          ]),
        );
      }
      const seen: string[] = [];
      let before: string | undefined;
      do {
        const page = await fixture
          .ledger()
          .statement({ walletId: 'w', limit: 499, ...(before === undefined ? {} : { before }) });
        seen.push(
          ...page.receipts.map(
            (receipt) => `${receipt.createdAtMs} ${String(receipt.sequence).padStart(6, '0')}`,
          ),
        );
        before = page.next;
      } while (before !== undefined);
      assert.equal(seen.length, count + 1);
      assert.equal(new Set(seen).size, count + 1);
      assert.deepEqual(seen, [...seen].sort().reverse());
      const untilMs = fixture.clock.now();
      assert.equal(
        (await fixture.ledger().statement({ walletId: 'w', fromMs: untilMs, limit: 500 })).receipts
          .length,
        100,
      );
      assert.equal(
        (
          await fixture
            .ledger()
            .statement({ walletId: 'w', fromMs: untilMs - 1, untilMs, limit: 500 })
        ).receipts.length,
        100,
      );
      assert.equal((await fixture.ledger().statement({ walletId: 'nobody' })).receipts.length, 0);
    });
  });

  test('operations whose sums together pass the exact integers are booked exactly, in one batch or one by one', async () => {
    await withFixture(open, async (fixture) => {
      const most = 9_007_199_254_740_991;
      const wallets = ['a', 'b', 'c', 'd', 'e'];
      const credits = wallets.map((wallet) =>
        runLine(fixture, `credit ${wallet} paid ${most} e_${wallet}`),
      );
      assert.deepEqual(
        await Promise.all(credits),
        wallets.map(() => `ok -${most}`),
      );
      const turns = ['a', 'b', 'a'].flatMap((wallet, turn) => [
        `reserve r${turn} ${wallet} 9007199254740990 key:k_${wallet}:total=none`,
        `settle r${turn} 9007199254740989 cost=x${turn}/9007199254740991`,
        `credit ${wallet} paid 9007199254740988 again_${turn}`,
      ]);
      const results = await Promise.all(turns.map((line) => runLine(fixture, line)));
      assert.deepEqual(
        results.filter((result) => !result.startsWith('ok')),
        [],
      );
      assert.equal(
        await runLine(fixture, 'account revenue'),
        `debits 0 credits ${9_007_199_254_740_989n * 3n}`,
      );
      assert.match(await runLine(fixture, 'verify'), /^(attempt_without_intent[^;]*(; )?){3}$/);
    });
  });

  test('reserve and settle of the same request in one batch both happen', async () => {
    await withFixture(open, async (fixture) => {
      await runLine(fixture, 'credit w paid 1000 e1');
      const results = await Promise.all(
        ['reserve r w 500', 'settle r 300', 'credit w gift 50 e2', 'settle r 300'].map((line) =>
          runLine(fixture, line),
        ),
      );
      assert.deepEqual(results, ['ok 500', 'ok 300', 'ok -50', 'ok 300 repeat']);
      assert.equal(await runLine(fixture, 'verify'), 'ok');
    });
  });
}

function testArguments(open: OpenFixture): void {
  test('arguments that are bugs are thrown before anything is queued, the others of the batch go on', async () => {
    await withFixture(open, async (fixture) => {
      await runLine(fixture, 'credit w paid 1000 e1');
      const ledger = fixture.ledger();
      const base = { walletId: 'w', scopes: [], expiresAtMs: fixture.clock.now() + 1000 };
      const results = await Promise.allSettled([
        ledger.reserve({ ...base, requestId: 'r1', amountNanoUsd: nanoUsd(10) }),
        ledger.reserve({ ...base, requestId: 'r2', amountNanoUsd: nanoUsd(-10) }),
        ledger.reserve({ ...base, requestId: 'has space', amountNanoUsd: nanoUsd(10) }),
        ledger.adjust({
          walletId: 'w',
          amountNanoUsd: nanoUsd(5),
          eventId: 'x',
          actor: 'a',
          reason: ' ',
        }),
        ledger.reserve({ ...base, requestId: 'r3', amountNanoUsd: nanoUsd(10) }),
      ]);
      assert.deepEqual(
        results.map((result) => result.status),
        ['fulfilled', 'rejected', 'rejected', 'rejected', 'fulfilled'],
      );
      assert.equal(await runLine(fixture, 'balance w'), 'posted 1000 pending 20 available 980');
    });
  });
}

async function withFixture(
  open: OpenFixture,
  run: (fixture: LedgerFixture) => Promise<void>,
): Promise<void> {
  const fixture = await open();
  try {
    await run(fixture);
  } finally {
    await fixture.close();
  }
}
