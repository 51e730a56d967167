/**
 * Requests that wait for room. There is no timer here: a waiter is told when to ask again.
 *
 * Order: class, then fair share, then arrival. The first waiter of a lane holds a reservation on
 * it (EASY backfill): others may pass only when that does not make it later, so that a large
 * prompt is not starved by small ones.
 */

import type { FairShare } from './fairness.ts';
import type { ServiceClass } from './contract.ts';
import type { Need } from './limit-group.ts';

const classRanks: Readonly<Record<ServiceClass, number>> = { interactive: 0, batch: 1, flex: 2 };
/** A waiter that does not come back this long after its time is forgotten. */
const graceMs = 250;

export type Ticket = {
  readonly rank: number;
  readonly virtualStart: number;
  readonly sequence: number;
  readonly userId: string;
  readonly need: Need;
  readonly enteredAtMs: number;
  /** When the reserved room is there. */
  readyAtMs: number;
  expiresAtMs: number;
  place: Place | undefined;
};

/** What a waiter may reserve: a lane. */
export type Place = { reservation: Ticket | undefined };

export class WaitingLine {
  readonly #fairShare: FairShare;
  readonly #maximum: number;
  readonly #perUserMaximum: number;
  readonly #tickets = new Set<Ticket>();
  readonly #perUser = new Map<string, number>();
  #sequence = 0;

  constructor(fairShare: FairShare, maximum: number, perUserMaximum: number) {
    this.#fairShare = fairShare;
    this.#maximum = maximum;
    this.#perUserMaximum = perUserMaximum;
  }

  get size(): number {
    return this.#tickets.size;
  }

  /** @returns `undefined` when the line, or this user's part of it, is full */
  enter(userId: string, serviceClass: ServiceClass, need: Need, nowMs: number): Ticket | undefined {
    if (this.#tickets.size >= this.#maximum) this.#dropExpired(nowMs);
    const mine = this.#perUser.get(userId) ?? 0;
    if (this.#tickets.size >= this.#maximum || mine >= this.#perUserMaximum) return undefined;
    const tokens = need.inputTokens + need.outputTokens;
    const ticket: Ticket = {
      rank: classRanks[serviceClass],
      virtualStart: this.#fairShare.virtualStart(userId, tokens, nowMs),
      sequence: this.#sequence++,
      userId,
      need,
      enteredAtMs: nowMs,
      readyAtMs: nowMs,
      expiresAtMs: Infinity,
      place: undefined,
    };
    this.#tickets.add(ticket);
    this.#perUser.set(userId, mine + 1);
    return ticket;
  }

  /** Promises to be back at `readyAtMs` and reserves the place, unless a better one holds it. */
  reserve(ticket: Ticket, place: Place, readyAtMs: number, backAtMs: number, nowMs: number): void {
    ticket.readyAtMs = readyAtMs;
    ticket.expiresAtMs = backAtMs + graceMs;
    const holder = holderOf(place, nowMs);
    if (holder !== undefined && holder !== ticket && isBefore(holder, ticket)) return;
    if (ticket.place !== place) release(ticket);
    if (holder !== undefined && holder !== ticket) holder.place = undefined;
    place.reservation = ticket;
    ticket.place = place;
  }

  /** Leaves the line, served or not. */
  leave(ticket: Ticket, isServed: boolean): void {
    if (!this.#tickets.delete(ticket)) return;
    release(ticket);
    if (isServed) this.#fairShare.advance(ticket.virtualStart);
    const left = (this.#perUser.get(ticket.userId) ?? 1) - 1;
    if (left <= 0) this.#perUser.delete(ticket.userId);
    else this.#perUser.set(ticket.userId, left);
  }

  #dropExpired(nowMs: number): void {
    for (const ticket of this.#tickets) {
      if (ticket.expiresAtMs < nowMs) this.leave(ticket, false);
    }
  }
}

/** The waiter that holds a place now, if it still comes back. */
export function holderOf(place: Place, nowMs: number): Ticket | undefined {
  const holder = place.reservation;
  if (holder === undefined) return undefined;
  if (holder.expiresAtMs >= nowMs) return holder;
  place.reservation = undefined;
  holder.place = undefined;
  return undefined;
}

/** Whether the class of the newcomer, or a ticket with a better place, goes before the holder. */
export function yields(
  holder: Ticket,
  ticket: Ticket | undefined,
  serviceClass: ServiceClass,
): boolean {
  if (ticket !== undefined) return ticket === holder || isBefore(ticket, holder);
  return classRanks[serviceClass] < holder.rank;
}

function isBefore(left: Ticket, right: Ticket): boolean {
  if (left.rank !== right.rank) return left.rank < right.rank;
  if (left.virtualStart !== right.virtualStart) return left.virtualStart < right.virtualStart;
  return left.sequence < right.sequence;
}

function release(ticket: Ticket): void {
  if (ticket.place?.reservation === ticket) ticket.place.reservation = undefined;
  ticket.place = undefined;
}
