/**
 * The disconnect matrix (T-B7): `node test/crash/gateway-disconnect.ts [requests per cell]`. Prints one
 * line of JSON for each cell and one for all; exits 1 when a charge is not the policy's, money stays
 * held, or a vendor is called more than 100 ms after the client has left.
 */

import { allCells, runCell } from '../scenarios/disconnect-matrix.ts';

const requests = Number(process.argv[2] ?? 200);
const cells = [...allCells()];
const total = {
  requests: 0,
  wrong: 0,
  held_nano_usd: 0,
  calls_missing: 0,
  late_calls: 0,
  too_late: 0,
};
const stopDelaysMs: number[] = [];
const lateMs: number[] = [];

async function work(): Promise<void> {
  for (let cell = cells.pop(); cell; cell = cells.pop()) {
    const report = await runCell(cell, requests);
    console.log(
      JSON.stringify({
        cell: report.name,
        requests: report.requests,
        charge_nano_usd: report.expectedNanoUsd,
        wrong: report.wrong.length,
        first_wrong: report.wrong[0],
      }),
    );
    total.requests += report.requests;
    total.wrong += report.wrong.length + Math.abs(report.requests - requests);
    total.held_nano_usd += report.heldNanoUsd;
    total.calls_missing += Math.abs(report.callsMissing);
    total.late_calls += report.lateCallsMs.length;
    total.too_late += report.lateCallsMs.filter((ms) => ms > 100).length;
    lateMs.push(...report.lateCallsMs);
    stopDelaysMs.push(...report.stopDelaysMs);
  }
}

const start = performance.now();
await Promise.all([work(), work(), work()]);
stopDelaysMs.sort((left, right) => left - right);
const at = (share: number): number | undefined =>
  stopDelaysMs[Math.min(stopDelaysMs.length - 1, Math.floor(stopDelaysMs.length * share))];
const failed = total.wrong + total.held_nano_usd + total.calls_missing + total.too_late > 0;
console.log(
  JSON.stringify({
    test: 'T-B7',
    ...total,
    late_call_max_ms: Math.max(0, ...lateMs),
    stop_p50_ms: at(0.5),
    stop_p99_ms: at(0.99),
    stop_max_ms: stopDelaysMs.at(-1),
    seconds: Math.round((performance.now() - start) / 1_000),
    ok: !failed,
  }),
);
process.exitCode = failed ? 1 : 0;
