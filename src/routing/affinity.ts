/**
 * Which lane holds a session's prompt cache, and which lane a new session should start on.
 *
 * New sessions are placed by rendezvous hashing, so that several nodes (and a restarted one) agree
 * without talking to each other.
 */

/** A session has an entry for each model that it uses, in a chain. */
type Entry<Lane> = {
  readonly model: string;
  lane: Lane;
  expiresAtMs: number;
  readonly next: Entry<Lane> | undefined;
};

/** Models of one session that are remembered. */
const modelsMaximum = 8;

export class Affinity<Lane> {
  readonly #ttlMs: number;
  readonly #maximum: number;
  readonly #sessions = new Map<string, Entry<Lane>>();

  constructor(ttlMs: number, sessionsMaximum: number) {
    this.#ttlMs = ttlMs;
    this.#maximum = sessionsMaximum;
  }

  get size(): number {
    return this.#sessions.size;
  }

  find(session: string, model: string, nowMs: number): Lane | undefined {
    const entry = entryOf(this.#sessions.get(session), model);
    return entry !== undefined && entry.expiresAtMs > nowMs ? entry.lane : undefined;
  }

  /** Binds a session; the upstream's cache lives on from the moment it is used. */
  bind(session: string, model: string, lane: Lane, nowMs: number): void {
    const expiresAtMs = nowMs + this.#ttlMs;
    const first = this.#sessions.get(session);
    const entry = entryOf(first, model);
    if (entry !== undefined) {
      entry.lane = lane;
      entry.expiresAtMs = expiresAtMs;
      return;
    }
    if (first === undefined && this.#sessions.size >= this.#maximum) this.#evict();
    const next = lengthOf(first) < modelsMaximum ? first : undefined;
    this.#sessions.set(session, { model, lane, expiresAtMs, next });
  }

  /** Oldest by first use: cheap, and wrong only for sessions longer than the whole table. */
  #evict(): void {
    let left = Math.ceil(this.#maximum / 64);
    for (const key of this.#sessions.keys()) {
      this.#sessions.delete(key);
      left -= 1;
      if (left === 0) return;
    }
  }

  clear(): void {
    this.#sessions.clear();
  }
}

function entryOf<Lane>(first: Entry<Lane> | undefined, model: string): Entry<Lane> | undefined {
  let entry = first;
  while (entry !== undefined && entry.model !== model) entry = entry.next;
  return entry;
}

function lengthOf<Lane>(first: Entry<Lane> | undefined): number {
  let length = 0;
  for (let entry = first; entry !== undefined; entry = entry.next) length += 1;
  return length;
}

/** FNV-1a, 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/). Not for secrets. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** Weight of a lane for a key; the lane with the greatest wins. Uniform and independent per pair. */
export function rendezvousWeight(keyHash: number, laneHash: number): number {
  let mixed = Math.imul(keyHash ^ (laneHash >>> 15) ^ (laneHash << 7), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13) ^ laneHash, 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x27d4eb2f);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
