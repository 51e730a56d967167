import type { Socket } from 'node:net';
import type { Agent as AgentType } from 'undici';
import type { Clock } from '#std';
import { DispatcherWay } from './dispatch.ts';
import { Endpoints } from './endpoints.ts';
import { checkAddress, guardedLookup, type EgressPolicy, type Resolve } from './guard.ts';
import { Http1Client } from './http1/client.ts';
import { Dialer } from './http1/dial.ts';
import { createHttp2Dispatcher, Http2Memory } from './http2.ts';
import { Spares, type Open } from './spares.ts';
import { createAgent, createConnector, createProxyAgent } from './undici.ts';
import type { Way } from './way.ts';

/** The pools of connections. */
export type PoolSettings = {
  /** Connections to one origin; more requests wait in line. */
  readonly connectionsPerOriginMax: number;
  /** How long an idle connection is kept, unless the server names less. */
  readonly keepAliveMs: number;
  /** Longest connection setup of any call; each call has its own, shorter limit as well. */
  readonly connectTimeoutMs: number;
  /** Different outbound proxies with a pool of their own. */
  readonly proxiesMax: number;
  /** Certificates trusted besides the system's, in PEM form. */
  readonly certificateAuthorities?: readonly string[];
  /** What carries direct calls: our own client, or undici, to which it is compared. */
  readonly direct: 'http1' | 'undici';
};

export const defaultPoolSettings: PoolSettings = {
  connectionsPerOriginMax: 8_192,
  keepAliveMs: 75_000,
  connectTimeoutMs: 30_000,
  proxiesMax: 64,
  direct: 'http1',
};

/** The ways out of a program: one for public addresses, one for private channels, one per proxy. */
export class Agents {
  readonly #settings: PoolSettings;
  readonly #open: Way;
  readonly #closed: Way;
  readonly #byProxy = new Map<string, DispatcherWay>();
  readonly #clock: Clock;
  readonly #spares: { open?: Spares; closed?: Spares } = {};
  readonly #resolve: Resolve;
  readonly #http2: Http2Memory;
  readonly #multiplexed: { open?: Way; closed?: Way } = {};
  readonly endpoints: Endpoints;

  constructor(resolve: Resolve, settings: PoolSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#resolve = resolve;
    this.#http2 = new Http2Memory(clock);
    this.endpoints = new Endpoints(clock);
    this.#closed = this.#guarded({ allowPrivate: false });
    this.#open = this.#guarded({ allowPrivate: true });
  }

  /** The direct way of a policy; its sockets are never shared with the other policy. */
  direct(policy: EgressPolicy): Way {
    return policy.allowPrivate ? this.#open : this.#closed;
  }

  /** The way over shared HTTP/2 connections, or the usual one where the origin is known to have none. */
  shared(policy: EgressPolicy, origin: string): Way {
    if (!this.#http2.mayHave(origin)) return this.direct(policy);
    const which = policy.allowPrivate ? 'open' : 'closed';
    return (this.#multiplexed[which] ??= new DispatcherWay(
      createHttp2Dispatcher(
        looksAtPeer(this.#connector(policy, true), policy),
        this.#http2,
        this.#common(),
      ),
    ));
  }

  /** The way through an outbound proxy: `http:`, `https:` or `socks5:` URL, with credentials if need be. */
  proxied(proxy: string): Way {
    const known = this.#byProxy.get(proxy);
    if (known !== undefined) {
      // The map keeps the order of use, so the first is the one to forget.
      this.#byProxy.delete(proxy);
      this.#byProxy.set(proxy, known);
      return known;
    }
    const agent = createProxyAgent(
      {
        ...this.#common(),
        uri: checkedProxy(proxy),
        proxyTunnel: true,
        requestTls: this.#tls(),
      },
      this.#settings.connectTimeoutMs,
    );
    const way = new DispatcherWay(agent);
    this.#byProxy.set(proxy, way);
    if (this.#byProxy.size > this.#settings.proxiesMax) this.#forgetOldest();
    return way;
  }

  #forgetOldest(): void {
    for (const [proxy, way] of this.#byProxy) {
      this.#byProxy.delete(proxy);
      // Running calls finish on it.
      void way.finish();
      return;
    }
  }

  /** Keeps a connection in reserve for each of these origins, and for no others. */
  keepWarm(origins: readonly string[], policy: EgressPolicy): void {
    this.#spares[policy.allowPrivate ? 'open' : 'closed']?.keep(origins);
  }

  async destroy(): Promise<void> {
    this.#spares.open?.close();
    this.#spares.closed?.close();
    const shared = Object.values(this.#multiplexed);
    const ways = [this.#open, this.#closed, ...shared, ...this.#byProxy.values()];
    await Promise.all(ways.map((way) => way.close()));
  }

  #common(): AgentType.Options {
    const { connectionsPerOriginMax, keepAliveMs, connectTimeoutMs } = this.#settings;
    return {
      connections: connectionsPerOriginMax,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: 600_000,
      // A server's hint is obeyed with this margin, so that no request meets a closing connection.
      keepAliveTimeoutThreshold: 2_000,
      // The calls keep their own time.
      headersTimeout: 0,
      bodyTimeout: 0,
      connectTimeout: connectTimeoutMs,
      maxHeaderSize: 65_536,
    };
  }

  #tls(): { ca?: string[] } {
    const { certificateAuthorities } = this.#settings;
    return certificateAuthorities === undefined ? {} : { ca: [...certificateAuthorities] };
  }

  #connector(policy: EgressPolicy, allowH2: boolean): Open {
    return createConnector({
      ...this.#tls(),
      allowH2,
      timeout: this.#settings.connectTimeoutMs,
      lookup: guardedLookup(this.#resolve, policy),
      // RFC 8305: the next address is tried when the first is slow to answer.
      autoSelectFamily: true,
      noDelay: true,
    });
  }

  #guarded(policy: EgressPolicy): Way {
    const { connectTimeoutMs, certificateAuthorities, direct } = this.#settings;
    if (direct === 'undici') {
      const connect = this.#withSpares(this.#connector(policy, false), policy);
      return new DispatcherWay(createAgent({ ...this.#common(), connect }));
    }
    const dialer = new Dialer({
      lookup: guardedLookup(this.#resolve, policy),
      connectTimeoutMs,
      ...(certificateAuthorities === undefined ? {} : { certificateAuthorities }),
    });
    return new Http1Client({
      terms: {
        connectionsMax: this.#settings.connectionsPerOriginMax,
        keepAliveMs: this.#settings.keepAliveMs,
      },
      clock: this.#clock,
      dialer,
      open: this.#withSpares(dialer.open, policy),
    });
  }

  /** Opens connections whose peer has been looked at, from the reserve where it has one. */
  #withSpares(open: Open, policy: EgressPolicy): Open {
    const connect = looksAtPeer(open, policy);
    const spares = new Spares(connect, this.#clock, this.endpoints);
    this.#spares[policy.allowPrivate ? 'open' : 'closed'] = spares;
    return (options, callback) => {
      const origin = `${options.protocol}//${options.host}`;
      const spare = spares.take(origin);
      if (spare !== undefined) {
        queueMicrotask(() => callback(null, spare));
        return;
      }
      const startedAtMs = this.#clock.monotonic();
      connect(options, (...outcome) => {
        if (outcome[0] === null)
          this.endpoints.connected(origin, this.#clock.monotonic() - startedAtMs);
        callback(...outcome);
      });
    };
  }
}

/** Opens connections, and gives out none whose peer must not be spoken to. */
function looksAtPeer(open: Open, policy: EgressPolicy): Open {
  return (options, callback) => {
    open(options, (...outcome) => {
      const [error, socket] = outcome;
      const refusal = error === null ? peerRefusal(socket, policy) : undefined;
      if (refusal === undefined) callback(...outcome);
      else callback(refusal, null);
    });
  };
}

/** The last look: the peer that the socket is really connected to. */
function peerRefusal(socket: Socket, policy: EgressPolicy): Error | undefined {
  const { remoteAddress } = socket;
  if (remoteAddress === undefined) {
    socket.destroy();
    // Reset in the moment it was made: a fault of the network, no address that is forbidden.
    return Object.assign(new Error('the peer is gone'), { code: 'ECONNRESET' });
  }
  try {
    checkAddress(remoteAddress, policy);
    return undefined;
  } catch (error) {
    socket.destroy();
    return error instanceof Error ? error : new Error('refused');
  }
}

function checkedProxy(proxy: string): string {
  const url = URL.parse(proxy);
  if (url === null || !['http:', 'https:', 'socks5:'].includes(url.protocol)) {
    throw new RangeError('an outbound proxy is an http, https or socks5 URL');
  }
  return proxy;
}
