/** A worker's view of what all workers share: the same services, asked of the owner. */

import type { KeyLimits, RateVerdict } from '#access';
import type { ChatRequest, DialectId, Part } from '#canonical';
import { StateMemory, type Shared } from '#gateway';
import { blobBoundsDefault, type Store } from '#store';
import type { OwnerCalls } from './contract.ts';
import { createDistantRouter } from './distant-router.ts';
import type { Link } from './link.ts';

/** What the walk of a request needs of the owner, and the keys for whoever lets it in. */
export type DistantShared = Shared & { readonly keys: Pick<Store['keys'], 'findByDigest'> };

export function createDistantShared(owner: Link<OwnerCalls>): DistantShared {
  return {
    store: {
      checkWritable: () => owner.ask('checkWritable'),
      requests: { append: async (record) => owner.tell('appendRequest', record) },
      blobs: {
        put: async ({ body, ...entry }) =>
          body.length <= blobBoundsDefault.bodyBytesMax &&
          (await owner.ask('putBlob', entry, Buffer.from(body).toString('base64'))),
        get: async (namespace, id, whose) => {
          const found = await owner.ask('getBlob', namespace, id, whose);
          return found === null
            ? undefined
            : { ...found[0], body: Buffer.from(found[1], 'base64') };
        },
        remove: (namespace, id, whose) => owner.ask('removeBlob', namespace, id, whose),
      },
    },
    ledger: {
      reserve: (request) => owner.ask('reserve', request),
      attempt: (requestId, intent, previous) =>
        previous === undefined
          ? owner.ask('attempt', requestId, intent)
          : owner.ask('attempt', requestId, intent, previous),
      extend: (request) => owner.ask('extend', request),
      settle: (settlement) => owner.ask('settle', settlement),
      void: (request) => owner.ask('void', request),
      balance: (walletId) => owner.ask('balance', walletId),
    },
    keys: { findByDigest: async (digest) => (await owner.ask('findKey', digest)) ?? undefined },
    rateLimiter: { admit: (keyId, limits, tokens) => admit(owner, keyId, limits, tokens) },
    router: createDistantRouter(owner),
    metrics: {
      begun: () => owner.tell('requestBegun'),
      ended: (facts) => owner.tell('requestEnded', facts),
    },
    stateMemory: new DistantMemory(owner),
  };
}

const free: RateVerdict = { ok: true, release: () => {}, headers: {} };

function admit(
  owner: Link<OwnerCalls>,
  keyId: string,
  limits: KeyLimits,
  tokens: number,
): RateVerdict | Promise<RateVerdict> {
  const { requests_per_minute: requests, tokens_per_minute: perMinute, concurrency } = limits;
  if (requests === undefined && perMinute === undefined && concurrency === undefined) return free;
  return owner.ask('admit', keyId, limits, tokens).then((verdict) => {
    if (!verdict.ok) return verdict;
    const { place, headers } = verdict;
    return {
      ok: true,
      release: (tokensUsed) => owner.tellNow('released', place, tokensUsed ?? null),
      headers,
    };
  });
}

/** Opaque state that any worker may have seen, and any may need. */
class DistantMemory implements Pick<StateMemory, 'remember' | 'rememberAnswer'> {
  readonly #owner: Link<OwnerCalls>;

  constructor(owner: Link<OwnerCalls>) {
    this.#owner = owner;
  }

  remember(owner: string, parts: readonly Part[]): void {
    const isStateful = parts.some((part) => 'state' in part && part.state !== undefined);
    if (isStateful) this.#owner.tell('remember', owner, parts);
  }

  rememberAnswer(...[owner, answer]: Parameters<StateMemory['rememberAnswer']>): void {
    for (const choice of answer.choices) this.remember(owner, choice.parts);
  }

  async recall(owner: string, request: ChatRequest, issuer: DialectId): Promise<ChatRequest> {
    const callIds = request.messages.flatMap((message) =>
      message.parts.flatMap((part) => (part.kind === 'tool-call' ? part.id : [])),
    );
    if (callIds.length === 0) return request;
    const kept = await this.#owner.ask('recall', owner, callIds);
    if (kept.length === 0) return request;
    const memory = new StateMemory();
    memory.keep(owner, kept);
    return memory.recall(owner, request, issuer);
  }
}
