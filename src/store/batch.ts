/** The queue in front of the one writer, the same for both databases. */

import type { Lane, Steps } from './engine.ts';

export type Queued = {
  readonly lane: Lane<unknown, unknown>;
  readonly operation: unknown;
  resolve(result: unknown): void;
  reject(error: unknown): void;
};

export function enqueue<Operation, Result>(
  queue: Queued[],
  lane: Lane<Operation, Result>,
  operation: Operation,
): Promise<Result> {
  return new Promise<Result>((resolve, reject) => {
    queue.push({
      lane: lane,
      operation,
      resolve,
      reject,
    });
  });
}

/**
 * All operations of a batch, lane by lane. Lanes go by name, so that every node takes its row
 * locks in the same order.
 */
export function* applyBatch(batch: readonly Queued[]): Steps<readonly unknown[]> {
  const [first] = batch;
  if (first && batch.every((queued) => queued.lane === first.lane))
    return yield* applyLane(first.lane, batch);
  const byLane = new Map<Lane<unknown, unknown>, number[]>();
  for (const [index, queued] of batch.entries()) {
    const indexes = byLane.get(queued.lane);
    if (indexes) indexes.push(index);
    else byLane.set(queued.lane, [index]);
  }
  const results: unknown[] = Array.from({ length: batch.length });
  const lanes = [...byLane].sort(([left], [right]) => (left.name < right.name ? -1 : 1));
  for (const [lane, indexes] of lanes) {
    const laneResults = yield* applyLane(
      lane,
      batch.filter((queued) => queued.lane === lane),
    );
    for (const [position, index] of indexes.entries()) results[index] = laneResults[position];
  }
  return results;
}

function* applyLane(
  lane: Lane<unknown, unknown>,
  batch: readonly Queued[],
): Steps<readonly unknown[]> {
  const results = yield* lane.apply(batch.map((queued) => queued.operation));
  if (results.length !== batch.length) throw new TypeError(`lane ${lane.name} lost a result`);
  return results;
}
