/**
 * Brings the write-ahead log into the database from another thread. SQLite does it at a commit, on the
 * thread that also serves streams, and flushes two files meanwhile: a pause of tens of milliseconds.
 * A passive checkpoint waits for nobody and nobody waits for it. The log begins anew only when all of
 * it was copied at a moment without a writer, which SQLite's own checkpoint still brings about, much
 * more rarely and with little left to copy.
 */

import { Worker } from 'node:worker_threads';

export type CheckpointOrder = {
  readonly path: string;
  readonly synchronous: 'NORMAL' | 'OFF';
};

/** Empty when it was done, or another connection is doing it. */
export type CheckpointResult = {
  readonly code?: number | undefined;
  readonly message?: string;
};

/** Megabytes of the thread's heap: it holds next to nothing. */
const heapLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 };

export class Checkpointer {
  readonly #order: CheckpointOrder;
  readonly #everyBytes: number;
  readonly #onFailure: (error: unknown) => void;
  /** Made when it is first needed: a quiet server never needs it. */
  #thread: Worker | undefined;
  #running = false;
  /** More was written while it was running. */
  #again = false;
  #closed = false;
  #uncopiedBytes = 0;

  /**
   * @param everyBytes what may be written before it is copied
   * @param onFailure told SQLite's error; a failed flush is one after which nothing may be written
   */
  constructor(order: CheckpointOrder, everyBytes: number, onFailure: (error: unknown) => void) {
    this.#order = order;
    this.#everyBytes = everyBytes;
    this.#onFailure = onFailure;
  }

  /** So much will be in the log soon; about. */
  written(byteCount: number): void {
    this.#uncopiedBytes += byteCount;
  }

  /** A transaction has ended. */
  committed(byteCount: number): void {
    this.#uncopiedBytes += byteCount;
    if (this.#uncopiedBytes < this.#everyBytes) return;
    this.#uncopiedBytes = 0;
    this.#start();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#thread?.terminate();
  }

  #start(): void {
    if (this.#closed) return;
    this.#again = this.#running;
    if (this.#running) return;
    this.#running = true;
    this.#thread ??= this.#open();
    this.#thread.postMessage('copy');
  }

  #open(): Worker {
    const thread = new Worker(new URL('./checkpoint-thread.ts', import.meta.url), {
      workerData: this.#order,
      // Those of the process may be for its own file: a test runner's would make it wait for ever.
      execArgv: [],
      resourceLimits: heapLimits,
    });
    thread.unref();
    thread.on('message', (result: CheckpointResult) => {
      this.#running = false;
      if (result.message !== undefined) this.#onFailure(errorOf(result));
      if (this.#again) this.#start();
    });
    // Without a thread SQLite goes on to do it by itself.
    thread.on('error', () => (this.#closed = true));
    return thread;
  }
}

function errorOf({ code, message = 'failed' }: CheckpointResult): Error {
  return Object.assign(new Error(`checkpoint: ${message}`), { errcode: code });
}
