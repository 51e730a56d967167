/** Who is asking: from a key in any dialect's header to a principal with its limits. */

import type { KeyFilter, KeyRecord, Store } from '#store';
import type { Clock } from '#std';
import { digestOfKey, fingerprintOfKey, isWellFormedKey, mintKey } from './key.ts';
import { inRanges, readRange, type AddressRange } from './address.ts';
import { keyLimitsSchema, newKeyLimitsSchema, type KeyLimits } from './limits.ts';

export type Principal = {
  readonly keyId: string;
  readonly walletId: string;
  readonly projectId: string | null;
  readonly limits: KeyLimits;
};

export type Refusal = {
  readonly reason: 'missing' | 'malformed' | 'unknown' | 'revoked' | 'expired' | 'address';
};

export type Access = {
  /** Resolves the key. Known keys come from memory; a change through {@link Access} is seen at once. */
  authenticate(
    key: string | undefined,
    clientAddress: string,
  ): Promise<Principal | Refusal> | Principal | Refusal;
  createKey(request: NewKey): Promise<{ readonly key: string; readonly record: KeyRecord }>;
  revokeKey(keyId: string): Promise<KeyRecord | undefined>;
  /** What is remembered of the key is read again: another process has changed it. */
  forget(keyId: string): void;
  /** A page of them, as the store has it. */
  listKeys(filter: KeyFilter): Promise<readonly KeyRecord[]>;
};

export type NewKey = {
  readonly name: string;
  readonly walletId: string;
  readonly projectId?: string | undefined;
  readonly limits?: KeyLimits | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly expiresAtMs?: number | undefined;
};

type Known = {
  readonly record: KeyRecord;
  readonly principal: Principal;
  readonly ranges: readonly AddressRange[];
  readonly readAtMs: number;
};

const knownMax = 20_000;
/** Another process may have revoked a key: what is remembered is read again after this time. */
export const knownForMs = 5_000;

type Keys = Store['keys'];

/** Who only lets requests in needs nothing but to find keys. */
export function createGuard(deps: {
  readonly store: { readonly keys: Pick<Keys, 'findByDigest'> };
  readonly pepper: Uint8Array;
  readonly clock: Clock;
}): Pick<Access, 'authenticate' | 'forget'> {
  const { store, pepper, clock } = deps;
  const known = new KnownKeys();

  const lookUp = async (
    key: string,
    fingerprint: string,
    clientAddress: string,
  ): Promise<Principal | Refusal> => {
    const { changes } = known;
    const record = await store.keys.findByDigest(digestOfKey(key, pepper));
    if (!record) return { reason: 'unknown' };
    const entry = knownOf(record, clock.monotonic());
    // What was read may be older than a change that was told meanwhile.
    if (known.changes === changes) known.remember(fingerprint, entry);
    return judge(entry, clientAddress, clock.now());
  };

  return {
    authenticate(key, clientAddress) {
      if (key === undefined || key === '') return { reason: 'missing' };
      const fingerprint = fingerprintOfKey(key);
      const entry = known.get(fingerprint);
      // The time of day may be set back, and a key that was revoked elsewhere would be let in until it is made up.
      if (entry && clock.monotonic() - entry.readAtMs < knownForMs)
        return judge(entry, clientAddress, clock.now());
      if (!isWellFormedKey(key)) return { reason: 'malformed' };
      return lookUp(key, fingerprint, clientAddress);
    },
    forget: (keyId) => known.forget(keyId),
  };
}

export function createAccess(deps: {
  readonly store: Pick<Store, 'keys'>;
  readonly pepper: Uint8Array;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
}): Access {
  const { store, pepper, clock, newId } = deps;
  const guard = createGuard(deps);
  return {
    ...guard,
    async createKey(request) {
      const key = mintKey();
      const record: KeyRecord = {
        keyId: newId('key'),
        digest: digestOfKey(key, pepper),
        lastFour: key.slice(-4),
        name: request.name,
        walletId: request.walletId,
        projectId: request.projectId ?? null,
        limits: newKeyLimitsSchema.parse(request.limits ?? {}),
        metadata: request.metadata ?? {},
        createdAtMs: clock.now(),
        expiresAtMs: request.expiresAtMs ?? null,
        revokedAtMs: null,
      };
      await store.keys.put(record);
      return { key, record };
    },
    async revokeKey(keyId) {
      const record = await store.keys.get(keyId);
      if (!record) return undefined;
      const revoked = { ...record, revokedAtMs: record.revokedAtMs ?? clock.now() };
      await store.keys.put(revoked);
      guard.forget(keyId);
      return revoked;
    },
    listKeys: (filter) => store.keys.list(filter),
  };
}

/** By fingerprint: what a request needs to be let in without computing the keyed digest again. */
class KnownKeys {
  readonly #entries = new Map<string, Known>();
  /** How often something was forgotten. */
  changes = 0;

  get(fingerprint: string): Known | undefined {
    return this.#entries.get(fingerprint);
  }

  /** Bounded: the key that was read the longest ago goes first. */
  remember(fingerprint: string, entry: Known): void {
    this.#entries.delete(fingerprint);
    this.#entries.set(fingerprint, entry);
    const oldest = this.#entries.size > knownMax ? this.#entries.keys().next() : undefined;
    if (oldest && !oldest.done) this.#entries.delete(oldest.value);
  }

  forget(keyId: string): void {
    this.changes += 1;
    for (const [fingerprint, entry] of this.#entries) {
      if (entry.record.keyId === keyId) this.#entries.delete(fingerprint);
    }
  }
}

function knownOf(record: KeyRecord, readAtMs: number): Known {
  const limits = keyLimitsSchema.parse(record.limits);
  const principal = {
    keyId: record.keyId,
    walletId: record.walletId,
    projectId: record.projectId,
    limits,
  };
  return {
    record,
    principal,
    ranges: (limits.ip_ranges ?? []).flatMap((text) => {
      const range = readRange(text);
      return range ? [range] : [];
    }),
    readAtMs,
  };
}

function judge(entry: Known, clientAddress: string, nowMs: number): Principal | Refusal {
  const { record, principal, ranges } = entry;
  if (record.revokedAtMs !== null) return { reason: 'revoked' };
  if (record.expiresAtMs !== null && record.expiresAtMs <= nowMs) return { reason: 'expired' };
  if (principal.limits.ip_ranges !== undefined && !inRanges(clientAddress, ranges))
    return { reason: 'address' };
  return principal;
}

const keyHeaders = ['x-api-key', 'x-goog-api-key', 'api-key'];

/** A key as the client's dialect sends it; the first that is there wins, `x-api-key` over Bearer as at Anthropic. */
export function keyFromRequest(
  header: (name: string) => string | undefined,
  query: (name: string) => string | null,
): string | undefined {
  // An empty one says nothing: some clients send it beside the one that counts.
  for (const name of keyHeaders) {
    const direct = header(name)?.trim();
    if (direct) return direct;
  }
  const authorization = header('authorization');
  const bearer =
    authorization === undefined ? undefined : /^bearer +(\S+)$/i.exec(authorization.trim())?.[1];
  return bearer ?? query('key') ?? undefined;
}
