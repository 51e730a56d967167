/**
 * The gateway under soak: the whole server, and a way to ask it over IPC for its memory after a
 * garbage collection and for the timers there are.
 *
 *   node --expose-gc test/soak/gateway-process.ts CONFIG_FILE
 */

import { queryObjects } from 'node:v8';
import { serve, terminal } from '#cli';

export type Inside = {
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly timers: number;
};

const timer = setTimeout(() => undefined, 0);
const timerClass = timer.constructor as new () => NodeJS.Timeout;
clearTimeout(timer);

const server = await serve({ configFile: process.argv[2] }, {}, terminal);

process.on('message', () => {
  // Twice: the first run may only queue what finalizers let go.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  // Also those that do not keep the process alive, which the list of active resources leaves out.
  const timers = queryObjects(timerClass, { format: 'count' });
  const inside: Inside = { heapBytes: heapUsed, externalBytes: external, timers };
  process.send?.(inside);
});

process.once('SIGTERM', () => {
  void server.stop().then(() => process.exit(0));
});
process.once('disconnect', () => process.exit(1));
