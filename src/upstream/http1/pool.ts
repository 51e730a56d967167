import type { Socket } from 'node:net';
import type { CallCarrier } from '../call.ts';
import { classifyFailure, UpstreamFailure } from '../failure.ts';
import type { Connection, ConnectionOwner, PreparedRequest } from './connection.ts';
import type { Turns } from './turns.ts';

export type PoolTerms = {
  readonly connectionsMax: number;
  /** How long an idle connection is kept, unless the server names less. */
  readonly keepAliveMs: number;
};

/** What a pool has from its client. */
export type PoolServices = {
  readonly terms: PoolTerms;
  readonly turns: Turns;
  nowMs(): number;
  /** Opens a connection to the pool's origin. */
  open(callback: (error: Error | null, socket: Socket | null) => void): void;
  wrap(socket: Socket, owner: ConnectionOwner): Connection;
  /** Nothing is left in the pool. */
  emptied(): void;
};

/** A server's hint is obeyed with this margin, so that no request meets a closing connection. */
const hintMarginMs = 2_000;
const keepAliveMaximumMs = 600_000;
const lossesMax = 3;

/** The connections to one origin. The one used last is used next, so that the others may grow old and end. */
export class OriginPool implements ConnectionOwner {
  readonly #services: PoolServices;
  readonly #connections = new Set<Connection>();
  readonly #idle: Connection[] = [];
  /** In order of arrival. */
  readonly #line = new Set<PreparedRequest>();
  #dials = 0;
  #isClosed = false;

  constructor(services: PoolServices) {
    this.#services = services;
  }

  send(request: PreparedRequest): void {
    if (request.call.isOver) return this.#leaveIfEmpty();
    const connection = this.#takeIdle();
    if (connection !== undefined) return this.#give(connection, request);
    this.#line.add(request);
    request.call.waits(new PlaceInLine(this.#line, request));
    this.#dialIfNeeded();
  }

  released(connection: Connection, answered: boolean): void {
    const { turns } = this.#services;
    connection.releasedTurn = turns.now;
    turns.advance();
    // One that was only reserved goes on aging: the server counts from its last answer.
    if (answered) connection.idleUntilMs = this.#services.nowMs() + this.#keptMs(connection);
    if (this.#isClosed || connection.idleUntilMs <= this.#services.nowMs()) connection.close();
    else this.#serve(connection);
  }

  #keptMs({ keepAliveMs }: Connection): number {
    if (keepAliveMs === undefined) return this.#services.terms.keepAliveMs;
    return Math.min(keepAliveMs - hintMarginMs, keepAliveMaximumMs);
  }

  lost(connection: Connection, unsent: PreparedRequest | undefined): void {
    this.#connections.delete(connection);
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (unsent !== undefined) this.#sendAgain(unsent, connection.wasUsed);
    this.#dialIfNeeded();
    this.#leaveIfEmpty();
  }

  #sendAgain(request: PreparedRequest, connectionWasUsed: boolean): void {
    request.call.waits(undefined);
    // Old connections may all have died at once; a server that drops new ones will go on doing so.
    if (!connectionWasUsed) request.losses += 1;
    if (request.losses <= lossesMax && !this.#isClosed) return this.send(request);
    const reason = 'the upstream drops new connections';
    request.call.fail(new UpstreamFailure('connect', reason, false));
  }

  /** Closes what has been idle for too long. */
  sweep(nowMs: number): void {
    for (const connection of this.#idle.filter(({ idleUntilMs }) => idleUntilMs <= nowMs))
      connection.close();
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.close();
  }

  #takeIdle(): Connection | undefined {
    const nowMs = this.#services.nowMs();
    for (let connection = this.#idle.pop(); connection; connection = this.#idle.pop()) {
      if (connection.isUsable && connection.idleUntilMs > nowMs) return connection;
      connection.close();
    }
    return undefined;
  }

  #give(connection: Connection, request: PreparedRequest): void {
    connection.take(request);
    this.#services.turns.writeWhenQuiet(connection);
  }

  #serve(connection: Connection): void {
    for (const request of this.#line) {
      this.#line.delete(request);
      if (!request.call.isOver) return this.#give(connection, request);
    }
    this.#idle.push(connection);
  }

  #dialIfNeeded(): void {
    const { connectionsMax } = this.#services.terms;
    while (
      !this.#isClosed &&
      this.#line.size > this.#dials &&
      this.#connections.size + this.#dials < connectionsMax
    ) {
      this.#dials += 1;
      this.#services.open((error, socket) => {
        this.#dials -= 1;
        if (socket !== null) this.#opened(socket);
        else this.#notOpened(error ?? new Error('no connection'));
      });
    }
  }

  #opened(socket: Socket): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    const connection = this.#services.wrap(socket, this);
    this.#connections.add(connection);
    connection.idleUntilMs = this.#services.nowMs() + this.#services.terms.keepAliveMs;
    socket.unref();
    this.#serve(connection);
  }

  /** Every request in line has a connection on its way, but for one: the oldest has waited for it. */
  #notOpened(error: Error): void {
    for (const request of this.#line) {
      if (this.#line.size <= this.#dials) break;
      this.#line.delete(request);
      request.call.fail(classifyFailure(error, false));
    }
    this.#leaveIfEmpty();
  }

  #leaveIfEmpty(): void {
    if (this.#connections.size === 0 && this.#dials === 0 && this.#line.size === 0)
      this.#services.emptied();
  }
}

/** A request that waits for a connection; one class, because closures for each would cost more. */
class PlaceInLine implements CallCarrier {
  readonly #line: Set<PreparedRequest>;
  readonly #request: PreparedRequest;

  constructor(line: Set<PreparedRequest>, request: PreparedRequest) {
    this.#line = line;
    this.#request = request;
  }

  pause(): void {}

  resume(): void {}

  abort(): void {
    this.#line.delete(this.#request);
  }
}
