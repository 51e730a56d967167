import type { Receipt } from '#ledger';
import { rateLines } from '#metering';
import { nanoUsd, type NanoUsd } from '#std';

/** The charge of a receipt computed again from its own lines. */
export function rateReceipt(receipt: Receipt): NanoUsd | undefined {
  if (receipt.kind !== 'usage') return undefined;
  if (receipt.detail['insurance'] !== undefined) return nanoUsd(0);
  const factor = receipt.detail['price_factor_millionths'];
  return rateLines(receipt.lines, typeof factor === 'number' ? factor : 1_000_000);
}
