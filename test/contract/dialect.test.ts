/** The contract of dialects over all that there are. */

import * as dialects from '#dialects';
import type { Dialect } from '#dialects';
import { dialectContract } from './dialect.ts';

for (const dialect of chatDialectsIn(Object.values(dialects))) dialectContract(dialect);

function chatDialectsIn(exported: readonly unknown[]): readonly Dialect[] {
  return exported.filter(
    (value): value is Dialect =>
      typeof value === 'object' && value !== null && 'stream' in value && 'request' in value,
  );
}
