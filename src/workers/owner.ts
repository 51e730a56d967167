/**
 * The owner's side of one worker: the ledger, the routes and the limits that all workers share, and
 * what has to be put right when the worker dies in the middle of its requests.
 */

import type { Duplex } from 'node:stream';
import type { RateLimiter } from '#access';
import type { StateMemory } from '#gateway';
import type { Hold, Ledger, Receipt } from '#ledger';
import type { Router } from '#routing';
import { formatUsd } from '#std';
import type { Store } from '#store';
import type { Log, RequestMetrics } from '#telemetry';
import type { Load, OwnerCalls, WorkerCalls } from './contract.ts';
import { Link } from './link.ts';
import { Plans } from './plans.ts';

/** What all workers share. */
export type Owned = {
  readonly ledger: Ledger;
  readonly store: Pick<Store, 'requests' | 'blobs' | 'keys' | 'checkWritable'>;
  readonly rateLimiter: RateLimiter;
  readonly router: Router;
  readonly stateMemory: StateMemory;
  readonly metrics: RequestMetrics;
  readonly log: Log;
};

/** Longer than a place takes from a worker to here. */
const onTheWayMs = 20;
/** Holds of requests that could not be written are forgotten beyond this; they end at their expiry. */
const holdsMax = 50_000;

const noLoad: Load = { connections: 0, heldBytes: 0, streams: 0, upstreamCalls: 0 };

/** One worker as the owner sees it. */
export class ServedWorker {
  readonly link: Link<WorkerCalls>;
  load: Load = noLoad;
  readonly #owned: Owned;
  readonly #plans: Plans;
  /** Holds that this worker has made and not yet resolved. */
  readonly #holds = new Set<string>();
  readonly #places = new Map<number, (tokensUsed?: number) => void>();
  #lastPlace = 0;
  /** How often nothing new was heard when somebody asked. */
  #unheard = 0;
  #requests = 0;
  /** Resolves when the worker is gone and nothing of it is left. */
  readonly gone: Promise<void>;

  constructor(pipe: Duplex, owned: Owned) {
    this.#owned = owned;
    this.#plans = new Plans(owned.router);
    pipe.on('error', (error) => {
      // Its death is told by who started it.
      if (!('syscall' in error)) owned.log('error', 'worker.fault', { error: String(error) });
    });
    this.link = new Link<WorkerCalls>(pipe, this.#calls());
    this.gone = this.link.closed.then(() => this.#clearUp());
  }

  /**
   * For how many of these questions, asked at a steady pace, the worker has said nothing. Not for how
   * long: a pause of the owner itself, or of the whole machine, is no silence of a worker.
   */
  unheard(): number {
    this.#unheard += 1;
    return this.#unheard;
  }

  #calls(): OwnerCalls {
    return { ...this.#money(), ...this.#records(), ...this.#routing(), ...this.#limits() };
  }

  #money() {
    const { ledger } = this.#owned;
    return {
      reserve: async (request) => {
        // Before it is known to be durable: the worker may be gone by then.
        this.#holds.add(request.requestId);
        if (this.#holds.size > holdsMax) {
          const [oldest = ''] = this.#holds;
          this.#holds.delete(oldest);
        }
        const result = await ledger.reserve(request);
        if (result.ok) return held(result.hold);
        this.#holds.delete(request.requestId);
        return result;
      },
      attempt: async (requestId, intent, previous) => {
        const { ok } = await ledger.attempt(requestId, intent, previous);
        return { ok };
      },
      extend: async (request) => {
        const result = await ledger.extend(request);
        return result.ok ? held(result.hold) : { ok: false };
      },
      settle: async (settlement) => {
        const result = await ledger.settle(settlement);
        this.#holds.delete(settlement.requestId);
        return result.ok ? { ok: true, receipt: charged(result.receipt) } : { ok: false };
      },
      void: async (request) => {
        const { ok } = await ledger.void(request);
        this.#holds.delete(request.requestId);
        return { ok };
      },
      balance: async (walletId) => {
        const { availableNanoUsd } = await ledger.balance(walletId);
        return { availableNanoUsd };
      },
    } satisfies Partial<OwnerCalls>;
  }

  #records() {
    const { store, metrics, stateMemory, log } = this.#owned;
    return {
      appendRequest: (record) =>
        void store.requests
          .append(record)
          .catch((error: unknown) =>
            log('error', 'record.failed', { request_id: record.requestId, error: String(error) }),
          ),
      putBlob: (entry, body) => store.blobs.put({ ...entry, body: Buffer.from(body, 'base64') }),
      getBlob: async (namespace, id, owner) => {
        const blob = await store.blobs.get(namespace, id, owner);
        if (!blob) return null;
        const { body, ...head } = blob;
        return [head, Buffer.from(body).toString('base64')];
      },
      removeBlob: (namespace, id, owner) => store.blobs.remove(namespace, id, owner),
      checkWritable: () => store.checkWritable(),
      findKey: async (digest) => (await store.keys.findByDigest(digest)) ?? null,
      requestBegun: () => {
        this.#requests += 1;
        metrics.begun();
      },
      requestEnded: (facts) => {
        this.#requests -= 1;
        metrics.ended(facts);
      },
      remember: (owner, parts) => stateMemory.remember(owner, parts),
      recall: (owner, callIds) => stateMemory.kept(owner, callIds),
      load: (load) => {
        this.load = load;
        this.#unheard = 0;
      },
    } satisfies Partial<OwnerCalls>;
  }

  #routing() {
    const plans = this.#plans;
    return {
      next: (plan, begin, failure) => plans.next(plan, begin, failure),
      forgetCandidates: (list) => plans.forgetCandidates(list),
      sent: (plan, attempt) => plans.sent(plan, attempt),
      headers: (plan, attempt, snapshot) => plans.headers(plan, attempt, snapshot),
      isLost: (plan, attempt) => plans.isLost(plan, attempt),
      firstContent: (plan, attempt) => plans.firstContent(plan, attempt),
      finished: (plan, attempt, usage) => plans.finished(plan, attempt, usage),
      failed: (plan, attempt, failure) => plans.failed(plan, attempt, failure),
      explain: (plan) => plans.explain(plan),
      closePlan: (plan) => plans.close(plan),
    } satisfies Partial<OwnerCalls>;
  }

  #limits() {
    return {
      admit: async (keyId, limits, tokens) => {
        const { rateLimiter } = this.#owned;
        let verdict = rateLimiter.admit(keyId, limits, tokens);
        if (!verdict.ok && verdict.reason === 'concurrency') {
          // The client may have its answer while the place is on its way back from another worker.
          await new Promise((resolve) => setTimeout(resolve, onTheWayMs));
          verdict = rateLimiter.admit(keyId, limits, tokens);
        }
        if (!verdict.ok) return verdict;
        this.#lastPlace += 1;
        this.#places.set(this.#lastPlace, verdict.release);
        return { ok: true, place: this.#lastPlace, headers: verdict.headers };
      },
      released: (place, tokensUsed) => {
        this.#places.get(place)?.(tokensUsed ?? undefined);
        this.#places.delete(place);
      },
    } satisfies Partial<OwnerCalls>;
  }

  /** A worker that was told to stop leaves nothing; one that died leaves what a crash leaves. */
  async #clearUp(): Promise<void> {
    const { ledger, metrics, log } = this.#owned;
    try {
      this.load = noLoad;
      this.#plans.closeAll();
      for (const release of this.#places.values()) release();
      this.#places.clear();
      metrics.abandoned(this.#requests);
      this.#requests = 0;
      const { voided, lostNanoUsd } = await ledger.abandon([...this.#holds]);
      this.#holds.clear();
      if (voided > 0)
        log('warning', 'worker.holds_voided', { voided, lost_usd: formatUsd(lostNanoUsd) });
    } catch (error) {
      // The holds end at their expiry, or when the books are opened next.
      log('error', 'worker.holds_left', { holds: this.#holds.size, error: String(error) });
    }
  }
}

function held({ amountNanoUsd }: Hold): {
  readonly ok: true;
  readonly hold: Pick<Hold, 'amountNanoUsd'>;
} {
  return { ok: true, hold: { amountNanoUsd } };
}

function charged({ receiptId, chargeNanoUsd, ratedNanoUsd, holdNanoUsd }: Receipt) {
  return { receiptId, chargeNanoUsd, ratedNanoUsd, holdNanoUsd };
}
