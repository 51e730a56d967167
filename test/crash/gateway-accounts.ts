/** What vendors billed and clients saw, compared with what the ledger has. */

import type { Books } from '#cli';
import type { Receipt } from '#ledger';
import type { BillEntry, RunningSimulator } from '#simulator';
import type { Witness } from './gateway-lanes.ts';

/** The side of the vendors, gathered over all lives of the servers. */
export class Notes {
  readonly seen = new Set<string>();
  readonly billed = new Map<string, BillEntry>();
  /** Calls without the id of an attempt. */
  unnamed = 0;

  /** What a vendor saw and billed since the last time; it keeps a thousand requests only. */
  take(simulator: RunningSimulator): void {
    for (const request of simulator.seen.splice(0)) {
      const attemptId = request.headers['x-client-request-id'];
      if (attemptId === undefined) this.unnamed += 1;
      else this.seen.add(attemptId);
    }
    for (const entry of simulator.bill.entries)
      if (entry.attemptId !== undefined) this.billed.set(entry.attemptId, entry);
    simulator.bill.clear();
  }
}

/** `wallets` are named `w0` and so on. */
export async function compare(
  { ledger }: Pick<Books, 'ledger'>,
  wallets: number,
  notes: Notes,
  witness: Witness,
) {
  const receipts = new Map<string, Receipt>();
  let openNanoUsd = 0;
  let negativeWallets = 0;
  let doublePosts = 0;
  for (let index = 0; index < wallets; index += 1) {
    const walletId = `w${index}`;
    const { availableNanoUsd, pendingNanoUsd, postedNanoUsd } = await ledger.balance(walletId);
    openNanoUsd += pendingNanoUsd;
    if (availableNanoUsd < 0 || postedNanoUsd < 0) negativeWallets += 1;
    let sum = 0;
    for (let before: string | undefined; ;) {
      const page = await ledger.statement({
        walletId,
        limit: 500,
        ...(before === undefined ? {} : { before }),
      });
      for (const receipt of page.receipts) {
        sum -= receipt.chargeNanoUsd;
        if (receipt.requestId === undefined) continue;
        if (receipts.has(receipt.requestId)) doublePosts += 1;
        receipts.set(receipt.requestId, receipt);
      }
      before = page.next;
      if (before === undefined) break;
    }
    if (sum !== postedNanoUsd) doublePosts += 1;
  }
  const verified = await ledger.verify();
  return {
    vendor_calls: notes.seen.size,
    vendor_bills: notes.billed.size,
    receipts: receipts.size,
    acknowledged: witness.acknowledged.size,
    orphans: countOrphans(receipts, notes.seen),
    lost_acknowledgements: countLost(receipts, witness),
    double_posts: doublePosts,
    open_nano_usd: openNanoUsd,
    negative_wallets: negativeWallets,
    ...compareCosts(receipts, notes.billed),
    differences: verified.differenceCount,
    first_differences: verified.differences.slice(0, 3),
  };
}

function countOrphans(receipts: ReadonlyMap<string, Receipt>, seen: ReadonlySet<string>): number {
  const known = new Set<string>();
  for (const receipt of receipts.values())
    for (const attempt of receipt.attempts)
      if (attempt.channelId !== 'unrecorded') known.add(attempt.attemptId);
  return [...seen].filter((attemptId) => !known.has(attemptId)).length;
}

function countLost(receipts: ReadonlyMap<string, Receipt>, witness: Witness): number {
  const byId = new Map([...receipts.values()].map((receipt) => [receipt.receiptId, receipt]));
  return [...witness.acknowledged].filter(
    ([receiptId, charge]) => byId.get(receiptId)?.chargeNanoUsd !== charge,
  ).length;
}

/** Where the vendor told its usage, the receipt has exactly what the vendor billed. */
function compareCosts(
  receipts: ReadonlyMap<string, Receipt>,
  billed: ReadonlyMap<string, BillEntry>,
) {
  let exact = 0;
  let mismatches = 0;
  let unknown = 0;
  let estimated = 0;
  for (const receipt of receipts.values()) {
    if (
      receipt.kind === 'void' &&
      receipt.attempts.some((attempt) => attempt.outcome === 'unknown')
    )
      unknown += 1;
    if (receipt.usageSource === 'estimated') estimated += 1;
    const entry =
      receipt.usageSource === 'provider' ? billed.get(receipt.postedAttemptId ?? '') : undefined;
    if (!entry) continue;
    const { inputTokens, outputTokens, reasoningTokens = 0 } = receipt.usage;
    const same =
      inputTokens === entry.inputTokens &&
      outputTokens === entry.outputTokens &&
      reasoningTokens === entry.reasoningTokens;
    if (same) exact += 1;
    else mismatches += 1;
  }
  return {
    cost_exact: exact,
    cost_mismatches: mismatches,
    cost_estimated: estimated,
    unknown_outcomes: unknown,
  };
}
