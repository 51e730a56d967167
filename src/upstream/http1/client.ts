import type { Socket } from 'node:net';
import type { Clock } from '#std';
import type { OutboundCall } from '../call.ts';
import { outboundHeaders } from '../headers.ts';
import type { Open } from '../spares.ts';
import type { Way, WireRequest } from '../way.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Dialer } from './dial.ts';
import { HeadReader } from './head.ts';
import { OriginPool, type PoolServices, type PoolTerms } from './pool.ts';
import { Turns } from './turns.ts';

export type Http1Settings = {
  readonly terms: PoolTerms;
  readonly clock: Clock;
  /** Whose sockets `open` gives out. */
  readonly dialer: Dialer;
  readonly open: Open;
};

const sweepMs = 1_000;

/** Our own HTTP/1.1 client: strict, bounded, one request at a time on a connection, none repeated. */
export class Http1Client implements Way {
  readonly #settings: Http1Settings;
  readonly #pools = new Map<string, OriginPool>();
  readonly #turns = new Turns();
  readonly #heads = new HeadReader();
  #sweeper: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(settings: Http1Settings) {
    this.#settings = settings;
  }

  send(wire: WireRequest, call: OutboundCall): void {
    if (this.#isClosed) throw new RangeError('the client is closed');
    const head = requestHead(wire);
    this.#pool(wire.target.origin).send({ wire, head, call, losses: 0 });
  }

  close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#sweeper);
    for (const pool of this.#pools.values()) pool.close();
    this.#pools.clear();
    this.#settings.dialer.close();
    return Promise.resolve();
  }

  #pool(origin: string): OriginPool {
    const known = this.#pools.get(origin);
    if (known !== undefined) return known;
    const pool = new OriginPool(this.#servicesFor(origin));
    this.#pools.set(origin, pool);
    this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs).unref();
    return pool;
  }

  #sweep(): void {
    const nowMs = this.#settings.clock.monotonic();
    for (const pool of this.#pools.values()) pool.sweep(nowMs);
  }

  #servicesFor(origin: string): PoolServices {
    const { terms, clock, dialer, open } = this.#settings;
    const { hostname, host, protocol, port } = new URL(origin);
    return {
      terms,
      turns: this.#turns,
      nowMs: () => clock.monotonic(),
      open: (callback) => open({ hostname, host, protocol, port }, callback),
      wrap: (socket: Socket, owner: ConnectionOwner) => {
        const connection = new Connection(socket, this.#heads, owner);
        dialer.feed(socket, connection);
        return connection;
      },
      emptied: () => this.#pools.delete(origin),
    };
  }
}

/** The head of a request. Throws RangeError on a field that cannot be sent. */
function requestHead({ target, method, headers, body, closesConnection }: WireRequest): string {
  const fields = outboundHeaders(headers);
  const connection = closesConnection ? 'close' : 'keep-alive';
  let head = `${method} ${target.path} HTTP/1.1\r\nhost: ${target.host}\r\nconnection: ${connection}\r\n`;
  for (let at = 0; at < fields.length; at += 2) head += `${fields[at]}: ${fields[at + 1]}\r\n`;
  let bytes = 0;
  for (const piece of body) bytes += piece.length;
  const hasLength = bytes > 0 || (method !== 'GET' && method !== 'HEAD');
  return hasLength ? `${head}content-length: ${bytes}\r\n\r\n` : `${head}\r\n`;
}
