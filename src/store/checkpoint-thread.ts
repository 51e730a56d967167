/** A thread that copies the write-ahead log into the database when it is told to; see `checkpointer.ts`. */

import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { CheckpointOrder, CheckpointResult } from './checkpointer.ts';

const { path, synchronous } = workerData as CheckpointOrder;
let checkpoint: StatementSync | undefined;

parentPort?.on('message', () => parentPort?.postMessage(copy()));

function copy(): CheckpointResult {
  try {
    checkpoint ??= prepare();
    checkpoint.get();
    return {};
  } catch (error) {
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) : undefined;
    return { code, message: error instanceof Error ? error.message : 'unknown' };
  }
}

function prepare(): StatementSync {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA cache_size = -512`);
  return database.prepare('PRAGMA wal_checkpoint(PASSIVE)');
}
