/**
 * Rounding (T-B12): `node test/crash/rounding.ts [cases] [seed]`. Random units and prices through
 * the rating of `#metering`, against exact rationals in BigInt: the charge is never below the exact
 * price, and less than one nano-USD above it; the sum of receipts is the ledger. One line of JSON.
 */

import { nanoUsd, seededRandom, systemClock } from '#std';
import { openLedger } from '#ledger';
import { rateLines } from '#metering';
import { openStore } from '#store';

const cases = Number(process.argv[2] ?? 10_000_000);
const seed = Number(process.argv[3] ?? 12);
const random = seededRandom(seed);
const million = 1_000_000n;

let wrong = 0;
for (let index = 0; index < cases; index += 1) {
  const { lines, factorMillionths, exact } = randomBill();
  const charge = BigInt(rateLines(lines, factorMillionths)) * million * million;
  if (charge < exact || charge - exact >= million * million) wrong += 1;
}

const settled = 2000;
const store = await openStore({ url: 'sqlite::memory:', clock: systemClock });
const ledger = openLedger({ store, clock: systemClock });
await ledger.credit({
  walletId: 'w',
  amountNanoUsd: nanoUsd(4e15),
  lotKind: 'paid',
  source: 'test',
  eventId: 'once',
  actor: 'test',
});
let sum = 0n;
for (let index = 0; index < settled; index += 1) {
  const { lines, factorMillionths } = randomBill();
  const charge = rateLines(lines, factorMillionths);
  const requestId = `r${index}`;
  await ledger.reserve({
    requestId,
    walletId: 'w',
    amountNanoUsd: charge,
    scopes: [],
    expiresAtMs: systemClock.now() + 60_000,
  });
  const result = await ledger.settle({
    requestId,
    chargeNanoUsd: charge,
    attempts: [],
    usage: {},
    usageSource: 'provider',
    priceVersion: 'v1',
    formula: '',
    lines: lines.map((line) => ({ unit: 'input', ...line })),
    detail: { factor_millionths: factorMillionths },
  });
  if (result.ok) sum += BigInt(result.receipt.chargeNanoUsd);
}
const verified = await ledger.verify({
  rate: (receipt) => rateLines(receipt.lines, Number(receipt.detail['factor_millionths'])),
});
const revenue = (await ledger.accounts('revenue'))[0]?.creditsNanoUsd ?? 0n;
const unexplained =
  4_000_000_000_000_000n - sum - BigInt((await ledger.balance('w')).postedNanoUsd);
await store.close();

const ok =
  wrong === 0 && verified.ok && verified.unrated === 0 && revenue === sum && unexplained === 0n;
console.log(
  JSON.stringify({
    test: 'T-B12',
    seed,
    cases,
    errors_of_one_nano_or_more: wrong,
    settled,
    differences: verified.differenceCount,
    sum_of_receipts_is_ledger: revenue === sum,
    ok,
  }),
);
process.exitCode = ok ? 0 : 1;

function randomBill() {
  const lines = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
    quantity: Math.floor(random() * 10 ** Math.floor(random() * 7)),
    priceNanoUsdPerMillion: Math.floor(random() * 10 ** (3 + Math.floor(random() * 9))),
  }));
  const factorMillionths = random() < 0.5 ? 1_000_000 : Math.floor(random() * 3_000_000);
  let exact = 0n;
  for (const line of lines) exact += BigInt(line.quantity) * BigInt(line.priceNanoUsdPerMillion);
  return { lines, factorMillionths, exact: exact * BigInt(factorMillionths) };
}
