import type { Connection } from './connection.ts';

/**
 * Counts turns of the event loop as far as the connections need it. A request is written on an idle
 * connection only when everything that lay unread in its socket has been seen: since the last answer
 * ended a whole turn of the loop must have polled the sockets, and since the request came the rest of
 * the running one. Bytes that nobody asked for, or an end of the connection, show up there. All
 * requests of a turn are written together.
 */
export class Turns {
  /** The running turn. */
  now = 0;
  #isScheduled = false;
  #waiting: Connection[] = [];
  readonly #turn = (): void => {
    this.#isScheduled = false;
    this.now += 1;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const connection of waiting) {
      if (!connection.isWaitingToWrite) continue;
      if (connection.dueTurn <= this.now) connection.write();
      else this.#waiting.push(connection);
    }
    if (this.#waiting.length > 0) this.advance();
  };

  /** Another turn begins after the sockets have been polled. */
  advance(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  writeWhenQuiet(connection: Connection): void {
    connection.dueTurn = Math.max(connection.releasedTurn + 2, this.now + 1);
    this.#waiting.push(connection);
    this.advance();
  }
}
