/** All trials, by the names that `npm run bench -- --workloads` takes. */

import { headOfLine, invalidKeys, operatorLoad } from './beside.ts';
import { billingProof } from './billing.ts';
import { coldStart } from './cold-start.ts';
import { upstreamFaults } from './faults.ts';
import { leavingClients, slowReaders } from './leaving.ts';
import { manyStreams } from './many-streams.ts';
import { billingTax } from './tax.ts';
import type { Trial } from './trial.ts';

export const trials: readonly Trial[] = [
  manyStreams,
  billingProof,
  upstreamFaults,
  invalidKeys,
  headOfLine,
  leavingClients,
  slowReaders,
  operatorLoad,
  coldStart,
  billingTax,
];
