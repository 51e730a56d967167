/** What is told of holds whose process died, or that outlived their time. */

import type { JsonObject, NanoUsd } from '#std';
import type { AttemptIntent, Settlement } from './contract.ts';

/** An open hold found after a crash, with an attempt whose outcome only the vendor knows. */
export type OpenAttempt = AttemptIntent & {
  readonly requestId: string;
  readonly walletId: string;
  readonly holdNanoUsd: NanoUsd;
  readonly createdAtMs: number;
  readonly context: JsonObject;
};

/** What a vendor says about an attempt after a crash. The caller rates it. */
export type LookUpAnswer =
  | { readonly found: 'never_arrived' }
  | { readonly found: 'unknown' }
  | {
      readonly found: 'billed';
      readonly settlement: Omit<Settlement, 'requestId' | 'attempts'>;
      readonly costNanoUsd: NanoUsd;
    };

export type RecoverOptions = {
  /** Asked for attempts with `canLookUp`; a rejection counts as `unknown`. */
  readonly lookUp?: (open: OpenAttempt) => Promise<LookUpAnswer>;
  /** Look-ups at once. Default 16. */
  readonly concurrency?: number;
};

export type RecoverSummary = {
  readonly holdsFound: number;
  readonly voided: number;
  readonly lostNanoUsd: NanoUsd;
  /** Holds that wait for a look-up; they stay held until `background` is done. */
  readonly lookUps: number;
  readonly background: Promise<{ readonly settled: number; readonly voided: number }>;
};

export type SweepSummary = {
  readonly expired: number;
  /** Nodes that have said nothing for two minutes, and how many holds of theirs were ended. */
  readonly silentNodes: readonly string[];
  readonly abandoned: number;
  readonly lostNanoUsd: NanoUsd;
};
