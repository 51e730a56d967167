/** `manifold ledger …`: the books, for the operator and for whoever wants to check them. */

import { formatUsd, nanoUsd, parseUsd } from '#std';
import type { Ledger, LotKind } from '#ledger';
import {
  requiredWord,
  table,
  textOption,
  walletName,
  withBooks,
  type CommandContext,
} from './command.ts';
import { ConfigError } from './config.ts';
import { rateReceipt } from './rate-receipt.ts';

const actions: { readonly [action: string]: (context: CommandContext) => Promise<number> } = {
  verify,
  balance,
  statement,
  receipt,
  export: exportReceipts,
  topup,
  refund,
};

export async function ledgerCommand(context: CommandContext): Promise<number> {
  const action = requiredWord(context, 0, Object.keys(actions).join(', '));
  const run = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (!run)
    throw new ConfigError(
      `\`ledger ${action}\` is not a command. There are ${Object.keys(actions).join(', ')}.`,
    );
  return run(context);
}

async function verify(context: CommandContext): Promise<number> {
  return withBooks(context, async ({ ledger }) => {
    const summary = await ledger.verify({ rate: rateReceipt });
    context.output.line(
      `${summary.receipts} receipts and ${summary.transfers} transfers recomputed: ${summary.differenceCount} differences.`,
    );
    for (const difference of summary.differences)
      context.output.error(`${difference.kind}  ${difference.where}  ${difference.detail}`);
    return summary.ok ? 0 : 1;
  });
}

async function balance(context: CommandContext): Promise<number> {
  return withBooks(context, async ({ ledger }) => {
    const found = await ledger.balance(walletName(context.words[1] ?? 'wallet_demo'));
    context.output.line(
      `Wallet ${found.walletId}: ${formatUsd(found.availableNanoUsd)} USD available, ${formatUsd(found.pendingNanoUsd)} USD held. It never expires.`,
    );
    if (found.lots.length > 0) {
      context.output.line(
        table([
          ['LOT', 'KIND', 'LEFT', 'OF', 'FROM'],
          ...found.lots.map((lot) => [
            lot.lotId,
            lot.kind,
            formatUsd(lot.remainingNanoUsd),
            formatUsd(lot.amountNanoUsd),
            lot.source,
          ]),
        ]),
      );
    } else await remarkUnknown(context, ledger, found.walletId);
    return 0;
  });
}

/** A wallet is there from its first receipt on: of one without any, the name may be mistyped. */
async function remarkUnknown(
  { output }: CommandContext,
  ledger: Pick<Ledger, 'statement'>,
  walletId: string,
): Promise<void> {
  const { receipts } = await ledger.statement({ walletId, limit: 1 });
  if (receipts.length === 0)
    output.error(
      `Nothing was ever booked for ${walletId}. \`manifold key list\` shows the wallets of keys.`,
    );
}

async function statement(context: CommandContext): Promise<number> {
  return withBooks(context, async ({ ledger }) => {
    const walletId = walletName(context.words[1] ?? 'wallet_demo');
    const page = await ledger.statement({ walletId, limit: 50 });
    const rows = page.receipts.map((entry) => [
      new Date(entry.createdAtMs).toISOString().slice(0, 19),
      entry.kind,
      formatUsd(nanoUsd(-entry.chargeNanoUsd)),
      formatUsd(entry.balanceAfterNanoUsd),
      String(entry.detail['model'] ?? ''),
      entry.receiptId,
    ]);
    context.output.line(
      table([['TIME (UTC)', 'KIND', 'USD', 'BALANCE', 'MODEL', 'RECEIPT'], ...rows]),
    );
    if (rows.length === 0) await remarkUnknown(context, ledger, walletId);
    return 0;
  });
}

async function receipt(context: CommandContext): Promise<number> {
  const id = requiredWord(context, 1, 'the id of the receipt');
  return withBooks(context, async ({ ledger }) => {
    const found = await ledger.receipt(id);
    if (!found) {
      context.output.error(`There is no receipt ${id}.`);
      return 1;
    }
    context.output.line(JSON.stringify(found, null, 2));
    return 0;
  });
}

/** One receipt a line, newest first: input for a spreadsheet or for another pair of eyes. */
async function exportReceipts(context: CommandContext): Promise<number> {
  return withBooks(context, async ({ ledger }) => {
    const walletId = walletName(context.words[1] ?? 'wallet_demo');
    await remarkUnknown(context, ledger, walletId);
    let before: string | undefined;
    do {
      const page = await ledger.statement({
        walletId,
        limit: 500,
        ...(before === undefined ? {} : { before }),
      });
      for (const entry of page.receipts) context.output.line(JSON.stringify(entry));
      before = page.next;
    } while (before !== undefined);
    return 0;
  });
}

async function topup(context: CommandContext): Promise<number> {
  const walletId = walletName(requiredWord(context, 1, 'the wallet'));
  const text = requiredWord(context, 2, 'the amount in US dollars');
  const amount = parseUsd(text);
  if (amount === undefined || amount <= 0)
    throw new ConfigError(`\`${text}\` is not an amount. Write US dollars as 25 or 0.50.`);
  const kind = lotKind(textOption(context, 'kind') ?? 'paid');
  return withBooks(context, async ({ ledger, store, newId }) => {
    const eventId = newId('evt');
    const result = await ledger.credit({
      walletId,
      amountNanoUsd: amount,
      lotKind: kind,
      source: 'operator',
      eventId,
      actor: 'cli',
      ...noteOf(context),
    });
    if (!result.ok) return refused(context, result.error);
    await store.audit.append({
      auditId: newId('aud'),
      createdAtMs: Date.now(),
      actor: 'cli',
      action: 'wallet.topup',
      target: walletId,
      detail: { amount_usd: formatUsd(amount), receipt_id: result.receipt.receiptId },
    });
    context.output.line(
      `${formatUsd(amount)} USD added to ${walletId}: receipt ${result.receipt.receiptId}, balance ${formatUsd(result.receipt.balanceAfterNanoUsd)} USD.`,
    );
    return 0;
  });
}

async function refund(context: CommandContext): Promise<number> {
  const walletId = walletName(requiredWord(context, 1, 'the wallet'));
  const lotId = requiredWord(context, 2, 'the lot, from `manifold ledger balance`');
  const text = textOption(context, 'amount');
  const amount = text === undefined ? undefined : parseUsd(text);
  if (text !== undefined && (amount === undefined || amount <= 0))
    throw new ConfigError(`\`${text}\` is not an amount. Write US dollars as 25 or 0.50.`);
  const reason = textOption(context, 'reason') ?? 'refund by the operator';
  if (reason.trim() === '') throw new ConfigError('--reason is empty. Say why, or leave it out.');
  return withBooks(context, async ({ ledger, store, newId }) => {
    const result = await ledger.refund({
      walletId,
      lotId,
      eventId: newId('evt'),
      actor: 'cli',
      reason,
      ...(amount === undefined ? {} : { amountNanoUsd: amount }),
    });
    if (!result.ok && result.error === 'not_found') {
      context.output.error(
        `Wallet ${walletId} has no lot ${lotId}. \`manifold ledger balance ${walletId}\` shows those with money left.`,
      );
      return 1;
    }
    if (!result.ok) return refused(context, result.error);
    await store.audit.append({
      auditId: newId('aud'),
      createdAtMs: Date.now(),
      actor: 'cli',
      action: 'wallet.refund',
      target: walletId,
      detail: { lot_id: lotId, receipt_id: result.receipt.receiptId },
    });
    context.output.line(
      `${formatUsd(result.receipt.chargeNanoUsd)} USD refunded: receipt ${result.receipt.receiptId}.`,
    );
    return 0;
  });
}

function noteOf(context: CommandContext): { readonly note?: string } {
  const note = textOption(context, 'note');
  return note === undefined ? {} : { note };
}

function lotKind(text: string): LotKind {
  if (text === 'paid' || text === 'gift' || text === 'invite' || text === 'demo') return text;
  throw new ConfigError(`--kind: \`${text}\` is none of paid, gift, invite, demo.`);
}

function refused(context: CommandContext, error: string): number {
  context.output.error(`Refused: ${error.replaceAll('_', ' ')}.`);
  return 1;
}
