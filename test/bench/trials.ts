/** All trials, by the names that `npm run bench -- --workloads` takes. */

import { coldStart } from './cold-start.ts';
import type { Trial } from './trial.ts';

export const trials: readonly Trial[] = [coldStart];
