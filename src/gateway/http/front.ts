import type { AddressInfo, Socket } from 'node:net';
import { FrontCore, stopping, type HttpFrontSettings, type HttpRoute } from './core.ts';
import { NodeConnections } from './node-connections.ts';
import { PlainConnection, type HandOver } from './plain-connection.ts';

export type HttpFrontStatus = {
  readonly connections: number;
  readonly exchanges: number;
  readonly heldBytes: number;
};

/** The HTTP server of the gateway. */
export type HttpFront = {
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /**
   * Stops accepting, closes idle connections and waits for running exchanges, and for handlers that
   * work on though their client has left. After `graceMs` the signals are aborted with
   * 'shutting-down', so that clients can be told; two seconds later the rest is cut.
   */
  close(graceMs?: number): Promise<void>;
  status(): HttpFrontStatus;
};

const sweepMs = 500;
const farewellMs = 2_000;
/**
 * The system takes as much of it as net.core.somaxconn allows. A connection that finds the queue full
 * looks open to its client, and is reset when the system has tried often enough to complete it.
 */
const backlog = 65_535;

/** Creates the front; it serves after `listen`. Throws RangeError on bad settings. */
export function createHttpFront<Route extends HttpRoute>(
  settings: HttpFrontSettings<Route>,
): HttpFront {
  return new Front(settings);
}

class Front<Route extends HttpRoute> implements HttpFront {
  readonly #core: FrontCore<Route>;
  readonly #node: NodeConnections<Route>;
  /** All open connections; those that `node:http` serves have no object of ours. */
  readonly #connections = new Map<Socket, PlainConnection<Route> | undefined>();
  readonly #connectionsByAddress = new Map<string, number>();
  readonly #handOver: HandOver;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(settings: HttpFrontSettings<Route>) {
    this.#core = new FrontCore(settings);
    this.#node = new NodeConnections(this.#core);
    this.#handOver = (socket, bytes, early) => {
      this.#connections.set(socket, undefined);
      this.#node.take(socket, bytes, early);
    };
    this.#node.server.on('connection', (socket) => this.#open(socket));
  }

  listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port, path } = this.#core.settings.listener;
    const place = path === undefined ? { host, port } : { path };
    return new Promise((resolve, reject) => {
      this.#node.server.once('error', reject);
      this.#node.server.listen({ ...place, backlog }, () => {
        this.#node.server.off('error', reject);
        // What came while this process was busy is read first, before its sender counts as late.
        this.#sweeper = setInterval(() => setImmediate(() => this.#sweep()), sweepMs);
        this.#sweeper.unref();
        const address = this.#node.server.address() as AddressInfo | string;
        if (typeof address === 'string') resolve({ host, port });
        else resolve({ host: address.address, port: address.port });
      });
    });
  }

  async close(graceMs = 60_000): Promise<void> {
    const { server } = this.#node;
    this.#core.stopping = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const [socket, plain] of this.#connections) {
      if (plain !== undefined) plain.stop();
      // Node counts a connection that has not asked anything yet as active.
      else if (!this.#node.isBusy(socket)) socket.destroy();
    }
    const grace = setTimeout(() => {
      for (const exchange of this.#core.live) {
        exchange.abort('shutting-down');
        exchange.upload?.fail(stopping());
      }
      this.#core.settings.onTimeUp?.();
    }, graceMs);
    const late = Promise.withResolvers<void>();
    const farewell = setTimeout(() => {
      for (const socket of this.#connections.keys()) socket.destroy();
      late.resolve();
    }, graceMs + farewellMs);
    await closed;
    await Promise.race([this.#core.idle(), late.promise]);
    clearTimeout(grace);
    clearTimeout(farewell);
    clearInterval(this.#sweeper);
  }

  status(): HttpFrontStatus {
    return {
      connections: this.#connections.size,
      exchanges: this.#core.live.size,
      heldBytes: this.#core.held.held,
    };
  }

  #sweep(): void {
    const now = this.#core.context.now();
    for (const exchange of this.#core.live) exchange.sweep(now);
    for (const plain of this.#connections.values()) plain?.sweep(now);
    if (this.#core.stopping) this.#node.server.closeIdleConnections();
  }

  #open(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const open = (this.#connectionsByAddress.get(address) ?? 0) + 1;
    if (open > this.#core.limits.connectionsPerAddressMax && !this.#isForMany(address)) {
      socket.destroy();
      return;
    }
    this.#connectionsByAddress.set(address, open);
    socket.once('close', () => this.#gone(socket, address));
    const { nodeOnly, listener } = this.#core.settings;
    if (nodeOnly === true || listener.path !== undefined) {
      this.#connections.set(socket, undefined);
      this.#node.begin(socket);
    } else this.#connections.set(socket, new PlainConnection(this.#core, socket, this.#handOver));
  }

  #isForMany(address: string): boolean {
    return isLoopback(address) || this.#core.settings.listener.isTrustedProxy?.(address) === true;
  }

  #gone(socket: Socket, address: string): void {
    this.#connections.delete(socket);
    const rest = (this.#connectionsByAddress.get(address) ?? 1) - 1;
    if (rest === 0) this.#connectionsByAddress.delete(address);
    else this.#connectionsByAddress.set(address, rest);
  }
}

function isLoopback(address: string): boolean {
  // Without an address: a socket of this machine's file system.
  return (
    address === '' ||
    address === '::1' ||
    address.startsWith('127.') ||
    address.startsWith('::ffff:127.')
  );
}
