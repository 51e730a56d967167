/** The owner's side of routing: the plans of one worker, over the router that all share. */

import type {
  Attempt,
  AttemptUsage,
  Candidate,
  Explanation,
  Failure,
  Plan,
  RateLimitSnapshot,
  Router,
} from '#routing';
import type { DistantStep, PlanBegin } from './contract.ts';

type Running = {
  readonly plan: Plan;
  readonly candidates: readonly Candidate[];
  attempt?: Attempt;
};

export class Plans {
  readonly #router: Router;
  readonly #plans = new Map<number, Running>();
  /** The very lists are kept: the router knows what it has worked out of a list by its identity. */
  readonly #lists = new Map<number, readonly Candidate[]>();

  constructor(router: Router) {
    this.#router = router;
  }

  next(id: number, begin: PlanBegin | null, failure: Failure | null): DistantStep {
    const running = begin === null ? this.#plans.get(id) : this.#begin(id, begin);
    if (running === undefined) throw new Error('a plan that is closed was asked to go on');
    const step = running.plan.next(failure ?? undefined);
    if (step.kind !== 'attempt') return step;
    running.attempt = step;
    const { index, timeouts, probe } = step;
    const candidate = running.candidates.indexOf(step.candidate);
    return { kind: 'attempt', candidate, index, timeouts, probe };
  }

  #begin(id: number, { list, candidates: given, ...request }: PlanBegin): Running {
    if (given !== undefined) this.#lists.set(list, given);
    const candidates = this.#lists.get(list);
    if (candidates === undefined) throw new Error('a list of candidates was not sent');
    const running = { plan: this.#router.plan({ ...request, candidates }), candidates };
    this.#plans.set(id, running);
    return running;
  }

  forgetCandidates(list: number): void {
    this.#lists.delete(list);
  }

  sent(id: number, attempt: number): void {
    this.#attempt(id, attempt)?.sent();
  }

  headers(id: number, attempt: number, snapshot: RateLimitSnapshot): void {
    this.#attempt(id, attempt)?.headers(snapshot);
  }

  isLost(id: number, attempt: number): boolean {
    return this.#attempt(id, attempt)?.isLost() ?? false;
  }

  firstContent(id: number, attempt: number): void {
    this.#attempt(id, attempt)?.firstContent();
  }

  finished(id: number, attempt: number, usage: AttemptUsage | null): void {
    this.#attempt(id, attempt)?.finished(usage ?? undefined);
  }

  failed(id: number, attempt: number, failure: Failure): void {
    this.#attempt(id, attempt)?.failed(failure);
  }

  explain(id: number): Explanation | null {
    return this.#plans.get(id)?.plan.explain() ?? null;
  }

  close(id: number): Explanation | null {
    const plan = this.#plans.get(id)?.plan;
    this.#plans.delete(id);
    plan?.close();
    return plan?.explain() ?? null;
  }

  /** The worker is gone, and with it all it was doing. */
  closeAll(): void {
    for (const id of [...this.#plans.keys()]) this.close(id);
    this.#lists.clear();
  }

  /** What is said of an attempt after the next has begun is too late to matter. */
  #attempt(id: number, index: number): Attempt | undefined {
    const attempt = this.#plans.get(id)?.attempt;
    return attempt?.index === index ? attempt : undefined;
  }
}
