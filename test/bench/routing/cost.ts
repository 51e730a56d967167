/** CPU time of one choice (plan and first attempt, without the feedback that follows) of the real router, among few and many channels. */

import { seededRandom } from '#std';
import { createRouter, type Attempt, type Candidate, type Plan } from '#routing';

export type DecisionCost = {
  readonly candidates: number;
  readonly microseconds: number;
  readonly limit: number;
};

const cases = [
  { candidates: 20, limit: 5 },
  { candidates: 200, limit: 20 },
];

type Chosen = { readonly plan: Plan; readonly attempt: Attempt };

const batchSize = 250;
const batches = 100;
const warmUpBatches = 20;

/** Median of several rounds: other work on the machine must not decide. */
export function measureDecisionCost(): readonly DecisionCost[] {
  return cases.map(({ candidates, limit }) => {
    // The compiler's own threads count too until it is done: a server has run for longer than that.
    for (let round = 0; round < 5; round++) measureRound(candidates);
    const rounds: number[] = [];
    for (let round = 0; round < 9; round++) rounds.push(measureRound(candidates));
    rounds.sort((left, right) => left - right);
    return { candidates, limit, microseconds: rounds[4] ?? NaN };
  });
}

function measureRound(count: number): number {
  let nowMs = 1_000_000;
  const clock = { now: () => nowMs, monotonic: () => nowMs };
  const random = seededRandom(1);
  const router = createRouter({ clock, random });
  const ids = Array.from({ length: count }, (_, index) => `channel-${index}`);
  router.update(
    ids.map((id) => ({
      id,
      limits: { tokensPerMinute: 1e9, requestsPerMinute: 1e7 },
    })),
  );
  const candidates: readonly Candidate[] = ids.map((channelId, index) => ({
    channelId,
    model: 'model',
    inputNanoUsdPerMillion: 500_000_000 + index * 1_000_000,
    outputNanoUsdPerMillion: 2_000_000_000,
  }));
  const choose = (index: number): Chosen => {
    nowMs += 1;
    const plan = router.plan({
      model: 'model',
      candidates,
      inputTokens: 1_000 + (index % 7) * 300,
      outputTokensMaximum: 500,
      outputTokensExpected: 200,
      class: 'interactive',
      userId: `user-${index % 50}`,
      sessionKey: `session-${index % 500}`,
      deadlineMs: nowMs + 60_000,
    });
    const step = plan.next();
    if (step.kind !== 'attempt') throw new Error('no attempt');
    return { plan, attempt: step };
  };
  let index = 0;
  let usedMicroseconds = 0;
  for (let batch = 0; batch < batches; batch++) {
    const chosen: Chosen[] = [];
    const started = process.cpuUsage();
    for (let count = 0; count < batchSize; count++) chosen.push(choose(index++));
    const used = process.cpuUsage(started);
    if (batch >= warmUpBatches) usedMicroseconds += used.user + used.system;
    for (const { plan, attempt } of chosen) {
      attempt.sent();
      attempt.firstContent();
      attempt.finished();
      plan.close();
    }
  }
  return usedMicroseconds / ((batches - warmUpBatches) * batchSize);
}
