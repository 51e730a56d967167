/** A worker's side of routing: plans that live with the owner, seen as if they were here. */

import type {
  Attempt,
  AttemptUsage,
  Candidate,
  DistantPlan,
  DistantRouter,
  Explanation,
  Failure,
  RateLimitSnapshot,
  RouteRequest,
  Step,
} from '#routing';
import type { DistantStep, OwnerCalls, PlanBegin } from './contract.ts';
import type { Link } from './link.ts';

/** All of a candidate that routing reads: offers carry more, which does not travel. */
const candidateFields = Object.keys({
  channelId: true,
  model: true,
  inputNanoUsdPerMillion: true,
  outputNanoUsdPerMillion: true,
  cachedInputNanoUsdPerMillion: true,
  priceChanges: true,
  capabilities: true,
  contextTokens: true,
  tier: true,
  limitGroup: true,
  firstContentFloorMs: true,
  idleMs: true,
} satisfies Record<keyof Candidate, true>) as readonly (keyof Candidate)[];

export function createDistantRouter(owner: Link<OwnerCalls>): DistantRouter {
  const lists = new Lists(owner);
  let last = 0;
  return {
    plan: (request) => {
      last += 1;
      return new FarPlan(owner, lists, last, request);
    },
  };
}

/** Which lists of candidates the owner knows, by number. It forgets those that nobody here has any more. */
class Lists {
  readonly #owner: Link<OwnerCalls>;
  readonly #numbers = new WeakMap<readonly Candidate[], number>();
  readonly #unused: FinalizationRegistry<number>;
  #last = 0;

  constructor(owner: Link<OwnerCalls>) {
    this.#owner = owner;
    this.#unused = new FinalizationRegistry((list) => this.#owner.tell('forgetCandidates', list));
  }

  place(candidates: readonly Candidate[]): Pick<PlanBegin, 'list' | 'candidates'> {
    const known = this.#numbers.get(candidates);
    if (known !== undefined) return { list: known };
    this.#last += 1;
    this.#numbers.set(candidates, this.#last);
    this.#unused.register(candidates, this.#last);
    return { list: this.#last, candidates: candidates.map(routingFields) };
  }
}

function routingFields(candidate: Candidate): Candidate {
  const fields = candidateFields
    .filter((field) => candidate[field] !== undefined)
    .map((field) => [field, candidate[field]]);
  return Object.fromEntries(fields) as Candidate;
}

class FarPlan implements DistantPlan {
  readonly #owner: Link<OwnerCalls>;
  readonly #lists: Lists;
  readonly #id: number;
  readonly #request: RouteRequest;
  #hasBegun = false;
  #lastWord: Promise<Explanation> | undefined;

  constructor(owner: Link<OwnerCalls>, lists: Lists, id: number, request: RouteRequest) {
    this.#owner = owner;
    this.#lists = lists;
    this.#id = id;
    this.#request = request;
  }

  async next(failure?: Failure): Promise<Step> {
    const begin = this.#hasBegun ? null : this.#begin();
    const step = await this.#owner.ask('next', this.#id, begin, failure ?? null);
    return step.kind === 'attempt' ? this.#attempt(step) : step;
  }

  #begin(): PlanBegin {
    this.#hasBegun = true;
    const { candidates, ...request } = this.#request;
    return { ...request, ...this.#lists.place(candidates) };
  }

  #attempt(step: Extract<DistantStep, { kind: 'attempt' }>): Attempt {
    const candidate = this.#request.candidates[step.candidate];
    if (candidate === undefined) throw new RangeError('no such candidate');
    return new FarAttempt(this.#owner, this.#id, candidate, step);
  }

  explain(): Promise<Explanation> {
    return this.#lastWord ?? this.#explained(this.#owner.ask('explain', this.#id));
  }

  close(): void {
    this.#lastWord ??= this.#explained(
      this.#hasBegun ? this.#owner.askLater('closePlan', this.#id) : undefined,
    );
    // Not everybody wants to hear it.
    this.#lastWord.catch(() => {});
  }

  async #explained(asked: Promise<Explanation | null> | undefined): Promise<Explanation> {
    return (await asked) ?? this.#nothingHappened();
  }

  #nothingHappened(): Explanation {
    const { model, class: serviceClass } = this.#request;
    return { model, class: serviceClass, admission: 'admitted', decisions: [], attempts: [] };
  }
}

class FarAttempt implements Attempt {
  readonly kind = 'attempt';
  readonly candidate: Candidate;
  readonly index: number;
  readonly timeouts: Attempt['timeouts'];
  readonly probe: boolean;
  readonly #owner: Link<OwnerCalls>;
  readonly #plan: number;
  #isLost = false;

  constructor(
    owner: Link<OwnerCalls>,
    plan: number,
    candidate: Candidate,
    { index, timeouts, probe }: Extract<DistantStep, { kind: 'attempt' }>,
  ) {
    this.#owner = owner;
    this.#plan = plan;
    this.candidate = candidate;
    this.index = index;
    this.timeouts = timeouts;
    this.probe = probe;
  }

  get channelId(): string {
    return this.candidate.channelId;
  }

  get model(): string {
    return this.candidate.model;
  }

  sent(): void {
    this.#owner.tell('sent', this.#plan, this.index);
  }

  headers(snapshot: RateLimitSnapshot): void {
    if (snapshot.readings.length === 0 && snapshot.retryAfterMs === undefined) return;
    this.#owner.tell('headers', this.#plan, this.index, snapshot);
  }

  /** What the owner said when it was last asked; who asks now and then has the answer of the last time. */
  isLost(): boolean {
    this.#owner.ask('isLost', this.#plan, this.index).then(
      (isLost) => (this.#isLost = isLost),
      () => {},
    );
    return this.#isLost;
  }

  firstContent(): void {
    this.#owner.tell('firstContent', this.#plan, this.index);
  }

  finished(usage?: AttemptUsage): void {
    this.#owner.tell('finished', this.#plan, this.index, usage ?? null);
  }

  failed(failure: Failure): void {
    this.#owner.tell('failed', this.#plan, this.index, failure);
  }
}
