/**
 * Lost and resumed streams (part of T-B11): `node test/crash/gateway-resume.ts [streams] [at once] [seed]`.
 * Prints one line of JSON; exits 1 unless each stream has its whole text, one call and one charge.
 */

import { runResumes } from '../scenarios/disconnect-resume.ts';

const streams = Number(process.argv[2] ?? 1_000);
const seed = Number(process.argv[4] ?? Date.now() % 1_000_000_000);
const start = performance.now();
const report = await runResumes(streams, Number(process.argv[3] ?? 60), seed);
const ok =
  report.wrongTexts + report.differentReplays + report.wrongCharges + report.heldNanoUsd === 0 &&
  report.vendorCalls === streams + report.retries.length &&
  report.charges === streams;
console.log(
  JSON.stringify({
    test: 'resume',
    seed,
    ...report,
    seconds: Math.round((performance.now() - start) / 1_000),
    ok,
  }),
);
process.exitCode = ok ? 0 : 1;
