/**
 * HTTP/2 for channels that want it: many calls share one connection, so that a burst to a vendor far away
 * waits for one handshake and not for twenty. An endpoint without it is found out when the connection is
 * made, before anything was sent, and is asked by HTTP/1.1 from then on.
 */

import type { TLSSocket } from 'node:tls';
import type { Agent as AgentType, buildConnector, Dispatcher } from 'undici';
import type { Clock } from '#std';
import { UpstreamFailure } from './failure.ts';
import { createAgent } from './undici.ts';

/** Streams on one connection; the server may allow fewer. More calls open another connection. */
const streamsMax = 100;
/** A connection without a call is kept so long; it is asked for a sign of life in between. */
const idleMs = 10 * 60_000;
const signOfLifeMs = 20_000;
/** An endpoint without HTTP/2 is tried again after this. */
const memoryMs = 60 * 60_000;
const originsMax = 1_000;

/** The endpoint speaks no HTTP/2. Nothing was sent. */
export class WithoutHttp2 extends UpstreamFailure {
  constructor() {
    super('protocol', 'the upstream does not speak HTTP/2', false);
    this.name = 'WithoutHttp2';
  }
}

/** Which endpoints are known to have no HTTP/2. */
export class Http2Memory {
  readonly #clock: Clock;
  readonly #withoutUntilMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether HTTP/2 is worth a try. */
  mayHave(origin: string): boolean {
    if (!origin.startsWith('https:')) return false;
    const untilMs = this.#withoutUntilMs.get(origin);
    if (untilMs === undefined) return true;
    if (this.#clock.monotonic() < untilMs) return false;
    this.#withoutUntilMs.delete(origin);
    return true;
  }

  lacks(origin: string): void {
    if (this.#withoutUntilMs.size >= originsMax) this.#withoutUntilMs.clear();
    this.#withoutUntilMs.set(origin, this.#clock.monotonic() + memoryMs);
  }
}

/** A dispatcher over shared connections. `connect` offers HTTP/2 to the server and is told by its answer. */
export function createHttp2Dispatcher(
  connect: buildConnector.connector,
  memory: Http2Memory,
  options: AgentType.Options,
): Dispatcher {
  return createAgent({
    ...options,
    allowH2: true,
    // Before the connection is made this many calls wait for it; afterwards the streams count.
    pipelining: streamsMax,
    keepAliveTimeout: idleMs,
    h2Options: { maxConcurrentStreams: streamsMax, pingInterval: signOfLifeMs },
    connect: (target, callback) => {
      connect(target, (...outcome) => {
        const [error, socket] = outcome;
        if (error !== null || (socket as TLSSocket).alpnProtocol === 'h2') {
          callback(...outcome);
          return;
        }
        socket.destroy();
        memory.lacks(`${target.protocol}//${target.host}`);
        callback(new WithoutHttp2(), null);
      });
    },
  });
}
