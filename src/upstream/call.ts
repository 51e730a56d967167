import type { Dispatcher } from 'undici';
import type { IncomingHttpHeaders } from 'undici/types/header.js';
import { classifyFailure, UpstreamFailure } from './failure.ts';

/** How long each part of a call may take. */
export type UpstreamTimeouts = {
  /** Until a connection is ready: queue, DNS, TCP, TLS. */
  readonly connectMs: number;
  /** From there until the response head. */
  readonly headersMs: number;
  /** Between two pieces of the body; time in which the reader holds back does not count. */
  readonly idleMs: number;
  /** The whole call. */
  readonly totalMs: number;
};

/** Whoever waits for the call and may know that it is in vain. */
export type Patience = { isLost(): boolean };

/** No call is given up earlier, however fast its like usually are: any network stumbles. */
const patienceMs = 500;

/** Bytes that wait for the reader before the socket is paused. */
const queuedBytesMax = 65_536;

type Phase = 'connect' | 'headers' | 'body' | 'over';

/** The head of a response, given out once. */
export type CallHead = { readonly status: number; readonly headers: IncomingHttpHeaders };

const over: IteratorResult<Uint8Array, undefined> = Object.freeze({ done: true, value: undefined });

/**
 * One outbound call as undici sees it, and the reader of its body. The body is pulled: when pieces
 * wait, the socket is paused, so a slow reader slows the peer.
 */
export class OutboundCall
  implements Dispatcher.DispatchHandler, AsyncIterableIterator<Uint8Array, undefined>
{
  readonly head: PromiseWithResolvers<CallHead> = Promise.withResolvers();
  readonly closed: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #timeouts: UpstreamTimeouts;
  readonly #bytesMax: number;
  readonly #onOver: (call: OutboundCall) => void;
  readonly #startedAt: number;
  readonly #patience: Patience | undefined;
  #phase: Phase = 'connect';
  #phaseSince: number;
  #moved = false;
  #controller: Dispatcher.DispatchController | undefined;
  #failure: UpstreamFailure | undefined;
  #queue: Uint8Array[] = [];
  #queueHead = 0;
  #queuedBytes = 0;
  #receivedBytes = 0;
  #paused = false;
  #reader: PromiseWithResolvers<IteratorResult<Uint8Array, undefined>> | undefined;

  constructor(
    timeouts: UpstreamTimeouts,
    bytesMax: number,
    now: number,
    onOver: (call: OutboundCall) => void,
    patience?: Patience,
  ) {
    this.#patience = patience;
    this.#timeouts = timeouts;
    this.#bytesMax = bytesMax;
    this.#startedAt = now;
    this.#phaseSince = now;
    this.#onOver = onOver;
  }

  /** Whether a connection was given the request. */
  get sent(): boolean {
    return this.#controller !== undefined;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#phase === 'over') {
      controller.abort(this.#failure ?? new Error('the call is over'));
      return;
    }
    this.#controller = controller;
    this.#phase = 'headers';
    this.#moved = true;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (status < 200 || this.#phase !== 'headers') return;
    this.#phase = 'body';
    this.#moved = true;
    this.head.resolve({ status, headers });
  }

  onRequestUpgrade(): void {
    this.fail(new UpstreamFailure('protocol', 'the upstream changed the protocol', true));
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Uint8Array): void {
    if (this.#phase === 'over') return;
    this.#moved = true;
    this.#receivedBytes += piece.length;
    if (this.#receivedBytes > this.#bytesMax) {
      this.fail(
        new UpstreamFailure('too-large', `the answer exceeds ${this.#bytesMax} bytes`, true),
      );
      return;
    }
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve({ done: false, value: piece });
      return;
    }
    this.#queue.push(piece);
    this.#queuedBytes += piece.length;
    if (this.#queuedBytes < queuedBytesMax || this.#paused) return;
    this.#paused = true;
    this.#controller?.pause();
  }

  onResponseEnd(): void {
    this.#finish();
    this.#reader?.resolve(over);
    this.#reader = undefined;
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.fail(classifyFailure(error, this.sent));
  }

  /** Ends the call with a failure: the head or the next read rejects, the connection is cut. */
  fail(failure: UpstreamFailure): void {
    if (this.#phase === 'over') return;
    this.#failure = failure;
    this.#queue = [];
    this.#queueHead = 0;
    this.#queuedBytes = 0;
    this.#finish();
    this.#controller?.abort(failure);
    this.head.reject(failure);
    this.#reader?.reject(failure);
    this.#reader = undefined;
  }

  #finish(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.closed.resolve();
    this.#onOver(this);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const piece = this.#queue[this.#queueHead];
    if (piece !== undefined) return Promise.resolve({ done: false, value: this.#take(piece) });
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#phase === 'over') return Promise.resolve(over);
    if (this.#reader !== undefined)
      return Promise.reject(new RangeError('the body is read twice at once'));
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  #take(piece: Uint8Array): Uint8Array {
    this.#queueHead += 1;
    this.#queuedBytes -= piece.length;
    if (this.#queueHead === this.#queue.length) {
      this.#queue = [];
      this.#queueHead = 0;
      if (this.#paused) {
        this.#paused = false;
        // The peer gets its full idle time from here.
        this.#moved = true;
        this.#controller?.resume();
      }
    }
    return piece;
  }

  /** A reader that stops early cuts the connection. */
  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.cancel();
    return Promise.resolve(over);
  }

  cancel(): void {
    this.fail(new UpstreamFailure('aborted', 'the call was cancelled', this.sent));
  }

  /** Called several times a second: fails the call when its time is over. */
  sweep(now: number): void {
    if (this.#moved) {
      this.#moved = false;
      this.#phaseSince = now;
    }
    const { connectMs, headersMs, idleMs, totalMs } = this.#timeouts;
    const elapsedMs = now - this.#phaseSince;
    if (now - this.#startedAt >= totalMs) this.#expire('timeout-total');
    else if (this.#phase === 'connect' && elapsedMs >= connectMs) this.#expire('timeout-connect');
    else if (this.#phase === 'headers' && elapsedMs >= headersMs) this.#expire('timeout-headers');
    else if (this.#phase === 'body' && !this.#paused && elapsedMs >= idleMs)
      this.#expire('timeout-idle');
    else if (now - this.#startedAt >= patienceMs && this.#patience?.isLost() === true)
      this.#expire('lost');
  }

  #expire(
    kind: 'lost' | 'timeout-connect' | 'timeout-headers' | 'timeout-idle' | 'timeout-total',
  ): void {
    this.fail(new UpstreamFailure(kind, `the upstream call ran into ${kind}`, this.sent));
  }
}
