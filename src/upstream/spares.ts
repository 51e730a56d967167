/**
 * One opened connection in reserve for every endpoint that is in use: DNS, TCP and TLS are done before
 * a request needs them. The pool takes it instead of opening one, and the next is opened at once. A
 * reserve is renewed before servers lose patience with a connection that asks nothing.
 */

import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import type { Clock } from '#std';
import type { Endpoints } from './endpoints.ts';

export type Open = buildConnector.connector;

type Spare = {
  readonly options: buildConnector.Options;
  socket: Socket | undefined;
  release?: () => void;
  openedAtMs: number;
  opening: boolean;
  openingSinceMs: number;
  retryAtMs: number;
  failures: number;
  /** Replaced by the next list of endpoints without this one. */
  closed: boolean;
};

const tickMs = 250;
const sparesMax = 128;
/** Common servers close a connection without a request after 30 to 60 s. */
const lifeMs = 20_000;
/** An address that takes longer to open is not asked, where there is another. */
const patienceMs = 2_000;
const retryMinimumMs = 1_000;
const retryMaximumMs = 30_000;

export class Spares {
  readonly #open: Open;
  readonly #clock: Clock;
  readonly #endpoints: Endpoints;
  readonly #byOrigin = new Map<string, Spare>();
  #timer: NodeJS.Timeout | undefined;

  constructor(open: Open, clock: Clock, endpoints: Endpoints) {
    this.#open = open;
    this.#clock = clock;
    this.#endpoints = endpoints;
  }

  /** From now on exactly these origins have a connection in reserve. */
  keep(origins: readonly string[]): void {
    const wanted = new Set(origins.slice(0, sparesMax));
    for (const [origin, spare] of this.#byOrigin) {
      if (wanted.has(origin)) continue;
      spare.closed = true;
      spare.socket?.destroy();
      this.#byOrigin.delete(origin);
    }
    for (const origin of wanted) {
      const options = optionsOf(origin);
      if (options === undefined || this.#byOrigin.has(origin)) continue;
      const spare: Spare = {
        options,
        socket: undefined,
        openedAtMs: 0,
        opening: false,
        openingSinceMs: 0,
        retryAtMs: 0,
        failures: 0,
        closed: false,
      };
      this.#byOrigin.set(origin, spare);
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#byOrigin.size === 0) return;
    this.#timer = setInterval(() => this.#tick(), tickMs).unref();
    this.#tick();
  }

  /** The connection in reserve, if there is one that is alive; it belongs to the caller then. */
  take(origin: string): Socket | undefined {
    const spare = this.#byOrigin.get(origin);
    const socket = spare?.socket;
    if (!spare || !socket) return undefined;
    spare.socket = undefined;
    spare.release?.();
    this.#renew(origin, spare);
    return socket.destroyed || !socket.writable ? undefined : socket;
  }

  close(): void {
    this.keep([]);
  }

  #tick(): void {
    const nowMs = this.#clock.monotonic();
    for (const [origin, spare] of this.#byOrigin) {
      if (spare.opening && nowMs - spare.openingSinceMs > patienceMs)
        this.#endpoints.failed(origin);
      const isFresh = spare.socket !== undefined && nowMs - spare.openedAtMs < lifeMs;
      if (!isFresh && nowMs >= spare.retryAtMs) this.#renew(origin, spare);
    }
  }

  #renew(origin: string, spare: Spare): void {
    if (spare.opening || spare.closed) return;
    spare.opening = true;
    const startedAtMs = this.#clock.monotonic();
    spare.openingSinceMs = startedAtMs;
    this.#open(spare.options, (...[error, socket]) => {
      spare.opening = false;
      if (error !== null) return this.#failed(origin, spare);
      if (spare.closed) {
        socket.destroy();
        return;
      }
      const nowMs = this.#clock.monotonic();
      this.#endpoints.connected(origin, nowMs - startedAtMs);
      spare.socket?.destroy();
      spare.socket = socket;
      spare.openedAtMs = nowMs;
      spare.failures = 0;
      spare.release = guard(socket, () => {
        if (spare.socket !== socket) return;
        spare.socket = undefined;
        spare.retryAtMs = this.#clock.monotonic() + retryMinimumMs;
      });
    });
  }

  #failed(origin: string, spare: Spare): void {
    this.#endpoints.failed(origin);
    spare.socket?.destroy();
    spare.socket = undefined;
    const pauseMs = Math.min(retryMaximumMs, retryMinimumMs * 2 ** Math.min(spare.failures, 5));
    spare.failures += 1;
    spare.retryAtMs = this.#clock.monotonic() + pauseMs;
  }
}

const guards = ['data', 'end', 'close', 'error'] as const;

/** A byte on a connection that asked nothing is poison: the next answer would begin with it. */
function guard(socket: Socket, onLost: () => void): () => void {
  const lose = (): void => {
    socket.destroy();
    onLost();
  };
  for (const event of guards) socket.on(event, lose);
  socket.unref();
  socket.resume();
  return () => {
    for (const event of guards) socket.off(event, lose);
    socket.pause();
    socket.ref();
  };
}

function optionsOf(origin: string): buildConnector.Options | undefined {
  const url = URL.parse(origin);
  if (url === null) return undefined;
  const { hostname, host, protocol, port } = url;
  return { hostname, host, protocol, port };
}
