/** What the vendor billed and what the client was told, and whether the ledger agrees. */

import type { Ledger, Receipt } from '#ledger';
import { receiptIdOf } from '#ledger';

export class Truth {
  readonly sent = new Map<
    string,
    { readonly requestId: string; readonly cost: number; readonly canLookUp: boolean }
  >();
  readonly acknowledged = new Map<string, number>();

  /** Takes the lines of `ledger-victim.ts`; `undefined` when it is another one. */
  read(line: string, answer: (text: string) => void): 'taken' | undefined {
    const [verb, first = '', second = '', third = '', fourth = ''] = line.split(' ');
    if (verb === 'sent')
      this.sent.set(first, { requestId: second, cost: Number(third), canLookUp: fourth === '1' });
    else if (verb === 'ack') this.acknowledged.set(first, Number(second));
    else if (verb === 'ask') answer(`${first} ${this.sent.get(first)?.cost ?? 'none'}`);
    else return undefined;
    return 'taken';
  }
}

export type TruthReport = {
  readonly calls: number;
  readonly acknowledged: number;
  /** Calls that the vendor billed and the ledger never recorded. */
  readonly orphans: number;
  /** Charges that the client was told and the ledger does not have. */
  readonly lostAcknowledgements: number;
  /** Calls whose cost can be looked up and is not what the vendor billed. */
  readonly lookUpMismatches: number;
  readonly unknownOutcomes: number;
};

/** To be asked when no hold is open any more. */
export async function compareWithTruth(truth: Truth, ledger: Ledger): Promise<TruthReport> {
  const receipts = new Map<string, Receipt | undefined>();
  const receiptOf = async (requestId: string): Promise<Receipt | undefined> => {
    if (!receipts.has(requestId))
      receipts.set(requestId, await ledger.receipt(receiptIdOf(requestId)));
    return receipts.get(requestId);
  };
  let orphans = 0;
  let lookUpMismatches = 0;
  let unknownOutcomes = 0;
  for (const [attemptId, call] of truth.sent) {
    const attempt = (await receiptOf(call.requestId))?.attempts.find(
      (candidate) => candidate.attemptId === attemptId,
    );
    if (!attempt || attempt.channelId === 'unrecorded') orphans += 1;
    else if (attempt.outcome === 'unknown') {
      unknownOutcomes += 1;
      if (call.canLookUp) lookUpMismatches += 1;
    } else if (attempt.costNanoUsd !== call.cost) lookUpMismatches += 1;
  }
  let lostAcknowledgements = 0;
  for (const [requestId, charge] of truth.acknowledged) {
    const receipt = await receiptOf(requestId);
    if (receipt?.kind !== 'usage' || receipt.chargeNanoUsd !== charge) lostAcknowledgements += 1;
  }
  return {
    calls: truth.sent.size,
    acknowledged: truth.acknowledged.size,
    orphans,
    lostAcknowledgements,
    lookUpMismatches,
    unknownOutcomes,
  };
}
