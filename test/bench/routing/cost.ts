/** CPU time of one choice (plan and first attempt) of the real router, among few and many channels. */

import { seededRandom } from '#std';
import { createRouter, type Candidate } from '#routing';

export type DecisionCost = {
  readonly candidates: number;
  readonly microseconds: number;
  readonly limit: number;
};

const cases = [
  { candidates: 20, limit: 5 },
  { candidates: 200, limit: 20 },
];

/** Median of several rounds: other work on the machine must not decide. */
export function measureDecisionCost(): readonly DecisionCost[] {
  return cases.map(({ candidates, limit }) => {
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
  const choices = 20_000;
  const once = (index: number): number => {
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
    step.sent();
    step.firstContent();
    step.finished();
    plan.close();
    return step.index;
  };
  for (let index = 0; index < choices / 4; index++) once(index);
  const started = process.cpuUsage();
  for (let index = 0; index < choices; index++) once(index);
  const used = process.cpuUsage(started);
  return (used.user + used.system) / choices;
}
