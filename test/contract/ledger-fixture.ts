import { openLedger, type Ledger } from '#ledger';
import { openStore } from '#store';
import type { LedgerFixture } from './ledger-script.ts';

/** A clock that only the test moves: 2026-11-23 12:00 UTC, a Monday. */
export function manualClock(startMs = Date.UTC(2026, 10, 23, 12)) {
  let nowMs = startMs;
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

/** A ledger on the database, under one node name, that can be restarted in place. */
export async function openFixture(
  url: string,
  remove: () => Promise<void>,
  synchronous: 'FULL' | 'OFF' = 'FULL',
): Promise<LedgerFixture> {
  const clock = manualClock();
  const start = async () => {
    const opened = await openStore({ url, clock, synchronous });
    return { store: opened, ledger: openLedger({ store: opened, clock }) };
  };
  let running: { store: Awaited<ReturnType<typeof openStore>>; ledger: Ledger } = await start();
  return {
    ledger: () => running.ledger,
    clock,
    restart: async () => {
      await running.store.close();
      running = await start();
    },
    close: async () => {
      await running.store.close();
      await remove();
    },
  };
}
