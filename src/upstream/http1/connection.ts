import type { Socket } from 'node:net';
import type { CallCarrier, OutboundCall } from '../call.ts';
import { classifyFailure, UpstreamFailure } from '../failure.ts';
import type { WireRequest } from '../way.ts';
import type { Inlet } from './dial.ts';
import type { HeadReader, ResponseHead } from './head.ts';
import { ResponseReader, type ResponseListener } from './response-reader.ts';

/** The pool that a connection belongs to. */
export type ConnectionOwner = {
  /** The connection is idle and may serve another request; `answered` when it has just served one. */
  released(connection: Connection, answered: boolean): void;
  /** The connection is gone. Of `unsent` nothing was written: it goes over another one. */
  lost(connection: Connection, unsent: PreparedRequest | undefined): void;
};

/** A request whose head is written, with the call that waits for its answer. */
export type PreparedRequest = {
  readonly wire: WireRequest;
  readonly head: string;
  readonly call: OutboundCall;
  /** New connections that died under it before it could be written. */
  losses: number;
};

/** Up to here head and body are copied together; beyond, copying costs more than a second buffer. */
const oneBufferBytesMax = 65_536;

const nothing: readonly Uint8Array[] = [];

/** One connection of our own. It carries one request at a time and is never given a second before the first is answered. */
export class Connection implements CallCarrier, Inlet, ResponseListener {
  /** When it has been idle for too long. */
  idleUntilMs = 0;
  /** The turn of the loop in which it was released last. */
  releasedTurn = -Infinity;
  /** The turn from which on its next request may be written. */
  dueTurn = 0;
  /** Whether it has carried a request. */
  wasUsed = false;
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #reader: ResponseReader;
  #request: PreparedRequest | undefined;
  #written = false;
  #paused = false;
  #isLost = false;

  constructor(socket: Socket, heads: HeadReader, owner: ConnectionOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#reader = new ResponseReader(heads, this);
    socket.on('error', (error) => this.#broken(error));
    socket.on('end', () => this.#ended());
    socket.on('close', () => this.#broken(undefined));
  }

  get isUsable(): boolean {
    return !this.#isLost && !this.#socket.destroyed && this.#socket.writable;
  }

  /** How long the server keeps it when it is idle, if it said so with its last answer. */
  get keepAliveMs(): number | undefined {
    return this.#reader.keepAliveMs;
  }

  get isWaitingToWrite(): boolean {
    return this.#request !== undefined && !this.#written;
  }

  /** Reserves the connection for a request, which `write` sends. */
  take(request: PreparedRequest): void {
    this.#request = request;
    this.#written = false;
    this.#socket.ref();
    request.call.waits(this);
  }

  /** Head and body leave together: a small body never needs a second packet. */
  write(): void {
    const request = this.#request;
    if (request === undefined) return;
    // The last request was answered before it had left: what the peer made of its rest is not known.
    if (this.#socket.writableLength > 0) return this.close();
    this.#written = true;
    this.wasUsed = true;
    this.#reader.begin(request.wire.method);
    request.call.starts(this);
    const { head } = request;
    const { body } = request.wire;
    request.wire.body = nothing;
    let bytes = head.length;
    for (const piece of body) bytes += piece.length;
    if (bytes <= oneBufferBytesMax) {
      const whole = Buffer.allocUnsafe(bytes);
      let at = whole.write(head, 0, 'latin1');
      for (const piece of body) {
        whole.set(piece, at);
        at += piece.length;
      }
      this.#socket.write(whole);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    for (const piece of body) this.#socket.write(piece);
    this.#socket.uncork();
  }

  receive(bytes: Buffer): void {
    // Nobody asked: the next answer would begin with these bytes.
    if (this.#request === undefined || !this.#written) return this.close();
    this.#reader.read(bytes);
    if (this.#reader.complete) this.#completed();
    else if (this.#reader.fault !== '')
      this.#fail(new UpstreamFailure('protocol', this.#reader.fault, true));
  }

  responseHead(head: ResponseHead): void {
    this.#request?.call.takeHead(head.status, head.headers);
  }

  responsePiece(piece: Buffer): void {
    this.#request?.call.takePiece(piece);
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  /** The call has ended. What was not yet sent leaves the connection as it was. */
  abort(): void {
    if (this.isWaitingToWrite) this.#release(false);
    else {
      this.#request = undefined;
      this.close();
    }
  }

  close(): void {
    this.#socket.destroy();
    this.#lose();
  }

  #completed(): void {
    const request = this.#request;
    if (request === undefined) return;
    const isReusable = this.#reader.reusable && !request.wire.closesConnection && this.isUsable;
    if (isReusable) this.#release(true);
    else {
      this.#request = undefined;
      this.close();
    }
    request.call.takeEnd();
  }

  #release(answered: boolean): void {
    this.#request = undefined;
    this.#written = false;
    if (this.#paused) this.resume();
    this.#socket.unref();
    this.#owner.released(this, answered);
  }

  #ended(): void {
    const request = this.#request;
    if (request !== undefined && this.#written && this.#reader.end()) this.#completed();
    else this.#broken(undefined);
  }

  #broken(error: Error | undefined): void {
    const request = this.#request;
    if (request === undefined || !this.#written) this.close();
    else
      this.#fail(classifyFailure(error ?? new Error('the upstream closed the connection'), true));
  }

  #fail(failure: UpstreamFailure): void {
    const request = this.#request;
    this.#request = undefined;
    this.close();
    request?.call.fail(failure);
  }

  #lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    const unsent = this.isWaitingToWrite ? this.#request : undefined;
    this.#request = undefined;
    this.#owner.lost(this, unsent);
  }
}
