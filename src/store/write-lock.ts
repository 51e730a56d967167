/**
 * SQLite's write lock, held over many batches and given away when somebody else wants it. SQLite
 * has no queue for writers, so whoever waits leaves a file beside the database.
 */

import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreUnavailableError } from './contract.ts';
import type { Connection } from './sqlite-connection.ts';

const pollMs = 2;
const waitMs = 5000;
/** How long the lock is left to others; longer, and a file that nobody removes would slow us down. */
const courtesyMs = 50;

export class WriteLock {
  readonly #writer: Connection;
  readonly #markPath: string;

  constructor(writer: Connection, path: string) {
    this.#writer = writer;
    this.#markPath = `${path}.waiting`;
  }

  tryTake(): boolean {
    return this.#writer.begin();
  }

  /** Throws `store_unavailable` when the other writer keeps it too long. */
  async take(): Promise<void> {
    for (let waitedMs = 0; waitedMs < waitMs; waitedMs += pollMs) {
      this.#leaveMark();
      if (this.tryTake()) {
        rmSync(this.#markPath, { force: true });
        return;
      }
      await sleep(pollMs);
    }
    rmSync(this.#markPath, { force: true });
    throw new StoreUnavailableError(
      'store_unavailable',
      'another process keeps the database to itself',
    );
  }

  /** A full disk takes no mark; the other one will give the lock away nevertheless. */
  #leaveMark(): void {
    if (this.othersWait()) return;
    try {
      writeFileSync(this.#markPath, '');
    } catch {
      return;
    }
  }

  othersWait(): boolean {
    return existsSync(this.#markPath);
  }

  /** Leaves the lock alone until somebody took it, for a bounded time. */
  async letOthersGo(): Promise<void> {
    for (let waitedMs = 0; waitedMs < courtesyMs; waitedMs += pollMs) {
      if (!this.othersWait()) return;
      await sleep(pollMs);
    }
    rmSync(this.#markPath, { force: true });
  }
}
