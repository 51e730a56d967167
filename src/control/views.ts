/** What the program knows in the API's spelling: `chargeNanoUsd` is `charge_nano_usd`, at every level. */

import type * as z from 'zod';
import { budgetScopes, keyLimitsSchema } from '#access';
import type { Receipt } from '#ledger';
import { formatUsd, nanoUsd, zeroNanoUsd } from '#std';
import type { AuditEntry, KeyRecord, RequestRecord } from '#store';
import type {
  auditSchema,
  keySchema,
  receiptSchema,
  requestSchema,
  walletSchema,
} from './schemas.ts';
import type { ControlServices } from './services.ts';

export async function walletView(
  services: ControlServices,
  walletId: string,
): Promise<z.infer<typeof walletSchema>> {
  const balance = await services.ledger.balance(walletId);
  return {
    wallet_id: walletId,
    available_usd: formatUsd(balance.availableNanoUsd),
    posted_usd: formatUsd(balance.postedNanoUsd),
    held_usd: formatUsd(balance.pendingNanoUsd),
    lots: balance.lots.map((lot) => ({
      lot_id: lot.lotId,
      kind: lot.kind,
      amount_usd: formatUsd(lot.amountNanoUsd),
      remaining_usd: formatUsd(lot.remainingNanoUsd),
      source: lot.source,
      created_at_ms: lot.createdAtMs,
    })),
  };
}

export function receiptView(receipt: Receipt): z.infer<typeof receiptSchema> {
  return {
    receipt_id: receipt.receiptId,
    kind: receipt.kind,
    wallet_id: receipt.walletId,
    request_id: receipt.requestId,
    created_at_ms: receipt.createdAtMs,
    charge_usd: formatUsd(receipt.chargeNanoUsd),
    charge_nano_usd: receipt.chargeNanoUsd,
    rated_nano_usd: receipt.ratedNanoUsd,
    hold_nano_usd: receipt.holdNanoUsd,
    balance_after_usd: formatUsd(nanoUsd(receipt.balanceAfterNanoUsd)),
    balance_after_nano_usd: receipt.balanceAfterNanoUsd,
    usage_source: receipt.usageSource,
    usage: receipt.usage,
    price_version: receipt.priceVersion,
    formula: receipt.formula,
    lines: receipt.lines.map((line) => ({
      unit: line.unit,
      quantity: line.quantity,
      price_nano_usd_per_million: line.priceNanoUsdPerMillion,
    })),
    attempts: receipt.attempts.map((attempt) => ({
      attempt_id: attempt.attemptId,
      channel_id: attempt.channelId,
      provider_id: attempt.providerId,
      outcome: attempt.outcome,
      cost_nano_usd: attempt.costNanoUsd,
    })),
    posted_attempt_id: receipt.postedAttemptId,
    losses: receipt.losses.map((loss) => ({
      reason: loss.reason,
      amount_nano_usd: loss.amountNanoUsd,
    })),
    lots: receipt.lots.map((lot) => ({
      lot_id: lot.lotId,
      kind: lot.kind,
      amount_nano_usd: lot.amountNanoUsd,
    })),
    transfers: receipt.transfers.map((transfer) => ({
      transfer_id: transfer.transferId,
      kind: transfer.kind,
      debit_account: transfer.debitAccount,
      credit_account: transfer.creditAccount,
      amount_nano_usd: transfer.amountNanoUsd,
    })),
    detail: receipt.detail,
    chain_number: receipt.chainNumber,
    sequence: receipt.sequence,
    previous_hash: receipt.previousHash,
    hash: receipt.hash,
  };
}

export function requestView(record: RequestRecord): z.infer<typeof requestSchema> {
  return {
    request_id: record.requestId,
    wallet_id: record.walletId,
    key_id: record.keyId,
    project_id: record.projectId,
    created_at_ms: record.createdAtMs,
    duration_ms: record.durationMs,
    first_content_ms: record.firstContentMs,
    status: record.status,
    error_code: record.errorCode,
    dialect: record.dialect,
    operation: record.operation,
    model: record.model,
    channel_id: record.channelId,
    charge_nano_usd: record.chargeNanoUsd,
    input_tokens: record.inputTokens,
    output_tokens: record.outputTokens,
    streamed: record.streamed,
    detail: record.detail,
  };
}

export function auditView(entry: AuditEntry): z.infer<typeof auditSchema> {
  return {
    audit_id: entry.auditId,
    created_at_ms: entry.createdAtMs,
    actor: entry.actor,
    action: entry.action,
    target: entry.target,
    detail: entry.detail,
  };
}

/** Keys with what is spent of their budgets. */
export async function keyViews(
  services: ControlServices,
  records: readonly KeyRecord[],
): Promise<z.infer<typeof keySchema>[]> {
  const limits = records.map((record) => keyLimitsSchema.parse(record.limits));
  const scopes = records.flatMap(({ keyId }, index) => budgetScopes(keyId, limits[index] ?? {}));
  const budgets = Map.groupBy(await services.ledger.budgets(scopes), ({ id }) => id);
  return records.map((record, index) => ({
    key_id: record.keyId,
    name: record.name,
    last_four: record.lastFour,
    wallet_id: record.walletId,
    project_id: record.projectId,
    limits: limits[index] ?? {},
    budgets: (budgets.get(record.keyId) ?? []).map((budget) => ({
      window: budget.window,
      window_start_ms: budget.windowStartMs,
      limit_usd: formatUsd(budget.limitNanoUsd ?? zeroNanoUsd),
      spent_usd: formatUsd(budget.spentNanoUsd),
      held_usd: formatUsd(budget.pendingNanoUsd),
      remaining_usd: formatUsd(budget.remainingNanoUsd ?? zeroNanoUsd),
    })),
    created_at_ms: record.createdAtMs,
    expires_at_ms: record.expiresAtMs,
    revoked_at_ms: record.revokedAtMs,
  }));
}
