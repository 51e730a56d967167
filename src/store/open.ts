import { mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Clock } from '#std';
import type { Store, StoreUnavailableError } from './contract.ts';
import type { Engine } from './engine.ts';
import { createAuditRepository } from './repositories/audit.ts';
import {
  blobBoundsDefault,
  blobRowBytes,
  createBlobRepository,
  type BlobBounds,
} from './repositories/blobs.ts';
import { createCollection } from './repositories/documents.ts';
import { createKeyRepository } from './repositories/keys.ts';
import { createRequestRepository } from './repositories/requests.ts';
import { openSqliteEngine } from './sqlite.ts';

export { blobBoundsDefault, blobRowBytes };

export type OpenStoreOptions = {
  /**
   * `DATABASE_URL`: `postgres://…`, `sqlite:PATH`, or the path of a SQLite file (made when absent,
   * with its folder). `sqlite::memory:` for tests.
   */
  readonly url: string;
  readonly clock: Clock;
  /** One name per running process: a process that starts under a name fences the one before. */
  readonly nodeId?: string;
  readonly blobBounds?: Partial<BlobBounds>;
  /** SQLite only, for tests that show why `FULL` is the default. */
  readonly synchronous?: 'FULL' | 'NORMAL' | 'OFF';
  /** SQLite only: pages of the write-ahead log before they are copied into the file. */
  readonly checkpointPages?: number;
  /** SQLite only: size of the files of the journal in front of the database. */
  readonly journalSegmentBytes?: number;
  /** SQLite only: told once, when nothing more can be written until the file is opened anew. */
  readonly onStop?: (reason: StoreUnavailableError) => void;
  /** PostgreSQL only: a statement that takes longer is given up. Default 15 s. */
  readonly answerMsMax?: number;
  /** Operations in one transaction: default 128 in SQLite, 512 in PostgreSQL. */
  readonly batchMax?: number;
};

/** Opens the database, brings its schema up to date, and takes over the writing of its node. */
export async function openStore(options: OpenStoreOptions): Promise<Store> {
  const engine = await openEngine(options);
  const now = (): number => options.clock.now();
  const requests = createRequestRepository(engine);
  const collection: Store['collection'] = (name) => createCollection(engine, now, name);
  return {
    kind: engine.kind,
    engine,
    keys: createKeyRepository(engine),
    requests,
    blobs: createBlobRepository(engine, now, { ...blobBoundsDefault, ...options.blobBounds }),
    audit: createAuditRepository(engine),
    collection,
    projects: collection('projects'),
    channels: collection('channels'),
    users: collection('users'),
    settings: collection('settings'),
    checkWritable: async () => {
      if (engine.failure) throw engine.failure;
    },
    async close() {
      await requests.close();
      await engine.close();
    },
  };
}

async function openEngine(options: OpenStoreOptions): Promise<Engine> {
  const { url, clock } = options;
  const nodeId = options.nodeId ?? 'main';
  const nowMs = clock.now();
  const batch = options.batchMax === undefined ? {} : { batchMax: options.batchMax };
  if (/^postgres(ql)?:/.test(url)) {
    // The driver is loaded only where it is used: the embedded start stays fast.
    const { openPostgresEngine } = await import('./postgres.ts');
    const { answerMsMax } = options;
    const bound = answerMsMax === undefined ? {} : { answerMsMax };
    return openPostgresEngine({ url, nodeId, nowMs, ...batch, ...bound });
  }
  const given = url.replace(/^(sqlite|file):(\/\/)?/, '');
  const path = given === ':memory:' ? given : resolve(given);
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const { synchronous, checkpointPages, journalSegmentBytes, onStop } = options;
  return openSqliteEngine({
    path,
    nodeId,
    nowMs,
    ...batch,
    ...(synchronous === undefined ? {} : { synchronous }),
    ...(checkpointPages === undefined ? {} : { checkpointPages }),
    ...(journalSegmentBytes === undefined ? {} : { journalSegmentBytes }),
    ...(onStop === undefined ? {} : { onStop }),
  });
}
