/**
 * A second, naive ledger: maps in memory, one operation at a time. It answers the commands of
 * `ledger-script.ts`, so that random scripts can be compared line by line with the real one (T-B3).
 */

type ModelHold = {
  readonly walletId: string;
  amount: number;
  readonly scope: string | undefined;
  readonly key: string | undefined;
  readonly job: boolean;
  readonly expiresAtMs: number;
  extension: number;
  readonly attempts: string[];
  readonly bound: number;
  readonly process: number;
};

type ModelLot = {
  readonly lotId: string;
  readonly kind: string;
  readonly made: number;
  remaining: number;
};

/** Bound of an attempt that is added later; the first one carries its own. */
export const extraBound = 3;

const dayMs = 86_400_000;
const kinds = ['demo', 'gift', 'invite', 'paid'];

export class LedgerModel {
  #nowMs: number;
  #process = 0;
  readonly #lots = new Map<string, ModelLot[]>();
  readonly #holds = new Map<string, ModelHold>();
  readonly #resolved = new Map<
    string,
    { readonly kind: 'settled' | 'voided'; readonly charge: number }
  >();
  readonly #spent = new Map<string, number>();
  readonly #events = new Map<string, string>();
  readonly #keys = new Map<
    string,
    { readonly requestId: string; readonly hash: string; readonly expiresAtMs: number }
  >();

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  run(command: string): string {
    const [verb = '', ...words] = command.split(' ');
    switch (verb) {
      case 'credit':
        return this.#credit(words);
      case 'refund':
        return this.#refund(words);
      case 'adjust':
        return this.#adjust(words);
      case 'reserve':
        return this.#reserve(words);
      case 'attempt':
        return this.#attempt(words);
      case 'extend':
        return this.#extend(words);
      case 'settle':
        return this.#settle(words);
      case 'void':
        return this.#void(words);
      case 'balance':
        return this.#balance(words[0] ?? '');
      case 'lots':
        return (
          this.#open(words[0] ?? '')
            .map((lot) => `${lot.kind}:${lot.remaining}`)
            .join(' ') || 'none'
        );
      case 'budget':
        return this.#budget(words[0] ?? '');
      case 'clock':
        this.#nowMs += Number(words[0]);
        return 'ok';
      case 'restart':
        this.#process += 1;
        return 'ok';
      case 'recover':
        return this.#recover();
      case 'sweep':
        return this.#sweep();
      case 'verify':
        return 'ok';
      default:
        throw new Error(`the model does not know ${verb}`);
    }
  }

  #pending(walletId: string): number {
    let sum = 0;
    for (const hold of this.#holds.values()) if (hold.walletId === walletId) sum += hold.amount;
    return sum;
  }

  #open(walletId: string): ModelLot[] {
    return (this.#lots.get(walletId) ?? []).filter((lot) => lot.remaining > 0);
  }

  #posted(walletId: string): number {
    return this.#open(walletId).reduce((sum, lot) => sum + lot.remaining, 0);
  }

  #available(walletId: string): number {
    return this.#posted(walletId) - this.#pending(walletId);
  }

  #scopeOf(
    word: string | undefined,
  ): { readonly key: string; readonly id: string; readonly limit: number } | undefined {
    const match = /^key:(\w+):daily=(\d+)$/.exec(word ?? '');
    if (!match) return undefined;
    return {
      id: match[1] ?? '',
      key: `${match[1]} ${Math.floor(this.#nowMs / dayMs)}`,
      limit: Number(match[2]),
    };
  }

  #heldIn(scope: string): number {
    let sum = 0;
    for (const hold of this.#holds.values()) if (hold.scope === scope) sum += hold.amount;
    return sum;
  }

  #addLot(walletId: string, lotId: string, kind: string, amount: number): void {
    const lots = this.#lots.get(walletId) ?? [];
    lots.push({ lotId, kind, made: this.#nowMs, remaining: amount });
    // Within one millisecond the order is that of the ids.
    lots.sort(
      (left, right) =>
        kinds.indexOf(left.kind) - kinds.indexOf(right.kind) ||
        left.made - right.made ||
        (left.lotId < right.lotId ? -1 : 1),
    );
    this.#lots.set(walletId, lots);
  }

  #take(walletId: string, amount: number): void {
    let rest = amount;
    for (const lot of this.#open(walletId)) {
      const part = Math.min(rest, lot.remaining);
      lot.remaining -= part;
      rest -= part;
    }
  }

  #repeated(event: string, mark: string, answer: string): string | undefined {
    const known = this.#events.get(event);
    if (known === undefined) return undefined;
    return known === mark ? `${answer} repeat` : 'conflict';
  }

  #credit([walletId = '', kind = '', amount = '', eventId = '']: readonly string[]): string {
    const event = `credit ${eventId}`;
    const mark = `${walletId} ${kind} ${amount}`;
    const repeated = this.#repeated(event, mark, `ok -${amount}`);
    if (repeated !== undefined) return repeated;
    this.#events.set(event, mark);
    this.#addLot(walletId, `lot_test~${eventId}`, kind, Number(amount));
    return `ok -${amount}`;
  }

  #refund([walletId = '', lotId = '', eventId = '']: readonly string[]): string {
    const known = this.#events.get(`refund ${eventId}`);
    if (known !== undefined) {
      const [wallet, lot, amount] = known.split(' ');
      return wallet === walletId && lot === lotId ? `ok ${amount} repeat` : 'conflict';
    }
    const lot = (this.#lots.get(walletId) ?? []).find((candidate) => candidate.lotId === lotId);
    if (!lot) return 'not_found';
    if (lot.kind !== 'paid') return 'lot_not_refundable';
    const amount = Math.min(lot.remaining, this.#available(walletId));
    if (amount === 0) return 'insufficient_balance available 0 required 0';
    lot.remaining -= amount;
    this.#events.set(`refund ${eventId}`, `${walletId} ${lotId} ${amount}`);
    return `ok ${amount}`;
  }

  #adjust([walletId = '', text = '', eventId = '']: readonly string[]): string {
    const amount = Number(text);
    const event = `adjust ${eventId}`;
    const repeated = this.#repeated(event, `${walletId} ${text}`, `ok ${-amount}`);
    if (repeated !== undefined) return repeated;
    if (amount < 0 && -amount > this.#available(walletId)) {
      return `insufficient_balance available ${this.#available(walletId)} required ${-amount}`;
    }
    this.#events.set(event, `${walletId} ${text}`);
    if (amount > 0) this.#addLot(walletId, `lot_adjust:${eventId}`, 'gift', amount);
    else this.#take(walletId, -amount);
    return `ok ${-amount}`;
  }

  #reserve([requestId = '', walletId = '', amountText = '', ...words]: readonly string[]): string {
    const option = (name: string) =>
      words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
    const attempt = option('attempt')?.split('/');
    const existing = this.#holds.get(requestId);
    if (existing) {
      const same = existing.walletId === walletId && existing.attempts[0] === attempt?.[0];
      return same ? `ok ${existing.amount} repeat` : 'conflict';
    }
    if (this.#resolved.has(requestId)) return 'conflict';
    const idempotency = option('idem')?.split('/');
    const key = idempotency ? `${walletId} ${idempotency[0]}` : undefined;
    const duplicate = key === undefined ? undefined : this.#duplicate(key, idempotency?.[1] ?? '');
    if (duplicate !== undefined) return duplicate;

    const scope = this.#scopeOf(words.find((word) => word.startsWith('key:')));
    const amount = this.#grant(
      walletId,
      Number(amountText),
      Number(option('min') ?? amountText),
      scope,
    );
    if (typeof amount === 'string') return amount;
    this.#holds.set(requestId, {
      walletId,
      amount,
      scope: scope?.key,
      key,
      job: words.includes('job'),
      expiresAtMs: this.#nowMs + Number(option('ttl') ?? 600_000),
      extension: 0,
      attempts: attempt ? [attempt[0] ?? ''] : [],
      bound: Number(attempt?.[2] ?? 0),
      process: this.#process,
    });
    if (key !== undefined)
      this.#keys.set(key, {
        requestId,
        hash: idempotency?.[1] ?? '',
        expiresAtMs: this.#nowMs + dayMs,
      });
    return `ok ${amount}`;
  }

  #duplicate(key: string, hash: string): string | undefined {
    const known = this.#keys.get(key);
    if (!known) return undefined;
    const resolved = this.#resolved.get(known.requestId);
    if (resolved && known.expiresAtMs <= this.#nowMs) return undefined;
    if (known.hash !== hash) return `idempotency_mismatch ${known.requestId}`;
    return `idempotency_duplicate ${known.requestId} ${resolved?.kind ?? 'open'}`;
  }

  #grant(
    walletId: string,
    amount: number,
    minimum: number,
    scope: { key: string; id: string; limit: number } | undefined,
  ): number | string {
    const wallet = this.#available(walletId);
    const budget = scope
      ? Math.max(0, scope.limit - (this.#spent.get(scope.key) ?? 0) - this.#heldIn(scope.key))
      : Infinity;
    const fits = Math.min(wallet, budget);
    if (amount <= fits) return amount;
    if (minimum <= fits) return fits;
    const refused = budget < wallet ? `budget_exceeded ${scope?.id}` : 'insufficient_balance';
    return `${refused} available ${fits} required ${minimum}`;
  }

  #attempt([requestId = '', attemptId = '']: readonly string[]): string {
    const hold = this.#holds.get(requestId);
    if (!hold) return this.#resolved.has(requestId) ? 'already_resolved' : 'not_found';
    if (hold.attempts.includes(attemptId)) return 'ok repeat';
    hold.attempts.push(attemptId);
    return 'ok';
  }

  #extend([requestId = '', sequence = '', amount = '']: readonly string[]): string {
    const hold = this.#holds.get(requestId);
    if (!hold) return this.#resolved.has(requestId) ? 'already_resolved' : 'not_found';
    if (Number(sequence) <= hold.extension) return `ok ${hold.amount} repeat`;
    const granted = this.#grant(hold.walletId, Number(amount), Number(amount), undefined);
    if (typeof granted === 'string') return granted;
    hold.amount += granted;
    hold.extension = Number(sequence);
    return `ok ${hold.amount}`;
  }

  #settle([requestId = '', text = '']: readonly string[]): string {
    const hold = this.#holds.get(requestId);
    if (!hold) {
      const resolved = this.#resolved.get(requestId);
      if (!resolved) return 'not_found';
      return resolved.kind === 'voided' ? 'already_voided' : `ok ${resolved.charge} repeat`;
    }
    const charge = Math.min(Number(text), hold.amount);
    this.#take(hold.walletId, charge);
    if (hold.scope !== undefined)
      this.#spent.set(hold.scope, (this.#spent.get(hold.scope) ?? 0) + charge);
    this.#holds.delete(requestId);
    this.#resolved.set(requestId, { kind: 'settled', charge });
    return `ok ${charge}`;
  }

  #void([requestId = '', mode]: readonly string[]): string {
    const hold = this.#holds.get(requestId);
    if (!hold) {
      const resolved = this.#resolved.get(requestId);
      if (!resolved) return 'not_found';
      return resolved.kind === 'settled' ? 'already_settled' : 'ok 0 repeat';
    }
    this.#release(requestId, hold, mode !== 'keep');
    return 'ok 0';
  }

  #release(requestId: string, hold: ModelHold, releaseKey: boolean): void {
    this.#holds.delete(requestId);
    this.#resolved.set(requestId, { kind: 'voided', charge: 0 });
    if (releaseKey && hold.key !== undefined) this.#keys.delete(hold.key);
  }

  #releaseAll(which: (hold: ModelHold) => boolean): {
    readonly count: number;
    readonly lost: number;
  } {
    let count = 0;
    let lost = 0;
    for (const [requestId, hold] of [...this.#holds]) {
      if (!which(hold)) continue;
      this.#release(requestId, hold, true);
      count += 1;
      lost +=
        hold.bound * (hold.attempts.length > 0 ? 1 : 0) +
        extraBound * Math.max(0, hold.attempts.length - (hold.bound > 0 ? 1 : 0));
    }
    return { count, lost };
  }

  #recover(): string {
    const { count, lost } = this.#releaseAll((hold) => !hold.job && hold.process < this.#process);
    return `found ${count} voided ${count} lost ${lost}`;
  }

  #sweep(): string {
    const { count, lost } = this.#releaseAll((hold) => hold.expiresAtMs <= this.#nowMs);
    for (const [key, known] of [...this.#keys]) {
      if (known.expiresAtMs <= this.#nowMs && !this.#holds.has(known.requestId))
        this.#keys.delete(key);
    }
    return `expired ${count} lost ${lost}`;
  }

  #balance(walletId: string): string {
    const posted = this.#posted(walletId);
    const pending = this.#pending(walletId);
    return `posted ${posted} pending ${pending} available ${posted - pending}`;
  }

  #budget(id: string): string {
    const key = `${id} ${Math.floor(this.#nowMs / dayMs)}`;
    return `spent ${this.#spent.get(key) ?? 0} pending ${this.#heldIn(key)}`;
  }
}
