/**
 * Well-known balancers behind the contract of routing, for comparison in the same gateway: weighted
 * random, and power of two choices by peak EWMA. They know no limits, no breakers and no waiting.
 */

import type {
  Attempt,
  Candidate,
  Explanation,
  Failure,
  GiveUp,
  GiveUpReason,
  Plan,
  Router,
  RouteRequest,
  Step,
} from '#routing';
import type { Clock, Random } from '#std';

export type BaselinePolicy = 'weighted-random' | 'p2c-peak-ewma';

type Node = { ewmaMs: number; stampMs: number; pending: number };

const decayMs = 10_000;
const attemptsMax = 3;
const errorPenaltyMs = 1_000;

export function createBaselineRouter(policy: BaselinePolicy, clock: Clock, random: Random): Router {
  const nodes = new Map<string, Node>();
  const nodeOf = (candidate: Candidate): Node => {
    const key = `${candidate.channelId} ${candidate.model}`;
    const known = nodes.get(key) ?? { ewmaMs: 0, stampMs: clock.monotonic(), pending: 0 };
    nodes.set(key, known);
    return known;
  };
  /** Peak EWMA as Finagle has it: worse samples count at once, better ones decay in. */
  const observe = (node: Node, sampleMs: number): void => {
    const nowMs = clock.monotonic();
    const weight = Math.exp((node.stampMs - nowMs) / decayMs);
    node.ewmaMs =
      sampleMs > node.ewmaMs ? sampleMs : node.ewmaMs * weight + sampleMs * (1 - weight);
    node.stampMs = nowMs;
  };
  const costOf = (candidate: Candidate): number => {
    const node = nodeOf(candidate);
    return (node.ewmaMs + 1) * (node.pending + 1);
  };
  const pick = (candidates: readonly Candidate[]): Candidate | undefined => {
    const any = (): Candidate | undefined => candidates[Math.floor(random() * candidates.length)];
    const one = any();
    if (policy === 'weighted-random' || candidates.length < 2) return one;
    let other = any();
    while (other === one) other = any();
    return one && other && costOf(other) < costOf(one) ? other : one;
  };
  return {
    update: () => undefined,
    plan: (request) => new BaselinePlan(request, { pick, nodeOf, observe, clock }),
    status: () => ({ channels: [], lanes: [], waiting: 0, sessions: 0, retry_budget: 0, users: 0 }),
  };
}

type Parts = {
  readonly pick: (candidates: readonly Candidate[]) => Candidate | undefined;
  readonly nodeOf: (candidate: Candidate) => Node;
  readonly observe: (node: Node, sampleMs: number) => void;
  readonly clock: Clock;
};

class BaselinePlan implements Plan {
  readonly admission = { kind: 'admitted' } as const;
  readonly #request: RouteRequest;
  readonly #parts: Parts;
  readonly #tried = new Set<Candidate>();
  #running: (Attempt & { end(): void }) | undefined;
  #count = 0;

  constructor(request: RouteRequest, parts: Parts) {
    this.#request = request;
    this.#parts = parts;
  }

  next(failure?: Failure): Step {
    if (failure) {
      this.#running?.failed(failure);
      if (failure.kind === 'aborted-by-client') return giveUp('client-gone', failure);
      if (failure.kind === 'status-4xx-request') return giveUp('request-fault', failure);
    }
    const fresh = this.#request.candidates.filter((candidate) => !this.#tried.has(candidate));
    const chosen = this.#count < attemptsMax ? this.#parts.pick(fresh) : undefined;
    if (!chosen) return giveUp('exhausted', failure);
    this.#tried.add(chosen);
    this.#running = this.#attempt(chosen, this.#count);
    this.#count += 1;
    return this.#running;
  }

  #attempt(candidate: Candidate, index: number): Attempt & { end(): void } {
    const { nodeOf, observe, clock } = this.#parts;
    const node = nodeOf(candidate);
    let sentAtMs = clock.monotonic();
    let running = true;
    node.pending += 1;
    const end = (): void => {
      if (running) node.pending -= 1;
      running = false;
    };
    return {
      kind: 'attempt',
      channelId: candidate.channelId,
      model: candidate.model,
      candidate,
      index,
      probe: false,
      timeouts: {
        connectMs: 3_000,
        firstContentMs: 20_000,
        idleMs: 30_000,
        totalMs: 900_000,
        recheckMs: 20_000,
      },
      sent: () => void (sentAtMs = clock.monotonic()),
      headers: () => undefined,
      isLost: () => false,
      firstContent: () => observe(node, clock.monotonic() - sentAtMs),
      finished: end,
      failed: () => {
        if (running) observe(node, clock.monotonic() - sentAtMs + errorPenaltyMs);
        end();
      },
      end,
    };
  }

  explain(): Explanation {
    return {
      model: this.#request.model,
      class: this.#request.class,
      admission: 'admitted',
      decisions: [],
      attempts: [],
    };
  }

  close(): void {
    this.#running?.end();
  }
}

function giveUp(reason: GiveUpReason, failure: Failure | undefined): GiveUp {
  return { kind: 'give-up', reason, failure, retryAfterMs: failure?.retryAfterMs };
}
