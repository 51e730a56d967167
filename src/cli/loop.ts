/** How busy the event loop of this process is. */

import { performance } from 'node:perf_hooks';

const lookMs = 500;

/** The share of its time that the event loop worked since the last call, from 0 to 1. */
export function utilization(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const share = performance.eventLoopUtilization(now, last).utilization;
    last = now;
    return share;
  };
}

/** Tells it twice a second. Does not keep the process alive. */
export function watchUtilization(note: (share: number) => void): void {
  const share = utilization();
  setInterval(() => note(share()), lookMs).unref();
}
