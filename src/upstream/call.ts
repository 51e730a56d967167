import type { BodySink, BodySource } from './body.ts';
import { UpstreamFailure } from './failure.ts';
import type { ResponseHeaders } from './headers.ts';

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

/** What a call may do to whatever carries it. */
export type CallCarrier = {
  pause(): void;
  resume(): void;
  /** Ends the exchange; nothing more comes from it. */
  abort(reason: Error): void;
};

/** Who made the call, and is told how it goes. */
export type CallOwner = {
  answered(call: OutboundCall, status: number, headers: ResponseHeaders): void;
  /** Called once, with the failure if it has one: before the head nobody else hears of it. */
  over(call: OutboundCall, failure: UpstreamFailure | undefined): void;
};

export type CallTerms = {
  readonly timeouts: UpstreamTimeouts;
  readonly bytesMax: number;
  readonly startedAtMs: number;
  readonly patience: Patience | undefined;
  readonly signal: AbortSignal | undefined;
};

/** No call is given up earlier, however fast its like usually are: any network stumbles. */
const patienceMs = 500;

/** Bytes that wait for the reader before the peer is slowed down. */
const queuedBytesMax = 65_536;

type Phase = 'connect' | 'headers' | 'body' | 'over';

/**
 * One outbound call: its time, its failure, and its body on the way from the connection to a sink.
 * What carries the call (a connection of our own or undici) tells it what arrives by `starts`, `takeHead`,
 * `takePiece`, `takeEnd` and `fail`. Pieces that nobody takes wait, and from 64 KiB on the peer waits too.
 */
export class OutboundCall implements BodySource {
  readonly #owner: CallOwner;
  readonly #terms: CallTerms;
  #phase: Phase = 'connect';
  #phaseSince: number;
  #moved = false;
  #sent = false;
  #carrier: CallCarrier | undefined;
  #failure: UpstreamFailure | undefined;
  #receivedBytes = 0;
  #sink: BodySink | undefined;
  #hearsCancel = false;
  /** The reader holds back. */
  #held = false;
  #draining = false;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** The peer is held back. */
  #paused = false;
  #closed: PromiseWithResolvers<void> | undefined;

  constructor(terms: CallTerms, owner: CallOwner) {
    this.#terms = terms;
    this.#owner = owner;
    this.#phaseSince = terms.startedAtMs;
    terms.signal?.addEventListener('abort', this);
  }

  get startedAtMs(): number {
    return this.#terms.startedAtMs;
  }

  /** Whether a connection was given the request. */
  get sent(): boolean {
    return this.#sent;
  }

  get isOver(): boolean {
    return this.#phase === 'over';
  }

  /** Resolves when the body is complete or has failed. */
  get closed(): Promise<void> {
    if (this.#phase === 'over') return Promise.resolve();
    this.#closed ??= Promise.withResolvers();
    return this.#closed.promise;
  }

  /** The signal fired. */
  handleEvent(): void {
    this.cancel();
  }

  /** Something has the call in hand, and nothing was sent. */
  waits(carrier: CallCarrier | undefined): void {
    if (this.#phase === 'connect') this.#carrier = carrier;
  }

  /** A connection is given the request now. */
  starts(carrier: CallCarrier): void {
    if (this.#phase !== 'connect') return;
    this.#carrier = carrier;
    this.#sent = true;
    this.#phase = 'headers';
    this.#moved = true;
  }

  takeHead(status: number, headers: ResponseHeaders): void {
    if (this.#phase !== 'headers') return;
    this.#phase = 'body';
    this.#moved = true;
    // From here on whoever reads the answer decides.
    this.#terms.signal?.removeEventListener('abort', this);
    this.#owner.answered(this, status, headers);
  }

  takePiece(piece: Uint8Array): void {
    if (this.#phase !== 'body') return;
    this.#moved = true;
    this.#receivedBytes += piece.length;
    const { bytesMax } = this.#terms;
    if (this.#receivedBytes > bytesMax) {
      this.fail(new UpstreamFailure('too-large', `the answer exceeds ${bytesMax} bytes`, true));
      return;
    }
    if (this.#sink !== undefined && !this.#held && this.#queue.length === 0) {
      this.#sink.data(piece);
      return;
    }
    this.#queue.push(piece);
    this.#queuedBytes += piece.length;
    if (this.#queuedBytes < queuedBytesMax || this.#paused) return;
    this.#paused = true;
    this.#carrier?.pause();
  }

  takeEnd(): void {
    if (this.#phase === 'over') return;
    this.#finish(undefined);
    this.#drain();
  }

  /** Ends the call with a failure: the owner and the sink are told, the connection is cut. */
  fail(failure: UpstreamFailure): void {
    if (this.#phase === 'over') return;
    const carrier = this.#carrier;
    this.#failure = failure;
    this.#finish(failure);
    carrier?.abort(failure);
    this.#drain();
  }

  #finish(failure: UpstreamFailure | undefined): void {
    this.#phase = 'over';
    this.#carrier = undefined;
    this.#terms.signal?.removeEventListener('abort', this);
    this.#closed?.resolve();
    this.#owner.over(this, failure);
  }

  attach(sink: BodySink, hearsCancel: boolean): void {
    if (this.#sink !== undefined) throw new RangeError('the body is read twice');
    this.#sink = sink;
    this.#hearsCancel = hearsCancel;
    this.#drain();
  }

  pause(): void {
    this.#held = true;
  }

  resume(): void {
    this.#held = false;
    this.#drain();
  }

  /** Gives the sink what waits, and the end once nothing waits any more. */
  #drain(): void {
    if (this.#draining || this.#sink === undefined) return;
    this.#draining = true;
    let next = 0;
    while (next < this.#queue.length && !this.#held && this.#sink !== undefined) {
      const piece = this.#queue[next++];
      if (piece === undefined) break;
      this.#queuedBytes -= piece.length;
      this.#sink.data(piece);
    }
    this.#queue = next === this.#queue.length ? [] : this.#queue.slice(next);
    this.#draining = false;
    if (this.#queue.length > 0 || this.#held) return;
    if (this.#phase === 'over') this.#tellEnd();
    else if (this.#paused) this.#flowOn();
  }

  #tellEnd(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    if (this.#failure === undefined) sink?.end();
    else sink?.failed(this.#failure);
  }

  #flowOn(): void {
    this.#paused = false;
    // The peer gets its full idle time from here.
    this.#moved = true;
    this.#carrier?.resume();
  }

  /** Ends the call for its owner. What waits is dropped. */
  cancel(): void {
    // What was dropped must not look like a body that is complete.
    if (this.isOver && this.#queue.length > 0) this.#failure ??= this.#cancelled();
    this.#queue = [];
    this.#queuedBytes = 0;
    if (!this.#hearsCancel) this.#sink = undefined;
    // A reader that holds back has nothing left to wait for.
    this.#held = false;
    this.fail(this.#cancelled());
    this.#drain();
  }

  /** Ends the call for reasons that its reader has not heard of. */
  shutDown(): void {
    this.fail(this.#cancelled());
  }

  #cancelled(): UpstreamFailure {
    return new UpstreamFailure('aborted', 'the call was cancelled', this.#sent);
  }

  /** Called several times a second: fails the call when its time is over. */
  sweep(now: number): void {
    if (this.#moved) {
      this.#moved = false;
      this.#phaseSince = now;
    }
    const { timeouts, startedAtMs, patience } = this.#terms;
    const elapsedMs = now - this.#phaseSince;
    if (now - startedAtMs >= timeouts.totalMs) this.#expire('timeout-total');
    else if (this.#phase === 'connect' && elapsedMs >= timeouts.connectMs)
      this.#expire('timeout-connect');
    else if (this.#phase === 'headers' && elapsedMs >= timeouts.headersMs)
      this.#expire('timeout-headers');
    else if (this.#phase === 'body' && !this.#paused && elapsedMs >= timeouts.idleMs)
      this.#expire('timeout-idle');
    else if (now - startedAtMs >= patienceMs && patience?.isLost() === true) this.#expire('lost');
  }

  #expire(
    kind: 'lost' | 'timeout-connect' | 'timeout-headers' | 'timeout-idle' | 'timeout-total',
  ): void {
    this.fail(new UpstreamFailure(kind, `the upstream call ran into ${kind}`, this.#sent));
  }
}
