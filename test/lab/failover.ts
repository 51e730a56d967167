/** The long runs about failover, with their counts: `node test/lab/failover.ts`. About four minutes. */

import { continuedCuts } from './continued-cuts.ts';
import { blackHole, midStreamCuts, predicted429, retryAmplification } from './failover-runs.ts';

const seed = Number(process.env['SEED'] ?? 1);
const problems: string[] = [];

function judge(name: string, isGood: boolean, figures: object): void {
  if (!isGood) problems.push(name);
  console.log(`${isGood ? 'ok     ' : 'FAILED '} ${name}: ${JSON.stringify(figures)}`);
}

const amplification = await retryAmplification({ requests: 2_000, concurrency: 20 });
judge(
  'retry amplification with all channels failing ≤ 1.2',
  amplification.upstreamCalls <= 1.2 * amplification.requests + 1 &&
    amplification.chargedNanoUsd === 0,
  amplification,
);

const hole = await blackHole({ requests: 500, concurrency: 20 });
judge(
  'no request waits for a black hole longer than its time-out and a second',
  hole.failed === 0 && hole.slowestBeyondTimeoutMs <= 1_000,
  hole,
);

const predicted = await predicted429({
  requests: 100_000,
  answers: 2_500,
  concurrency: 20,
  perMinute: 600,
  tokensPerMinute: 2_000_000,
});
judge(
  '429s run into with right headers ≤ 1 in 1,000, and 95 % of what they admit used (requests)',
  predicted.upstream429 * 1_000 <= predicted.upstreamCalls &&
    predicted.other === 0 &&
    predicted.refused > 0 &&
    predicted.unused <= 0.05,
  predicted,
);

const byTokens = await predicted429({
  requests: 100_000,
  answers: 2_500,
  concurrency: 20,
  perMinute: 60_000,
  tokensPerMinute: 300_000,
});
judge(
  '429s run into with right headers ≤ 1 in 1,000, and 95 % of what they admit used (tokens)',
  byTokens.upstream429 * 1_000 <= byTokens.upstreamCalls &&
    byTokens.other === 0 &&
    byTokens.refused > 0 &&
    byTokens.unused <= 0.05,
  byTokens,
);

for (const cuts of await midStreamCuts(250, seed)) {
  judge(
    `streams cut in the middle, ${cuts.dialect} by its official SDK`,
    cuts.silent === 0 && cuts.wrongTexts === 0,
    cuts,
  );
}

for (const cuts of await continuedCuts(250, seed)) {
  judge(
    `streams cut in the middle and continued, ${cuts.dialect} by its official SDK`,
    cuts.silent === 0 && cuts.wrongTexts === 0 && cuts.wrongReceipts === 0 && cuts.continued > 0,
    cuts,
  );
}

if (problems.length > 0) {
  console.error(`${problems.length} failed: ${problems.join('; ')}`);
  process.exitCode = 1;
}
