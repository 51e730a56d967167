/**
 * Ledger cases as text: one command per line, `->` and the outcome that is expected. Amounts are
 * plain nano-USD. `#` starts a comment.
 */

import { nanoUsd, type Clock } from '#std';
import type {
  AttemptOutcome,
  BudgetScope,
  BudgetWindow,
  Ledger,
  LotKind,
  LossReason,
  Receipt,
  ReserveRequest,
} from '#ledger';

export type LedgerFixture = {
  readonly ledger: () => Ledger;
  readonly clock: Clock & { advance(ms: number): void };
  /** Ends the process without settling anything, and starts a new one on the same database. */
  restart(): Promise<void>;
  close(): Promise<void>;
};

export type ScriptLine = {
  readonly number: number;
  readonly command: string;
  readonly expected: string;
};

export function parseScript(text: string): readonly ScriptLine[] {
  const lines: ScriptLine[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*$/, '').trim();
    if (line === '') continue;
    const [command = '', expected = 'ok'] = line.split('->').map((part) => part.trim());
    lines.push({ number: index + 1, command, expected });
  }
  return lines;
}

/** Runs one command and says what came of it. */
export async function runLine(fixture: LedgerFixture, command: string): Promise<string> {
  const [verb = '', ...words] = command.split(/\s+/);
  const run = verbs[verb];
  if (!run) throw new Error(`no such command: ${verb}`);
  return run(fixture, words);
}

type Verb = (fixture: LedgerFixture, words: readonly string[]) => Promise<string>;

const actor = 'operator';

const verbs: { readonly [verb: string]: Verb } = {
  credit: async ({ ledger }, [walletId = '', lotKind = '', amount = '', eventId = '']) =>
    outcome(
      await ledger().credit({
        walletId,
        lotKind: lotKind as LotKind,
        amountNanoUsd: money(amount),
        source: 'test',
        eventId,
        actor,
      }),
    ),
  refund: async ({ ledger }, [walletId = '', lotId = '', eventId = '', amount]) =>
    outcome(
      await ledger().refund({
        walletId,
        lotId,
        eventId,
        actor,
        reason: 'asked',
        ...(amount === undefined ? {} : { amountNanoUsd: money(amount) }),
      }),
    ),
  adjust: async ({ ledger }, [walletId = '', amount = '', eventId = '']) =>
    outcome(
      await ledger().adjust({
        walletId,
        amountNanoUsd: money(amount),
        eventId,
        actor,
        reason: 'correction',
      }),
    ),
  suspense: async ({ ledger }, [channelId = '', amount = '', eventId = '']) =>
    outcome(
      await ledger().bookSuspense({
        channelId,
        providerId: `p_${channelId}`,
        amountNanoUsd: money(amount),
        eventId,
        actor,
        reason: 'invoice',
      }),
    ),
  reserve: async ({ ledger, clock }, words) =>
    outcome(await ledger().reserve(reserveRequest(words, clock.now()))),
  attempt: async (
    { ledger },
    [requestId = '', attemptId = '', channelId = '', bound = '', previous, cost],
  ) => {
    const earlier: AttemptOutcome | undefined =
      previous === undefined
        ? undefined
        : { attemptId: previous, outcome: 'failed', costNanoUsd: money(cost ?? '0') };
    return outcome(
      await ledger().attempt(requestId, intent(attemptId, channelId, bound, false), earlier),
    );
  },
  extend: async ({ ledger }, [requestId = '', sequence = '', amount = '', ...scopes]) =>
    outcome(
      await ledger().extend({
        requestId,
        sequence: Number(sequence),
        amountNanoUsd: money(amount),
        scopes: scopes.map(scope),
      }),
    ),
  settle: async ({ ledger }, [requestId = '', charge = '', ...rest]) =>
    outcome(await ledger().settle(settlement(requestId, charge, rest))),
  void: async ({ ledger }, [requestId = '', mode]) =>
    outcome(
      await ledger().void({ requestId, reason: 'test', releaseIdempotency: mode !== 'keep' }),
    ),
  balance: async ({ ledger }, [walletId = '']) => {
    const balance = await ledger().balance(walletId);
    return `posted ${balance.postedNanoUsd} pending ${balance.pendingNanoUsd} available ${balance.availableNanoUsd}`;
  },
  lots: async ({ ledger }, [walletId = '']) =>
    (await ledger().balance(walletId)).lots
      .map((lot) => `${lot.kind}:${lot.remainingNanoUsd}`)
      .join(' ') || 'none',
  budget: async ({ ledger }, [id = '', window = '']) => {
    const scope = { kind: 'key', id, window: window as BudgetWindow, limitNanoUsd: null };
    const [budget] = await ledger().budgets([scope]);
    return `spent ${budget?.spentNanoUsd} pending ${budget?.pendingNanoUsd}`;
  },
  account: async ({ ledger }, [id = '']) => {
    const account = (await ledger().accounts(id)).find((candidate) => candidate.accountId === id);
    return `debits ${account?.debitsNanoUsd ?? 0n} credits ${account?.creditsNanoUsd ?? 0n}`;
  },
  receipt: async ({ ledger }, [receiptId = '']) => describe(await ledger().receipt(receiptId)),
  statement: async ({ ledger }, [walletId = '']) =>
    (await ledger().statement({ walletId })).receipts
      .map((receipt) => `${receipt.kind}:${receipt.chargeNanoUsd}`)
      .join(' ') || 'none',
  hold: async ({ ledger }, [requestId = '']) => {
    const hold = await ledger().hold(requestId);
    return hold ? `${hold.state} ${hold.amountNanoUsd}` : 'none';
  },
  clock: async ({ clock }, [ms = '']) => {
    clock.advance(Number(ms));
    return 'ok';
  },
  restart: async (fixture) => {
    await fixture.restart();
    return 'ok';
  },
  recover: async ({ ledger }) => {
    const summary = await ledger().recover();
    return `found ${summary.holdsFound} voided ${summary.voided} lost ${summary.lostNanoUsd}`;
  },
  /** Look-ups find that `amount` was charged and that it cost the same. */
  recover_billed: async ({ ledger }, [amount = '']) => {
    const billed = settlement('', amount, []);
    const summary = await ledger().recover({
      lookUp: async () => ({ found: 'billed', settlement: billed, costNanoUsd: money(amount) }),
    });
    const { settled, voided } = await summary.background;
    return `found ${summary.holdsFound} voided ${summary.voided + voided} settled ${settled} lost ${summary.lostNanoUsd}`;
  },
  sweep: async ({ ledger }) => {
    const summary = await ledger().sweep();
    return `expired ${summary.expired} lost ${summary.lostNanoUsd}`;
  },
  verify: async ({ ledger }) => {
    const summary = await ledger().verify();
    return summary.ok
      ? 'ok'
      : summary.differences
          .map((difference) => `${difference.kind} ${difference.where} ${difference.detail}`)
          .join('; ');
  },
};

function money(text: string) {
  if (!/^-?\d+$/.test(text)) throw new Error(`not an amount: ${text}`);
  return nanoUsd(Number(text));
}

function intent(attemptId: string, channelId: string, bound: string, canLookUp: boolean) {
  return {
    attemptId,
    channelId,
    providerId: `p_${channelId}`,
    priceVersion: 'v1',
    boundNanoUsd: money(bound),
    canLookUp,
  };
}

/** `key:ID:WINDOW=LIMIT`. */
function scope(word: string): BudgetScope {
  const [kind = '', id = '', window = '', limit = ''] = word.split(/[:=]/);
  return {
    kind,
    id,
    window: window as BudgetWindow,
    limitNanoUsd: limit === 'none' ? null : money(limit),
  };
}

/** `REQUEST WALLET AMOUNT [min=N] [idem=KEY/HASH] [attempt=ID/CHANNEL/BOUND[/lookup]] [job] [ttl=MS] [SCOPE…]`. */
function reserveRequest(
  [requestId = '', walletId = '', amount = '', ...words]: readonly string[],
  nowMs: number,
): ReserveRequest {
  const option = (name: string): string | undefined =>
    words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  const minimum = option('min');
  const idempotency = option('idem')?.split('/');
  const attempt = option('attempt')?.split('/');
  return {
    requestId,
    walletId,
    amountNanoUsd: money(amount),
    scopes: words.filter((word) => /^\w+:[^=]+=/.test(word)).map(scope),
    expiresAtMs: nowMs + Number(option('ttl') ?? 600_000),
    lifetime: words.includes('job') ? 'job' : 'process',
    ...(minimum === undefined ? {} : { minimumNanoUsd: money(minimum) }),
    ...(idempotency
      ? {
          idempotency: {
            key: idempotency[0] ?? '',
            parametersHash: idempotency[1] ?? '',
            expiresAtMs: nowMs + 86_400_000,
          },
        }
      : {}),
    ...(attempt
      ? {
          attempt: intent(
            attempt[0] ?? '',
            attempt[1] ?? '',
            attempt[2] ?? '0',
            attempt[3] === 'lookup',
          ),
        }
      : {}),
  };
}

/** `REQUEST CHARGE [cost=ATTEMPT/AMOUNT…] [loss=REASON/AMOUNT…]`. */
function settlement(requestId: string, charge: string, words: readonly string[]) {
  const pairs = (name: string) =>
    words
      .filter((word) => word.startsWith(`${name}=`))
      .map((word) => word.slice(name.length + 1).split('/'));
  return {
    requestId,
    chargeNanoUsd: money(charge),
    attempts: pairs('cost').map(([attemptId = '', cost = '']) => ({
      attemptId,
      outcome: 'succeeded' as const,
      costNanoUsd: money(cost),
    })),
    losses: pairs('loss').map(([reason = '', amount = '']) => ({
      reason: reason as LossReason,
      amountNanoUsd: money(amount),
    })),
    usage: {},
    usageSource: 'provider' as const,
    priceVersion: 'v1',
    formula: 'test',
    lines: [],
  };
}

type AnyResult = {
  readonly ok: boolean;
  readonly repeated?: boolean;
  readonly error?: string;
  readonly hold?: { readonly amountNanoUsd: number };
  readonly receipt?: Receipt | undefined;
  readonly availableNanoUsd?: number;
  readonly requiredNanoUsd?: number;
  readonly requestId?: string;
  readonly state?: string;
  readonly scope?: BudgetScope | undefined;
};

function outcome(result: AnyResult): string {
  const words: (string | number)[] = [result.ok ? 'ok' : (result.error ?? 'error')];
  if (result.ok && result.hold) words.push(result.hold.amountNanoUsd);
  if (result.ok && result.receipt) words.push(result.receipt.chargeNanoUsd);
  if (result.repeated === true) words.push('repeat');
  if (result.scope) words.push(result.scope.id);
  if (result.availableNanoUsd !== undefined)
    words.push('available', result.availableNanoUsd, 'required', result.requiredNanoUsd ?? '');
  if (result.requestId !== undefined) words.push(result.requestId);
  if (result.state !== undefined) words.push(result.state);
  return words.join(' ');
}

function describe(receipt: Receipt | undefined): string {
  if (!receipt) return 'none';
  const lots = receipt.lots.map((lot) => `${lot.kind}:${lot.amountNanoUsd}`).join(',');
  const losses = receipt.losses.map((loss) => `${loss.reason}:${loss.amountNanoUsd}`).join(',');
  const attempts = receipt.attempts
    .map((attempt) => `${attempt.attemptId}:${attempt.outcome}:${attempt.costNanoUsd}`)
    .join(',');
  return [
    `${receipt.kind} charge ${receipt.chargeNanoUsd} rated ${receipt.ratedNanoUsd} held ${receipt.holdNanoUsd} after ${receipt.balanceAfterNanoUsd}`,
    `lots ${lots || 'none'} losses ${losses || 'none'} attempts ${attempts || 'none'}`,
  ].join(' ');
}
