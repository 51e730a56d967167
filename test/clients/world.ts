/** What every client is driven in. */

import type { Rig } from '../scenarios/rig.ts';

export type World = {
  readonly rig: Rig;
  /** Makes the words of this run unlike those of any other. */
  readonly nonce: string;
  /** A folder for the agents to work in, with the note in it. */
  readonly workspace: string;
  /** What every program gets: no home but an empty one, no way out but loopback. */
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** The limit of a step, within what is left of the whole run. */
  limitMs(wantedMs: number): number;
};

/** One line of the table; no faults: passed. */
export type Row = {
  readonly client: string;
  readonly upstream: string;
  readonly faults: readonly string[];
};
