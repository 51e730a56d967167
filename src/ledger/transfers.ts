/** The transfers of a resolved request follow from its receipt: deterministic ids, fixed accounts. */

import type { NanoUsd } from '#std';
import { nanoUsd } from '#std';
import { walletPrefix } from './books.ts';
import type { LossEntry, Receipt, TransferKind } from './contract.ts';

type Draft = Receipt['transfers'][number];

type Resolved = Pick<
  Receipt,
  'walletId' | 'requestId' | 'chargeNanoUsd' | 'postedAttemptId' | 'attempts' | 'losses'
>;

export function transfersOf(receipt: Resolved): readonly Draft[] {
  const transfers: Draft[] = [];
  const add = (
    kind: TransferKind,
    attemptId: string,
    phase: string,
    debit: string,
    credit: string,
    amount: NanoUsd,
  ): void => {
    if (amount === 0) return;
    transfers.push({
      transferId: `${kind}:${receipt.requestId}:${attemptId}:${phase}`,
      kind,
      debitAccount: debit,
      creditAccount: credit,
      amountNanoUsd: amount,
    });
  };
  add(
    'post',
    receipt.postedAttemptId ?? '',
    '1',
    `${walletPrefix}${receipt.walletId}`,
    'revenue',
    receipt.chargeNanoUsd,
  );
  for (const { attemptId, channelId, providerId, costNanoUsd } of receipt.attempts) {
    add('cost', attemptId, '1', `cogs:${channelId}`, `payable:${providerId}`, costNanoUsd);
  }
  if (receipt.losses.length === 0) return transfers;
  for (const [reason, amount] of sumByReason(receipt.losses))
    add('loss', '', reason, `loss:${reason}`, 'absorbed', amount);
  return transfers;
}

function sumByReason(losses: readonly LossEntry[]): ReadonlyMap<string, NanoUsd> {
  const sums = new Map<string, NanoUsd>();
  for (const loss of losses)
    sums.set(loss.reason, nanoUsd((sums.get(loss.reason) ?? 0) + loss.amountNanoUsd));
  return sums;
}
