/**
 * What billing costs a request (T-B13 through the gateway): `node test/crash/gateway-tax.ts [requests]
 * [rounds]`. Small whole answers at 100 concurrent, in turns with the ledger and with one that says yes
 * to everything; the difference of the CPU time is the tax. Gateway, vendor and client share the
 * process, so the base is too high and only the difference is meant. One line of JSON; exits 0.
 */

import { loadavg } from 'node:os';
import type { Ledger } from '#ledger';
import { startRig, type Rig } from '../scenarios/rig.ts';

const requests = Number(process.argv[2] ?? 2_000);
const rounds = Number(process.argv[3] ?? 5);
const atOnce = 100;
const body = JSON.stringify({
  model: 'sim-chat',
  max_tokens: 50,
  messages: [{ role: 'user', content: 'A small question' }],
});

const rig = await startRig({ balanceUsd: 100 });
const { ledger } = rig.books;
const real = { reserve: ledger.reserve.bind(ledger), settle: ledger.settle.bind(ledger) };
const [sample] = await sampleOf(rig);
const yes: Pick<Ledger, 'reserve' | 'settle'> = {
  reserve: (request) =>
    Promise.resolve({
      ok: true,
      repeated: false,
      hold: {
        ...request,
        state: 'open',
        lifetime: 'process',
        scopes: [],
        createdAtMs: 0,
        context: {},
      },
    }),
  settle: (settlement) =>
    sample
      ? Promise.resolve({
          ok: true,
          repeated: false,
          receipt: {
            ...sample,
            requestId: settlement.requestId,
            chargeNanoUsd: settlement.chargeNanoUsd,
          },
        })
      : Promise.reject(new Error('no receipt to copy')),
};

await roundOf(requests);
const withLedger: number[] = [];
const without: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  Object.assign(ledger, real);
  withLedger.push(await roundOf(requests));
  Object.assign(ledger, yes);
  without.push(await roundOf(requests));
}
Object.assign(ledger, real);
await rig.close();
const median = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
const tax = median(withLedger) - median(without);
console.log(
  JSON.stringify({
    test: 'T-B13 gateway',
    requests: requests * rounds,
    at_once: atOnce,
    cpu_us_with_ledger: Math.round(median(withLedger)),
    cpu_us_without: Math.round(median(without)),
    tax_us: Math.round(tax),
    tax_percent: Math.round((tax / median(without)) * 1_000) / 10,
    load_average: loadavg().map((value) => Math.round(value * 10) / 10),
  }),
);

/** CPU microseconds a request, of all threads of this process. */
async function roundOf(count: number): Promise<number> {
  const before = process.cpuUsage();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next++ < count) await (await rig.post('/v1/chat/completions', body)).text();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

async function sampleOf(over: Rig) {
  await (await over.post('/v1/chat/completions', body)).text();
  const { receipts } = await over.books.ledger.statement({ walletId: over.walletId, limit: 1 });
  return receipts;
}
