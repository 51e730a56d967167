/**
 * The contract of a dialect (the rules in src/dialects/dialect.ts) as property tests, run over every
 * dialect. `MANIFOLD_SEED` repeats a run, `MANIFOLD_LONG_TESTS=1` runs the long counts.
 */

import { test } from 'node:test';
import type { Dialect } from '#dialects';
import { seed, type Check } from './dialect-base.ts';
import { streamChecks } from './dialect-streams.ts';
import { errorChecks, totalityChecks } from './dialect-totality.ts';
import { requestChecks, responseChecks } from './dialect-translation.ts';

export { assertStreamGrammar } from './dialect-base.ts';

/** The whole suite for one dialect. */
export function dialectContract(dialect: Dialect): void {
  const checks: readonly Check[] = [
    ...requestChecks(dialect),
    ...responseChecks(dialect),
    ...streamChecks(dialect),
    ...totalityChecks(dialect),
    ...errorChecks(dialect),
  ];
  for (const [name, run] of checks) {
    test(`${dialect.id}: ${name}`, (context) => {
      context.diagnostic(`seed ${seed}`);
      run();
    });
  }
}
