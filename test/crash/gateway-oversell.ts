/**
 * Streams at once on a small wallet (T-B4 through the gateway): `node test/crash/gateway-oversell.ts
 * [streams] [balance in USD] [rounds] [seed]`. One line of JSON a round; exits 1 when the balance was
 * negative, 1 % of the refusals were false, or receipts, ledger and vendors differ by a nano-dollar. Attempts that were
 * left because nothing came in time, which the vendor may bill in part, are told (`leftAttempts`) and no difference.
 */

import { runOversell } from '../scenarios/money-oversell.ts';

const streams = Number(process.argv[2] ?? 500);
const balanceUsd = Number(process.argv[3] ?? 1);
const rounds = Number(process.argv[4] ?? 3);
const seed = Number(process.argv[5] ?? Date.now() % 1_000_000_000);
for (let round = 0; round < rounds; round += 1) {
  const start = performance.now();
  const report = await runOversell(streams, balanceUsd, seed + round);
  const equal =
    report.receiptsNanoUsd === report.ledgerNanoUsd &&
    report.receiptsNanoUsd === report.vendorsNanoUsd &&
    report.receiptsNanoUsd === report.revenueNanoUsd;
  const ok =
    equal &&
    report.lowestAvailableNanoUsd >= 0 &&
    report.falseRefusals * 100 <= report.refusals &&
    report.pendingNanoUsd === 0 &&
    report.differences === 0;
  console.log(
    JSON.stringify({
      test: 'T-B4 gateway',
      seed: seed + round,
      balance_usd: balanceUsd,
      ...report,
      seconds: Math.round((performance.now() - start) / 1_000),
      ok,
    }),
  );
  if (!ok) process.exitCode = 1;
}
