/**
 * How much V8 takes for garbage. Left to itself it gives a growing heap up to four times what lives, and
 * young objects 64 MiB, which is right for many short requests. Thousands of open streams are the other way
 * round: what they hold lives for minutes, and little dies. Figures: docs/benchmarks.md, W6.
 */

import { setFlagsFromString } from 'node:v8';

/** From so many open streams on the heap grows in small steps; below half of them as V8 likes. */
export const crowdStreams = 1_000;
const lookMs = 500;

/** What V8 is told; it reads these two flags anew at each collection. */
export const heapFlags = {
  crowded: ['--heap-growing-percent=20', '--semi-space-growth-factor=1'],
  usual: ['--heap-growing-percent=0', '--semi-space-growth-factor=2'],
} as const;

/** Keeps the heap of a process small while it has many streams. Does not keep the process alive. */
export function keepHeapSmall(streams: () => number): void {
  setInterval(heapKeeper(streams, setFlagsFromString), lookMs).unref();
}

/** Looks at the number of streams, and tells V8 when it has become another kind of load. */
export function heapKeeper(streams: () => number, setFlag: (flag: string) => void): () => void {
  let isCrowded = false;
  return () => {
    const becomes = streams() >= (isCrowded ? crowdStreams / 2 : crowdStreams);
    if (becomes === isCrowded) return;
    isCrowded = becomes;
    for (const flag of isCrowded ? heapFlags.crowded : heapFlags.usual) setFlag(flag);
  };
}
