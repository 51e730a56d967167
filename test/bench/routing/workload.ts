/** Requests as clients make them: sessions with a growing prompt, a tail of long prompts and answers. */

import type { Random } from '#std';
import type { SimulatedRequest } from './vendor.ts';

type Session = { readonly key: string; turns: number; tokens: number };

const sessionShare = 0.6;
const longShare = 0.1;

export class Workload {
  readonly #random: Random;
  readonly #sessions: Session[] = [];
  readonly #sessionsOpen: number;
  readonly #users: number;
  #id = 0;
  #sessionId = 0;

  constructor(random: Random, sessionsOpen: number, users: number) {
    this.#random = random;
    this.#sessionsOpen = sessionsOpen;
    this.#users = users;
  }

  next(): SimulatedRequest {
    const isLong = this.#random() < longShare;
    const inputTokens = isLong ? 12_000 : Math.round(200 + 1_200 * this.#exponential());
    const outputTokens = isLong ? 600 : Math.round(20 + 180 * this.#exponential());
    const session = this.#random() < sessionShare && !isLong ? this.#session() : undefined;
    const prefixTokens = session?.tokens ?? 0;
    const prompt = Math.min(session === undefined ? inputTokens : prefixTokens + 300, 16_000);
    if (session !== undefined) session.tokens = prompt + outputTokens;
    return {
      id: this.#id++,
      userId: `user-${Math.floor(this.#random() * this.#users)}`,
      sessionKey: session?.key,
      prefixTokens: session === undefined || session.turns === 1 ? 0 : prefixTokens,
      inputTokens: prompt,
      outputTokens,
      outputTokensMaximum: Math.min(4_096, outputTokens * 2 + 64),
      isLong,
    };
  }

  /** A running session, or a new one with a system prompt. */
  #session(): Session {
    const place = Math.floor(this.#random() * this.#sessionsOpen);
    const known = this.#sessions[place];
    if (known !== undefined && known.turns < 8) {
      known.turns += 1;
      return known;
    }
    const key = `session-${this.#sessionId++}`;
    const tokens = Math.round(1_000 + 2_000 * this.#random());
    const session = { key, turns: 1, tokens };
    this.#sessions[place] = session;
    return session;
  }

  #exponential(): number {
    return -Math.log(1 - this.#random());
  }
}
