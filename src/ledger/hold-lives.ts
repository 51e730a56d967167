/**
 * How long holds live, by a clock that nobody sets. The time of day only says which of them may be over:
 * it jumps when a machine wakes or is corrected, and differs between nodes, while their requests run on.
 */

import type { Clock } from '#std';
import type { HoldEntry } from './books.ts';
import type { Operation, OperationResult } from './lane.ts';

/** Who writes, and since which start of its. */
type Writer = { readonly nodeId: string; readonly epoch: number };

/** Longer than any pause between two attempts to end a hold, with what the database may take to answer. */
const leftForMs = 300_000;

export class HoldLives {
  readonly #clock: Clock;
  /** When the holds of this process are over, by request. */
  readonly #ends = new Map<string, number>();
  /** Since when the others that the time of day calls over are watched. */
  readonly #watched = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What a batch has done. One that is not written after all does no harm: its holds are not found. */
  note(operations: readonly Operation[], results: readonly OperationResult[]): void {
    for (const [index, operation] of operations.entries()) {
      const result = results[index];
      const isNew = result?.ok === true && 'repeated' in result && !result.repeated;
      if (operation.kind === 'reserve' && isNew) this.#set(operation.request);
      if (operation.kind === 'extend' && isNew) this.#set(operation.request);
      if (operation.kind === 'settle') this.#ends.delete(operation.settlement.requestId);
      if (operation.kind === 'void') this.#ends.delete(operation.request.requestId);
    }
  }

  /** A life never gets shorter. */
  #set(request: {
    readonly requestId: string;
    readonly expiresAtMs?: number;
    readonly lifetime?: HoldEntry['lifetime'];
  }): void {
    const { requestId, expiresAtMs, lifetime } = request;
    // Jobs outlive processes, so nothing but the time of day is left to judge them by.
    if (expiresAtMs === undefined || lifetime === 'job') return;
    const endsAtMs = this.#clock.monotonic() + (expiresAtMs - this.#clock.now());
    this.#ends.set(requestId, Math.max(endsAtMs, this.#ends.get(requestId) ?? endsAtMs));
  }

  /**
   * The database was away when something of this request was said, perhaps its end. Who holds it tries
   * again for a while; after that nobody will, and what is left of it should not stay for its whole life.
   */
  leave(requestId: string): void {
    const endsAtMs = this.#clock.monotonic() + leftForMs;
    this.#ends.set(requestId, Math.min(endsAtMs, this.#ends.get(requestId) ?? endsAtMs));
  }

  /** Requests of this process whose holds are over, whatever the time of day. */
  ended(most: number): readonly string[] {
    const nowMs = this.#clock.monotonic();
    const ended: string[] = [];
    for (const [requestId, endsAtMs] of this.#ends) {
      if (endsAtMs > nowMs) continue;
      ended.push(requestId);
      if (ended.length >= most) break;
    }
    return ended;
  }

  /** They are resolved, or were never written. */
  forget(requestIds: readonly string[]): void {
    for (const requestId of requestIds) this.#ends.delete(requestId);
  }

  /**
   * Those that are over of holds that the time of day calls so. What runs here is not; and what may run
   * elsewhere only when it was watched for as long as it may live.
   */
  over(candidates: readonly HoldEntry[], writer: Writer): readonly HoldEntry[] {
    const nowMs = this.#clock.monotonic();
    const over = candidates.filter((hold) => {
      if (this.#ends.has(hold.requestId)) return false;
      const isOfADeadProcess = hold.nodeId === writer.nodeId && hold.epoch < writer.epoch;
      if (hold.lifetime === 'job' || isOfADeadProcess) return true;
      const since = this.#watched.get(hold.requestId) ?? nowMs;
      this.#watched.set(hold.requestId, since);
      return nowMs - since >= hold.expiresAtMs - hold.createdAtMs;
    });
    this.#watchOnly(candidates, over);
    return over;
  }

  /** Only what is still there and still waits is watched. */
  #watchOnly(candidates: readonly HoldEntry[], over: readonly HoldEntry[]): void {
    const waiting = new Set(candidates.map(({ requestId }) => requestId));
    for (const { requestId } of over) waiting.delete(requestId);
    for (const requestId of this.#watched.keys())
      if (!waiting.has(requestId)) this.#watched.delete(requestId);
  }
}
