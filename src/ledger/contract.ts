/**
 * The ledger: one prepaid balance per wallet that is never negative, never expires, and can be
 * proved. Double entry, immutable transfers, every write safe to repeat.
 *
 * Life of a request: `reserve` (hold + first attempt intent, durable before anything is sent) → `attempt`* (a further
 * upstream call, durable before it is sent) → `extend`* → `settle` | `void`. A hold resolves exactly once. Every promise
 * returned here resolves only after the transaction that holds its effect is on disk. Business outcomes are results
 * (`ok: false` with an `error` code). A rejected promise means that nothing was written: `StoreUnavailableError` from
 * `#store` (disk full, database gone, fenced by a newer process), or `RangeError`/`TypeError` for a bug of the caller.
 */

import type { JsonObject, NanoUsd } from '#std';
import type { RecoverOptions, RecoverSummary, SweepSummary } from './recover-contract.ts';

/** What names a wallet, an event or a request: visible ASCII without spaces, because ids are joined by spaces and colons into keys. */
export const idPattern = /^[\x21-\x7e]{1,200}$/;

/** Where the money of a lot came from. Only `paid` lots can be refunded to their source. */
export type LotKind = 'demo' | 'gift' | 'invite' | 'paid';

/** Lots are spent in this order, within a kind oldest first: what cannot be refunded goes first. */
export const lotSpendingOrder: readonly LotKind[] = ['demo', 'gift', 'invite', 'paid'];

/** Windows are calendar windows in UTC: day, week from Monday, month, and for ever. */
export type BudgetWindow = 'daily' | 'weekly' | 'monthly' | 'total';

/**
 * A budget that the hold must fit into as well, in the same transaction as the wallet.
 * A scope belongs to one wallet. `limitNanoUsd: null` only counts the spending.
 */
export type BudgetScope = {
  readonly kind: string;
  readonly id: string;
  readonly window: BudgetWindow;
  readonly limitNanoUsd: NanoUsd | null;
};

/** One upstream call that is about to be sent. `boundNanoUsd` is the most it can cost us. */
export type AttemptIntent = {
  /** Unique over all requests; also sent upstream as idempotency key where the vendor has one. */
  readonly attemptId: string;
  readonly channelId: string;
  readonly providerId: string;
  readonly priceVersion: string;
  readonly boundNanoUsd: NanoUsd;
  /** Whether the vendor can be asked later what this call cost (see {@link RecoverOptions.lookUp}). */
  readonly canLookUp: boolean;
};

export type ClientIdempotency = {
  readonly key: string;
  /** Digest of the parameters: the same key with another digest is a mistake of the client. */
  readonly parametersHash: string;
  /** When the key may be used for another request; at least 24 hours ahead. */
  readonly expiresAtMs: number;
};

export type ReserveRequest = {
  readonly requestId: string;
  /** The id was made for this very request and is known to nobody else: no earlier one is looked for. */
  readonly fresh?: boolean;
  readonly walletId: string;
  readonly amountNanoUsd: NanoUsd;
  /**
   * When given and the full amount does not fit, the hold is as much as fits, but at least this.
   * The caller then lowers what it asks upstream so that its bound is ≤ `hold.amountNanoUsd`.
   */
  readonly minimumNanoUsd?: NanoUsd;
  readonly scopes: readonly BudgetScope[];
  /** `undefined` for a job that is submitted later with {@link Ledger.attempt}. */
  readonly attempt?: AttemptIntent;
  readonly idempotency?: ClientIdempotency;
  /** After this moment `sweep` resolves the hold. Expiry of a hold, never of money. */
  readonly expiresAtMs: number;
  /** `process` (default): dies with this process. `job`: survives a restart, only `sweep` ends it. */
  readonly lifetime?: 'process' | 'job';
  /** Kept with the hold for recovery, and shown on the receipt: model, key id, project. At most 4 KiB. */
  readonly context?: JsonObject;
};

export type HoldState = 'open' | 'settled' | 'voided';

export type Hold = {
  readonly requestId: string;
  readonly walletId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly state: HoldState;
  readonly lifetime: 'process' | 'job';
  readonly scopes: readonly HeldScope[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly context: JsonObject;
};

/** The window in which the hold was made is the one that is charged, also after midnight. */
export type HeldScope = {
  readonly kind: string;
  readonly id: string;
  readonly window: BudgetWindow;
  readonly windowStartMs: number;
};

export type ReserveResult =
  | { readonly ok: true; readonly hold: Hold; readonly repeated: boolean }
  | InsufficientBalance
  /** The client's idempotency key is known: attach to, or replay, `requestId`. */
  | {
      readonly ok: false;
      readonly error: 'idempotency_duplicate';
      readonly requestId: string;
      readonly state: HoldState;
      readonly receiptId: string | undefined;
    }
  /** The client's idempotency key was used with other parameters. */
  | { readonly ok: false; readonly error: 'idempotency_mismatch'; readonly requestId: string }
  /** `requestId` or `attemptId` exists with other parameters: a bug of the caller. */
  | { readonly ok: false; readonly error: 'conflict' };

export type InsufficientBalance = {
  readonly ok: false;
  readonly error: 'insufficient_balance' | 'budget_exceeded';
  /** What could be held now in the scope that refused. */
  readonly availableNanoUsd: NanoUsd;
  readonly requiredNanoUsd: NanoUsd;
  /** The scope that refused; `undefined` means the wallet itself. */
  readonly scope: BudgetScope | undefined;
};

/** The request has no open hold (any more). `receipt` when it was resolved. */
export type NotOpen = {
  readonly ok: false;
  readonly error: 'not_found' | 'already_resolved';
  readonly receipt: Receipt | undefined;
};

export type AttemptResult =
  | { readonly ok: true; readonly repeated: boolean }
  | NotOpen
  | { readonly ok: false; readonly error: 'conflict' };

export type ExtendRequest = {
  readonly requestId: string;
  /** Distinguishes one extension from its repetition: 1, 2, 3… */
  readonly sequence: number;
  readonly amountNanoUsd: NanoUsd;
  /** Budgets are checked again; pass the same scopes as in the reservation. */
  readonly scopes: readonly BudgetScope[];
  readonly minimumNanoUsd?: NanoUsd;
  readonly expiresAtMs?: number;
};

export type ExtendResult =
  | { readonly ok: true; readonly hold: Hold; readonly repeated: boolean }
  | InsufficientBalance
  | NotOpen;

/**
 * How an upstream call ended. `not_sent` and `failed` with cost 0 are usual; `unknown` only after
 * a crash. The cost is what the vendor bills us, known or estimated.
 */
export type AttemptOutcome = {
  readonly attemptId: string;
  readonly outcome: 'succeeded' | 'failed' | 'aborted' | 'not_sent' | 'unknown';
  readonly costNanoUsd: NanoUsd;
};

/** Why the platform, not the user, bears a cost. */
export type LossReason = 'crash' | 'overrun' | 'goodwill';

export type LossEntry = { readonly reason: LossReason; readonly amountNanoUsd: NanoUsd };

export type UsageSource = 'provider' | 'lookup' | 'estimated' | 'none';

/** One line of a bill. `quantity` in whole units; price in nano-USD per million units. */
export type ReceiptLine = {
  readonly unit: string;
  readonly quantity: number;
  readonly priceNanoUsdPerMillion: number;
};

export type Settlement = {
  readonly requestId: string;
  /** The rated price, rounded up once. Posted is the smaller of this and the hold. */
  readonly chargeNanoUsd: NanoUsd;
  /** Every attempt of the request; one that is not named is recorded as `unknown` at cost 0. */
  readonly attempts: readonly AttemptOutcome[];
  /** The attempt the user got; `undefined` when none delivered. */
  readonly postedAttemptId?: string;
  readonly usage: JsonObject;
  readonly usageSource: UsageSource;
  readonly priceVersion: string;
  readonly formula: string;
  readonly lines: readonly ReceiptLine[];
  /** Costs borne by the platform on purpose, such as an empty answer. Overrun is added by itself. */
  readonly losses?: readonly LossEntry[];
  /** Anything else that the receipt must name: model, channel, disconnect policy. At most 4 KiB. */
  readonly detail?: JsonObject;
};

export type SettleResult =
  | { readonly ok: true; readonly receipt: Receipt; readonly repeated: boolean }
  | { readonly ok: false; readonly error: 'not_found'; readonly receipt: undefined }
  /** Voided before (by the sweep, or by recovery in another process). Nothing was changed. */
  | { readonly ok: false; readonly error: 'already_voided'; readonly receipt: Receipt };

export type VoidRequest = {
  readonly requestId: string;
  /** `not_sent`, `upstream_failed`, `expired`, `crash`, `cancelled`: free text for the receipt. */
  readonly reason: string;
  readonly attempts?: readonly AttemptOutcome[];
  readonly losses?: readonly LossEntry[];
  /** Nobody can tell any more how its calls ended: the most that those may cost is booked as lost. */
  readonly isLost?: boolean;
  /** Lets the client use the same `Idempotency-Key` again: nothing was delivered. Default true. */
  readonly releaseIdempotency?: boolean;
  readonly detail?: JsonObject;
};

export type VoidResult =
  | { readonly ok: true; readonly receipt: Receipt; readonly repeated: boolean }
  | { readonly ok: false; readonly error: 'not_found'; readonly receipt: undefined }
  | { readonly ok: false; readonly error: 'already_settled'; readonly receipt: Receipt };

/** Money that comes in. Unique by (`source`, `eventId`): repeating it 1,000 times credits once. */
export type CreditRequest = {
  readonly walletId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly lotKind: LotKind;
  /** `card:<provider>`, `code`, `invite`, `operator`, `setup`… */
  readonly source: string;
  readonly eventId: string;
  readonly actor: string;
  readonly note?: string;
};

/** Money of one paid lot back to where it came from; at most what of it is unspent and not held. */
export type RefundRequest = {
  readonly walletId: string;
  readonly lotId: string;
  /** `undefined`: all that can be refunded. */
  readonly amountNanoUsd?: NanoUsd;
  readonly eventId: string;
  readonly actor: string;
  readonly reason: string;
};

/** A correction by the operator: positive makes a lot of `lotKind`, negative takes in spending order. */
export type AdjustRequest = {
  readonly walletId: string;
  readonly amountNanoUsd: NanoUsd;
  readonly lotKind?: LotKind;
  readonly eventId: string;
  readonly actor: string;
  readonly reason: string;
};

export type MoveResult =
  | { readonly ok: true; readonly receipt: Receipt; readonly repeated: boolean }
  | InsufficientBalance
  | { readonly ok: false; readonly error: 'lot_not_refundable' | 'not_found' | 'conflict' }
  /** A wallet holds nine million US dollars at most: more could not be counted exactly. */
  | { readonly ok: false; readonly error: 'balance_too_large' };

/** A platform cost found later, such as the difference to a vendor's invoice. */
export type SuspenseRequest = {
  readonly eventId: string;
  readonly channelId: string;
  readonly providerId: string;
  /** Positive: the vendor billed more than we booked. */
  readonly amountNanoUsd: NanoUsd;
  readonly actor: string;
  readonly reason: string;
};

export type Lot = {
  readonly lotId: string;
  readonly walletId: string;
  readonly kind: LotKind;
  readonly amountNanoUsd: NanoUsd;
  readonly remainingNanoUsd: NanoUsd;
  readonly source: string;
  readonly createdAtMs: number;
};

export type Balance = {
  readonly walletId: string;
  /** Spendable now: posted − pending. Never negative. */
  readonly availableNanoUsd: NanoUsd;
  readonly postedNanoUsd: NanoUsd;
  readonly pendingNanoUsd: NanoUsd;
  /** Lots with money left, in spending order. */
  readonly lots: readonly Lot[];
};

export type BudgetState = HeldScope &
  BudgetScope & {
    readonly spentNanoUsd: NanoUsd;
    readonly pendingNanoUsd: NanoUsd;
    /** What new holds may take of the limit; `null` without one. */
    readonly remainingNanoUsd: NanoUsd | null;
  };

export type TransferKind =
  | 'post'
  | 'cost'
  | 'loss'
  | 'topup'
  | 'grant'
  | 'refund_to_source'
  | 'admin_adjust'
  | 'suspense';

/** Immutable. `transferId` is `kind:request:attempt:phase`, so each is written once. */
export type Transfer = {
  readonly transferId: string;
  readonly kind: TransferKind;
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly amountNanoUsd: NanoUsd;
  readonly createdAtMs: number;
};

export type ReceiptKind = 'usage' | 'void' | 'topup' | 'grant' | 'refund' | 'adjust' | 'suspense';

/** Immutable, one for each change of a wallet; `hash` covers the body and the previous receipt. */
export type Receipt = {
  /** Known before settlement: {@link receiptIdOf} the request id. */
  readonly receiptId: string;
  readonly kind: ReceiptKind;
  readonly walletId: string | undefined;
  readonly requestId: string | undefined;
  readonly createdAtMs: number;
  /** What the wallet paid (negative: received). */
  readonly chargeNanoUsd: NanoUsd;
  /** The rated price before `min(rated, hold)`. */
  readonly ratedNanoUsd: NanoUsd;
  readonly holdNanoUsd: NanoUsd;
  /** The wallet's posted balance after this receipt. */
  readonly balanceAfterNanoUsd: NanoUsd;
  readonly attempts: readonly (AttemptOutcome & {
    readonly channelId: string;
    readonly providerId: string;
  })[];
  readonly postedAttemptId: string | undefined;
  readonly usage: JsonObject;
  readonly usageSource: UsageSource;
  readonly priceVersion: string;
  readonly formula: string;
  readonly lines: readonly ReceiptLine[];
  readonly losses: readonly LossEntry[];
  /** From which lots the charge was taken, or which lot was made. */
  readonly lots: readonly {
    readonly lotId: string;
    readonly kind: LotKind;
    readonly amountNanoUsd: NanoUsd;
  }[];
  readonly transfers: readonly Omit<Transfer, 'createdAtMs'>[];
  /** `context` of the reservation and `detail` of the settlement, the latter winning. */
  readonly detail: JsonObject;
  /** One chain per database in SQLite, one per node in PostgreSQL. */
  readonly chainNumber: number;
  readonly sequence: number;
  readonly previousHash: string;
  /** SHA-256, hexadecimal. */
  readonly hash: string;
};

export type StatementQuery = {
  readonly walletId: string;
  readonly fromMs?: number;
  readonly untilMs?: number;
  /** Receipts before this one (newest first): the `next` of the last page. */
  readonly before?: string;
  /** Default 50, at most 500. */
  readonly limit?: number;
};

export type Statement = {
  readonly receipts: readonly Receipt[];
  readonly next: string | undefined;
};

export type AccountTotals = {
  readonly accountId: string;
  /** Cumulative, may pass the safe integers: `bigint`. */
  readonly debitsNanoUsd: bigint;
  readonly creditsNanoUsd: bigint;
};

export type VerifyOptions = {
  /**
   * The rated price of a usage receipt computed again from its lines and price version;
   * `undefined` when it cannot be computed (then it is counted in `unrated`).
   */
  readonly rate?: (receipt: Receipt) => NanoUsd | undefined;
  /** Differences listed at most; default 100. All are counted. */
  readonly differencesMax?: number;
};

export type Difference = {
  /** `receipt_hash`, `receipt_sequence`, `wallet_balance`, `storage`… */
  readonly kind: string;
  /** The receipt, transfer, lot, account or page where it is. */
  readonly where: string;
  readonly detail: string;
};

export type VerifySummary = {
  readonly ok: boolean;
  readonly receipts: number;
  readonly transfers: number;
  readonly unrated: number;
  readonly differenceCount: number;
  readonly differences: readonly Difference[];
};

export type Ledger = {
  /** Holds money and records the first attempt, in one durable transaction. Safe to repeat. */
  reserve(request: ReserveRequest): Promise<ReserveResult>;
  /**
   * Records one more upstream call before it is sent. Safe to repeat. `previous` closes the call
   * that failed before it, so that recovery does not have to treat its outcome as unknown.
   */
  attempt(
    requestId: string,
    intent: AttemptIntent,
    previous?: AttemptOutcome,
  ): Promise<AttemptResult>;
  /** Holds more money for a running request. Safe to repeat by `sequence`. */
  extend(request: ExtendRequest): Promise<ExtendResult>;
  /** Posts min(charge, hold), releases the rest, books costs and losses, writes the receipt. */
  settle(settlement: Settlement): Promise<SettleResult>;
  /** Releases the hold; the user pays nothing. */
  void(request: VoidRequest): Promise<VoidResult>;

  /** Money in: a paid top-up, gift, invite bonus or demo balance. Creates the wallet when new. */
  credit(request: CreditRequest): Promise<MoveResult>;
  refund(request: RefundRequest): Promise<MoveResult>;
  adjust(request: AdjustRequest): Promise<MoveResult>;
  bookSuspense(request: SuspenseRequest): Promise<MoveResult>;

  /** A wallet without any movement has balance 0 and no lots. */
  balance(walletId: string): Promise<Balance>;
  /** Spending of each of these scopes in its current window, in their order. */
  budgets(scopes: readonly BudgetScope[]): Promise<readonly BudgetState[]>;
  hold(requestId: string): Promise<Hold | undefined>;
  receipt(receiptId: string): Promise<Receipt | undefined>;
  statement(query: StatementQuery): Promise<Statement>;
  /** `revenue`, `cash`, `promo`, `cogs:<channel>`, `payable:<provider>`, `loss:<reason>`, `absorbed`, `suspense`, `adjustments`. */
  accounts(prefix?: string): Promise<readonly AccountTotals[]>;

  /** To be awaited before listening: resolves the holds that died with an earlier process. */
  recover(options?: RecoverOptions): Promise<RecoverSummary>;
  /**
   * Resolves holds past their time that nobody can be at work on, and those of nodes that are gone; forgets
   * expired idempotency keys. Call it every minute, with PostgreSQL every 20 seconds: a node that does not is soon taken for gone.
   */
  sweep(): Promise<SweepSummary>;
  /** Voids what a part of this process left open when it died, like `recover` does for a whole process. */
  abandon(
    requestIds: readonly string[],
  ): Promise<{ readonly voided: number; readonly lostNanoUsd: NanoUsd }>;
  /** Recomputes every balance, every hash and, with `rate`, every charge. Reads only. */
  verify(options?: VerifyOptions): Promise<VerifySummary>;
};

/** The id of the receipt that a request will have, for headers that leave before settlement. */
export function receiptIdOf(requestId: string): string {
  return `rcpt_${requestId}`;
}
