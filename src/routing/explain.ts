/** Turns what a plan remembers into the JSON-able account of its decisions. */

import type { RunningAttempt } from './attempt.ts';
import { rejectionBase, type How } from './choose.ts';
import type { Admission, Candidate, Explanation, RouteRequest } from './contract.ts';
import { rejectionReasons } from './eligibility.ts';

/** One decision as recorded on the hot path: marks are scores, or `rejectionBase` plus a reason. */
export type Decision = {
  readonly atMs: number;
  readonly isPanic: boolean;
  readonly how: How;
  readonly index: number;
  readonly scores: readonly number[];
};

export type Explainable = {
  readonly request: RouteRequest;
  readonly admission: Admission;
  readonly decisions: readonly Decision[];
  readonly attempts: readonly RunningAttempt[];
};

export function explainPlan(plan: Explainable): Explanation {
  const { request } = plan;
  return {
    model: request.model,
    class: request.class,
    admission: plan.admission.kind,
    decisions: plan.decisions.map((decision) => ({
      at_ms: Math.round(decision.atMs),
      panic: decision.isPanic,
      how: decision.how,
      candidates: request.candidates.map((candidate, index) =>
        explainCandidate(
          candidate,
          decision.scores[index] ?? rejectionBase,
          index === decision.index,
        ),
      ),
    })),
    attempts: plan.attempts.map(explainAttempt),
  };
}

function explainCandidate(
  candidate: Candidate,
  mark: number,
  isChosen: boolean,
): Explanation['decisions'][number]['candidates'][number] {
  const isScore = mark < rejectionBase;
  const reason = isScore ? 'worse-score' : (rejectionReasons[mark - rejectionBase] ?? null);
  return {
    channel: candidate.channelId,
    model: candidate.model,
    score: isScore ? Math.round(mark * 1_000) / 1_000 : null,
    rejected: isChosen ? null : reason,
  };
}

function explainAttempt(attempt: RunningAttempt): Explanation['attempts'][number] {
  const after = (atMs: number): number | null =>
    Number.isNaN(atMs) ? null : Math.round(atMs - attempt.chosenAtMs);
  return {
    channel: attempt.channelId,
    model: attempt.model,
    chosen_at_ms: Math.round(attempt.chosenAtMs),
    sent_after_ms: after(attempt.sentAtMs),
    first_content_after_ms: after(attempt.firstContentAtMs),
    ended_after_ms: after(attempt.endedAtMs),
    outcome: attempt.outcome,
  };
}
