/**
 * The gateway under soak: the whole server, and a way to ask it over IPC for its memory after a
 * garbage collection and for the timers that are set.
 *
 *   node --expose-gc test/soak/gateway-process.ts CONFIG_FILE
 */

import { serve, terminal } from '#cli';

export type Inside = {
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly timers: number;
};

const server = await serve({ configFile: process.argv[2] }, {}, terminal);

process.on('message', () => {
  // Twice: the first run may only queue what finalizers let go.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const inside: Inside = { heapBytes: heapUsed, externalBytes: external, timers };
  process.send?.(inside);
});

process.once('SIGTERM', () => {
  void server.stop().then(() => process.exit(0));
});
process.once('disconnect', () => process.exit(1));
