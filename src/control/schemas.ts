/** What stands in the bodies of the control plane. */

import * as z from 'zod';
import { keyLimitsSchema } from '#access';
import { idPattern } from '#ledger';

/** Up to nine decimals, which are nano-dollars. */
const usd = z
  .string()
  .regex(/^\d{1,7}(\.\d{1,9})?$/)
  .describe('US dollars as decimal text');

export const moreThanNothing = usd.regex(/[1-9]/, 'must be more than 0');

/** No calendar goes further; beyond it a moment cannot be shown. */
export const latestMs = 8_640_000_000_000_000;

/** What the ledger takes for a name. */
export const id = z
  .string()
  .regex(idPattern, 'must be 1 to 200 visible ASCII characters without spaces');

export const walletSchema = z.object({
  wallet_id: z.string(),
  available_usd: z.string(),
  posted_usd: z.string(),
  held_usd: z.string(),
  lots: z.array(
    z.object({
      lot_id: z.string(),
      kind: z.string(),
      amount_usd: z.string(),
      remaining_usd: z.string(),
      source: z.string(),
      created_at_ms: z.number(),
    }),
  ),
});
export const receiptSchema = z.looseObject({
  receipt_id: z.string(),
  kind: z.string(),
  charge_usd: z.string(),
});
export const keySchema = z.object({
  key_id: z.string(),
  name: z.string(),
  last_four: z.string(),
  wallet_id: z.string(),
  project_id: z.string().nullable(),
  limits: keyLimitsSchema,
  created_at_ms: z.number(),
  expires_at_ms: z.number().nullable(),
  revoked_at_ms: z.number().nullable(),
});
