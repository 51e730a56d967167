/**
 * The gateway under soak: the whole server, and a way to ask it over IPC for its memory after a
 * garbage collection.
 *
 *   node --expose-gc test/soak/gateway-process.ts CONFIG_FILE
 */

import { serve, terminal } from '#cli';

export type Memory = { readonly heapBytes: number; readonly externalBytes: number };

const server = await serve({ configFile: process.argv[2] }, {}, terminal);

process.on('message', () => {
  // Twice: the first run may only queue what finalizers let go.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  const memory: Memory = { heapBytes: heapUsed, externalBytes: external };
  process.send?.(memory);
});

process.once('SIGTERM', () => {
  void server.stop().then(() => process.exit(0));
});
process.once('disconnect', () => process.exit(1));
