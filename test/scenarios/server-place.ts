/** A server in a process of its own, as users run it, with a folder, a key and a vendor. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { KeyLimits } from '#access';
import { startSimulator, type RunningSimulator } from '#simulator';
import { nanoUsd, seededRandom, systemClock } from '#std';
import {
  openData,
  startServer,
  writeConfig,
  type ServerFiles,
  type ServerProcess,
} from '../crash/gateway-process.ts';

export type Place = {
  readonly files: ServerFiles;
  readonly vendor: RunningSimulator;
  readonly key: string;
  start(options?: Parameters<typeof startServer>[1]): Promise<ServerProcess>;
};

type PlaceOptions = {
  /** The vendor says a word so often. */
  readonly paceMs: number;
  /** Beside those of every configuration here. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly channel?: Readonly<Record<string, unknown>>;
  readonly limits?: KeyLimits;
};

/** All that it starts ends with the test. */
export async function place(t: TestContext, options: PlaceOptions): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-server-'));
  const vendor = await startSimulator({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    random: seededRandom(1),
    rules: [],
    paceMs: options.paceMs,
  });
  const channel = { id: 'sim', provider: 'simulator', base_url: vendor.url, secret: 's' };
  const files = writeConfig(folder, {
    channels: [{ ...channel, allow_private: true, ...options.channel }],
    ...options.settings,
  });
  const books = await openData(folder);
  const money = { walletId: 'w', amountNanoUsd: nanoUsd(1e9), lotKind: 'paid' } as const;
  await books.ledger.credit({ ...money, source: 'test', eventId: 'w', actor: 'test' });
  const { limits = {} } = options;
  const { key } = await books.access.createKey({ name: 'k', walletId: 'w', limits });
  await books.store.close();
  const running: ServerProcess[] = [];
  t.after(async () => {
    for (const server of running) await server.end('SIGKILL');
    await vendor.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const start: Place['start'] = async (startOptions) => {
    const server = await startServer(files, startOptions);
    running.push(server);
    return server;
  };
  return { files, vendor, key, start };
}
