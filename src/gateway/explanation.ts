/** The account of a request's routing as its record keeps it: complete for a few channels, bounded for many. */

import type { Explanation } from '#routing';
import type { JsonObject } from '#std';

const candidatesMax = 8;
const decisionsMax = 8;

type Candidate = Explanation['decisions'][number]['candidates'][number];

/**
 * Keeps the first and last decisions, and of each the chosen candidate and those with the best
 * scores; the others are counted by the reason of their rejection (`others`).
 */
export function boundedExplanation(explanation: Explanation): JsonObject {
  const { decisions } = explanation;
  const kept =
    decisions.length <= decisionsMax
      ? decisions
      : [...decisions.slice(0, decisionsMax - 1), ...decisions.slice(-1)];
  return {
    ...explanation,
    decisions: kept.map(({ candidates, ...decision }) => ({
      ...decision,
      ...boundedCandidates(candidates),
    })),
    ...(kept.length < decisions.length
      ? { decisions_left_out: decisions.length - kept.length }
      : {}),
  };
}

function boundedCandidates(candidates: readonly Candidate[]): {
  readonly candidates: readonly Candidate[];
  readonly others?: JsonObject;
} {
  if (candidates.length <= candidatesMax) return { candidates };
  const ordered = candidates.toSorted((left, right) => weight(left) - weight(right));
  const others: Record<string, number> = {};
  for (const { rejected } of ordered.slice(candidatesMax)) {
    const reason = rejected ?? 'chosen';
    others[reason] = (others[reason] ?? 0) + 1;
  }
  return { candidates: ordered.slice(0, candidatesMax), others };
}

/** Chosen first, then by score, then what has none. */
function weight({ rejected, score }: Candidate): number {
  if (rejected === null) return -Number.MAX_VALUE;
  return score ?? Number.MAX_VALUE;
}
