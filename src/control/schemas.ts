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

export const word = z.string().min(1, 'must not be empty');

/** Entries of one page. */
export const pageLimit = z
  .string()
  .regex(/^([1-9]\d?|[1-4]\d\d|500)$/, 'must be a whole number from 1 to 500')
  .transform(Number);

const ofPageBefore = 'must be the `next` of the page before';
/** Where a page of each list begins. */
export const statementPlace = z.string().regex(/^\d{1,16}-\d{1,16}$/, ofPageBefore);
export const requestPlace = z.string().regex(/^\d{1,16} \S+$/, ofPageBefore);
export const auditPlace = z
  .string()
  .regex(/^aud_\w+$/, 'must be the `audit_id` of the last entry of the page before');

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
const anyObject = z.record(z.string(), z.unknown());
export const receiptSchema = z.object({
  receipt_id: z.string(),
  kind: z.string(),
  wallet_id: z.string().optional(),
  request_id: z.string().optional(),
  created_at_ms: z.number(),
  charge_usd: z.string().describe('What the wallet paid; negative: received'),
  charge_nano_usd: z.number(),
  rated_nano_usd: z.number().describe('The rated price; the charge is this or the hold'),
  hold_nano_usd: z.number(),
  balance_after_usd: z.string(),
  balance_after_nano_usd: z.number(),
  usage_source: z.string(),
  usage: anyObject,
  price_version: z.string(),
  formula: z.string(),
  lines: z.array(
    z.object({ unit: z.string(), quantity: z.number(), price_nano_usd_per_million: z.number() }),
  ),
  attempts: z.array(
    z.object({
      attempt_id: z.string(),
      channel_id: z.string(),
      provider_id: z.string(),
      outcome: z.string(),
      cost_nano_usd: z.number(),
    }),
  ),
  posted_attempt_id: z.string().optional(),
  losses: z.array(z.object({ reason: z.string(), amount_nano_usd: z.number() })),
  lots: z.array(z.object({ lot_id: z.string(), kind: z.string(), amount_nano_usd: z.number() })),
  transfers: z.array(
    z.object({
      transfer_id: z.string(),
      kind: z.string(),
      debit_account: z.string(),
      credit_account: z.string(),
      amount_nano_usd: z.number(),
    }),
  ),
  detail: anyObject,
  chain_number: z.number(),
  sequence: z.number(),
  previous_hash: z.string(),
  hash: z.string(),
});
export const requestSchema = z.object({
  request_id: z.string(),
  wallet_id: z.string(),
  key_id: z.string(),
  project_id: z.string().nullable(),
  created_at_ms: z.number(),
  duration_ms: z.number(),
  first_content_ms: z.number().nullable(),
  status: z.number(),
  error_code: z.string().nullable(),
  dialect: z.string(),
  operation: z.string(),
  model: z.string(),
  channel_id: z.string().nullable(),
  charge_nano_usd: z.number(),
  input_tokens: z.number(),
  output_tokens: z.number(),
  streamed: z.boolean(),
  detail: anyObject.describe('Attempts, losses and routing'),
});
export const auditSchema = z.object({
  audit_id: z.string(),
  created_at_ms: z.number(),
  actor: z.string(),
  action: z.string(),
  target: z.string(),
  detail: anyObject,
});
export const keySchema = z.object({
  key_id: z.string(),
  name: z.string(),
  last_four: z.string(),
  wallet_id: z.string(),
  project_id: z.string().nullable(),
  limits: keyLimitsSchema,
  budgets: z
    .array(
      z.object({
        window: z.string(),
        window_start_ms: z.number(),
        limit_usd: z.string(),
        spent_usd: z.string(),
        held_usd: z.string().describe('For requests that run'),
        remaining_usd: z.string().describe('Neither spent nor held'),
      }),
    )
    .describe('What is spent of each budget in its current window'),
  created_at_ms: z.number(),
  expires_at_ms: z.number().nullable(),
  revoked_at_ms: z.number().nullable(),
});
