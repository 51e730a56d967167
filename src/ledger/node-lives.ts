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
 * that whoever judges them can itself be heard. A node of an older version has none, and is not judged.
 */
export const signLane: Lane<Pick<NodeSign, 'nodeId' | 'epoch'>, readonly NodeSign[]> = {
  name: 'ledger-signs',
  *apply(nodes) {
    const [own = { nodeId: '', epoch: 0 }] = nodes;
    yield* change(
      `INSERT INTO node_signs (node_id, epoch, signs) VALUES (?, ?, 1)
         ON CONFLICT (node_id) DO UPDATE SET epoch = excluded.epoch, signs = node_signs.signs + 1`,
      [own.nodeId, own.epoch],
    );
    const rows = yield* query(
      `SELECT node_signs.node_id, node_signs.epoch, signs FROM node_signs
         JOIN nodes ON nodes.node_id = node_signs.node_id AND nodes.epoch = node_signs.epoch
         WHERE node_signs.node_id <> ? AND node_signs.node_id IN (SELECT node_id FROM holds WHERE lifetime = 'process')`,
      [own.nodeId],
    );
    const others = rows.map((row) => ({
      nodeId: textOf(row, 'node_id'),
      epoch: integerOf(row, 'epoch'),
      signs: integerOf(row, 'signs'),
    }));
    return nodes.map(() => others);
  },
};
