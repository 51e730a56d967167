/**
 * Preloaded into the program under test (`node --expose-gc --import …`), so that it can be asked over
 * IPC what its main thread has allocated: between two collections, memory only grows by allocation.
 */

import { GCProfiler } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

export type Allocation = {
  readonly bytes: number;
  /** Collections of the young generation. */
  readonly scavenges: number;
};
export type Memory = { readonly heapBytes: number; readonly externalBytes: number };
export type ProbeRequest = 'start' | 'stop' | 'memory';

function collect(): void {
  // Twice: the first run may only queue what finalizers let go.
  globalThis.gc?.();
  globalThis.gc?.();
}

function used(): number {
  return process.memoryUsage().heapUsed;
}

let profiler = new GCProfiler();
let usedAtStart = 0;

function start(): null {
  collect();
  profiler = new GCProfiler();
  profiler.start();
  usedAtStart = used();
  return null;
}

function stop(): Allocation {
  const usedAtStop = used();
  const { statistics } = profiler.stop();
  let last = usedAtStart;
  let bytes = 0;
  let scavenges = 0;
  for (const { gcType, beforeGC, afterGC } of statistics) {
    bytes += beforeGC.heapStatistics.usedHeapSize - last;
    last = afterGC.heapStatistics.usedHeapSize;
    if (gcType === 'Scavenge') scavenges += 1;
  }
  return { bytes: bytes + usedAtStop - last, scavenges };
}

function memory(): Memory {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return { heapBytes: heapUsed, externalBytes: external };
}

if (isMainThread && process.send !== undefined) {
  const answers = { start, stop, memory };
  process.on('message', (request: ProbeRequest) => process.send?.(answers[request]()));
  // Whoever listens must not keep the program from ending.
  process.channel?.unref();
}
