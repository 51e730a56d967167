/** Lines of the request log that wait for a database that is away: written when it is back, bounded until then. */

import { StoreUnavailableError, type RequestRecord } from '../contract.ts';

/** Of all that wait: some thousand lines. */
const bytesMax = 16 * 2 ** 20;
/** Columns besides the detail; a guess. */
const otherBytes = 500;
const againMsDefault = 5_000;
/** Written at once when it is back, so that holds and charges come in between. */
const writtenAtOnce = 200;

export class KeptRecords {
  readonly #write: (record: RequestRecord) => Promise<unknown>;
  readonly #againMs: number;
  #kept: RequestRecord[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(write: (record: RequestRecord) => Promise<unknown>, againMs = againMsDefault) {
    this.#write = write;
    this.#againMs = againMs;
  }

  /** Resolves when it is written or waits to be. Rejects when it is lost. */
  async append(record: RequestRecord): Promise<void> {
    try {
      await this.#write(record);
    } catch (error) {
      const isPassing = error instanceof StoreUnavailableError && error.code !== 'store_fenced';
      if (!isPassing || !this.#keep(record)) throw error;
    }
  }

  #keep(record: RequestRecord): boolean {
    const bytes = otherBytes + JSON.stringify(record.detail).length;
    if (this.#closed || this.#bytes + bytes > bytesMax) return false;
    this.#bytes += bytes;
    this.#kept.push(record);
    this.#timer ??= setInterval(() => void this.#writeKept(), this.#againMs).unref();
    return true;
  }

  /** The first one asks whether the database is back; what it does not take goes on waiting. */
  async #writeKept(): Promise<void> {
    const kept = this.#forget();
    let count = 1;
    while (kept.length > 0 && this.#kept.length === 0) {
      const some = kept.splice(0, count);
      await Promise.allSettled(some.map((record) => this.append(record)));
      count = writtenAtOnce;
    }
    for (const record of kept) this.#keep(record);
  }

  #forget(): RequestRecord[] {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const kept = this.#kept;
    this.#kept = [];
    this.#bytes = 0;
    return kept;
  }

  /** Tries once more; nothing waits any longer. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writeKept();
  }
}
