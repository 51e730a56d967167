import type { NanoUsd } from '#std';

/** What the client is told of the money: shown in each dialect's usage object. */
export type Bill = { readonly costNanoUsd: NanoUsd; readonly receiptId: string };
