/**
 * A plan that knows two more rules than routing: a prompt that is too long for one model may fit
 * another, and what one vendor's filter refuses may be asked of the next model that the client named.
 * Everything else is routing's own plan.
 */

import type {
  Attempt,
  DistantPlan,
  DistantRouter,
  Explanation,
  Failure,
  Later,
  RouteRequest,
  Step,
} from '#routing';
import type { AttemptFailure } from './failure.ts';
import type { OfferCandidate } from './offers.ts';

export type FallbackRequest = RouteRequest & { readonly candidates: readonly OfferCandidate[] };

/** A plan that may begin again after the commit point, where the answer of one channel is continued by another. */
export type ResumablePlan = DistantPlan & {
  /** The running attempt has failed in the middle; what `next` gives now comes from `candidates`. */
  resume(failure: Failure, candidates: readonly OfferCandidate[]): void;
};

/** Routing's plan, continued among the candidates that a rule leaves when an offer was unsuitable. */
export function planWithFallbacks(router: DistantRouter, request: FallbackRequest): ResumablePlan {
  return new FallbackPlan(router, request);
}

class FallbackPlan implements ResumablePlan {
  readonly #router: DistantRouter;
  readonly #request: FallbackRequest;
  readonly #earlier: Later<Explanation>[] = [];
  #candidates: readonly OfferCandidate[];
  #current: DistantPlan;
  #running: Attempt | undefined;

  constructor(router: DistantRouter, request: FallbackRequest) {
    this.#router = router;
    this.#request = request;
    this.#candidates = request.candidates;
    this.#current = router.plan(request);
  }

  next(failure?: AttemptFailure['failure']): Later<Step> {
    const left = failure?.unsuitable === undefined ? undefined : this.#left(failure.unsuitable);
    if (left !== undefined && left.length > 0) {
      this.resume({ kind: 'unsuitable' }, left);
      return this.#take(this.#current.next());
    }
    return this.#take(this.#current.next(failure));
  }

  #take(step: Later<Step>): Later<Step> {
    if (step instanceof Promise) return step.then((arrived) => this.#take(arrived));
    if (step.kind === 'attempt') this.#running = step;
    return step;
  }

  /** The candidates that may still serve it. None when the client allows no fallbacks. */
  #left(reason: NonNullable<AttemptFailure['failure']['unsuitable']>): readonly OfferCandidate[] {
    const failed = this.#running?.candidate;
    if (failed === undefined || this.#request.hints?.allowFallbacks === false) return [];
    const tier = failed.tier ?? 0;
    return this.#candidates.filter((candidate) => {
      const isNamedLater = (candidate.tier ?? 0) > tier;
      if (reason === 'content-filter') return isNamedLater;
      if (failed.contextTokens === undefined || candidate.contextTokens === undefined)
        return isNamedLater;
      return candidate.contextTokens > failed.contextTokens;
    });
  }

  resume(failure: Failure, candidates: readonly OfferCandidate[]): void {
    this.#running?.failed(failure);
    const explained = this.#current.explain();
    // Nobody may ask for it.
    if (explained instanceof Promise) explained.catch(() => {});
    this.#earlier.push(explained);
    this.#current.close();
    this.#candidates = candidates;
    this.#current = this.#router.plan({ ...this.#request, candidates });
  }

  explain(): Later<Explanation> {
    const last = this.#current.explain();
    return this.#earlier.length === 0 ? last : this.#join(last);
  }

  async #join(current: Later<Explanation>): Promise<Explanation> {
    const last = await current;
    const all: Explanation[] = [];
    for (const earlier of this.#earlier) all.push(await earlier);
    all.push(last);
    return {
      ...last,
      admission: all[0]?.admission ?? last.admission,
      decisions: all.flatMap((each) => each.decisions),
      attempts: all.flatMap((each) => each.attempts),
    };
  }

  close(): void {
    this.#current.close();
  }
}
