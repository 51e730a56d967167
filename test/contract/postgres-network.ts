/** A network between store and PostgreSQL that can fall silent, break a commit off, and refuse. */

import { connect, createServer, type Socket } from 'node:net';

export type Network = {
  /** The address of the database as seen through it. */
  readonly url: string;
  /** From now on nothing comes through the connections that are open; new ones work. */
  fallSilent(): void;
  /** Ends the connections that are open; new ones work. */
  cut(): void;
  /** The next COMMIT reaches the database, its answer reaches nobody, and nobody gets in for `ms`. */
  breakCommit(ms: number): void;
  close(): Promise<void>;
};

export async function startNetwork(databaseUrl: string): Promise<Network> {
  const target = new URL(databaseUrl);
  const open = new Set<Socket>();
  const silent = new WeakSet<Socket>();
  let breakForMs: number | undefined;
  let refusing = false;
  const server = createServer((client) => {
    if (refusing) return client.destroy();
    const database = connect(Number(target.port), target.hostname);
    for (const socket of [client, database]) {
      open.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => open.delete(socket));
    }
    client.on('data', (bytes) => {
      if (silent.has(client)) return;
      database.write(bytes);
      if (breakForMs === undefined || !bytes.includes('COMMIT')) return;
      const ms = breakForMs;
      breakForMs = undefined;
      refusing = true;
      setTimeout(() => (refusing = false), ms);
      client.destroy();
    });
    database.on('data', (bytes) => {
      if (!silent.has(client) && !client.destroyed) client.write(bytes);
    });
    client.once('close', () => database.end());
    database.once('close', () => client.destroy());
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const seen = new URL(databaseUrl);
  seen.port = String(typeof address === 'object' && address ? address.port : 0);
  return {
    url: seen.href,
    fallSilent: () => {
      for (const socket of open) silent.add(socket);
    },
    cut: () => {
      for (const socket of open) socket.destroy();
    },
    breakCommit: (ms) => {
      breakForMs = ms;
    },
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
