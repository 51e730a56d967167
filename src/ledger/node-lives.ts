/**
 * Which nodes are gone, told by the signs of life that each leaves in the database, and by no clock of
 * theirs. Only time in which this process itself looked is silence: a pause of its own, or a database that was away for all, is none.
 */

import type { Clock } from '#std';
import type { Lane } from '#store';
import { change, integerOf, query, textOf } from '#store';

export type NodeSign = { readonly nodeId: string; readonly epoch: number; readonly signs: number };

/** Longer than one connection is silent that the network lost, and than a database takes to move. */
const silentMsMax = 120_000;
/** What one look says at most about the time since the last one. */
const lookMsMax = 30_000;

export class NodeLives {
  readonly #clock: Clock;
  #lookedAtMs: number | undefined;
  #watched: ReadonlyMap<string, NodeSign & { readonly silentMs: number }> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those of them that were seen to say nothing for two minutes. */
  silent(others: readonly NodeSign[]): readonly NodeSign[] {
    const nowMs = this.#clock.monotonic();
    const passedMs = Math.min(nowMs - (this.#lookedAtMs ?? nowMs), lookMsMax);
    this.#lookedAtMs = nowMs;
    const watched = others.map((node) => {
      const before = this.#watched.get(node.nodeId);
      const isSilent = before?.epoch === node.epoch && before.signs === node.signs;
      return { ...node, silentMs: isSilent ? before.silentMs + passedMs : 0 };
    });
    this.#watched = new Map(watched.map((node) => [node.nodeId, node]));
    return watched.filter(({ silentMs }) => silentMs >= silentMsMax);
  }
}

/**
 * Leaves a sign of this node, and reads those of the others that hold anything: in one transaction, so
 * that whoever judges them can itself be heard. A node without any is of a version that leaves none.
 */
export const signLane: Lane<string, readonly NodeSign[]> = {
  name: 'ledger-signs',
  *apply(nodeIds) {
    const [nodeId = ''] = nodeIds;
    yield* change('UPDATE nodes SET signs = signs + 1 WHERE node_id = ?', [nodeId]);
    const rows = yield* query(
      `SELECT node_id, epoch, signs FROM nodes WHERE signs > 0 AND node_id <> ?
         AND node_id IN (SELECT node_id FROM holds WHERE lifetime = 'process')`,
      [nodeId],
    );
    const others = rows.map((row) => ({
      nodeId: textOf(row, 'node_id'),
      epoch: integerOf(row, 'epoch'),
      signs: integerOf(row, 'signs'),
    }));
    return nodeIds.map(() => others);
  },
};
