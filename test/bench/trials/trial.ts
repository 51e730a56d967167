/** Measurements that are no table of rounds: each has a set-up of its own and tells its findings. */

import type { LoadGenerator } from '../generator.ts';
import type { LegContext } from '../leg.ts';

export type TrialContext = LegContext & {
  readonly generator: LoadGenerator;
  /** A second generator, for load beside load. */
  readonly beside: LoadGenerator;
  /** Legs by id; trials that build their own program do not ask for them. */
  readonly legs: readonly string[];
  /** Shorter and smaller, to see whether the trial itself works. */
  readonly quick: boolean;
};

export type Finding = {
  readonly what: string;
  readonly value: string;
  /** A promise of the product is broken, whatever the speed; the run ends with 1. */
  readonly wrong?: boolean;
};

export type Trial = {
  readonly id: string;
  readonly title: string;
  run(context: TrialContext): Promise<readonly Finding[]>;
};
