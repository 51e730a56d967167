/** A network between store and PostgreSQL that can fall silent, break a commit off, and refuse. */

import { connect, createServer, type Socket } from 'node:net';

export type Network = {
  /** The address of the database as seen through it. */
  readonly url: string;
  /** From now on nothing comes through the connections that are open; new ones work. */
  fallSilent(): void;
  /** As when its machine is gone: who connects hears nothing either. */
  vanish(): void;
  /** Ends `vanish`; what was open stays silent. */
  appear(): void;
  /** Every answer of the database comes so much later. */
  slow(ms: number): void;
  /** Ends the connections that are open; new ones work. */
  cut(): void;
  /** From the next COMMIT on nothing comes through its connection, which stays open. */
  holdCommit(): void;
  /** The next COMMIT reaches the database, its answer reaches nobody, and nobody gets in for `ms`. */
  breakCommit(ms: number): void;
  close(): Promise<void>;
};

/** When the system of who is still there finds that the other one is not. */
const keepAliveMs = 20_000;

export async function startNetwork(databaseUrl: string): Promise<Network> {
  const target = new URL(databaseUrl);
  const open = new Set<Socket>();
  const silent = new WeakSet<Socket>();
  let breakForMs: number | undefined;
  let refusing = false;
  let vanished = false;
  let holdsCommit = false;
  let slowMs = 0;
  const server = createServer((client) => {
    if (refusing) return client.destroy();
    if (vanished) {
      open.add(client);
      return client.on('error', () => {}).once('close', () => open.delete(client));
    }
    const database = connect(Number(target.port), target.hostname);
    for (const socket of [client, database]) {
      open.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => open.delete(socket));
    }
    client.on('data', (bytes) => {
      if (holdsCommit && bytes.includes('COMMIT')) {
        holdsCommit = false;
        silent.add(client);
      }
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
      const pass = (): void => {
        if (!silent.has(client) && !client.destroyed) client.write(bytes);
      };
      if (slowMs === 0) pass();
      else setTimeout(pass, slowMs);
    });
    client.once('close', () => {
      // As when the machine is gone: the database hears nothing of it.
      if (!silent.has(client)) database.end();
    });
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
    vanish: () => {
      vanished = true;
      for (const socket of open) silent.add(socket);
      const lost = [...open];
      setTimeout(() => lost.forEach((socket) => socket.destroy()), keepAliveMs).unref();
    },
    appear: () => {
      vanished = false;
    },
    slow: (ms) => {
      slowMs = ms;
    },
    cut: () => {
      for (const socket of open) socket.destroy();
    },
    holdCommit: () => {
      holdsCommit = true;
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
