/**
 * How much V8 takes for garbage. Left to itself it looks through the whole heap for each 8 MiB more while
 * little is asked, and a large body brings as much; three times what lives is room for some of them. Thousands
 * of open streams are the other way round: what they hold lives for minutes, and little dies. Figures:
 * docs/benchmarks.md, W3, W4 and W6.
 */

import { setFlagsFromString } from 'node:v8';

/**
 * From so many open streams on the heap grows in small steps. Later would be too late: thousands come
 * within seconds, and young objects have their 64 MiB before that.
 */
export const crowdStreams = 250;
const lookMs = 100;
/** For a minute after there were so many it stays so: they die together, and V8 would double the heap first. */
export const calmLooks = 600;

/** What V8 is told; it reads these two flags anew at each collection. */
export const heapFlags = {
  crowded: ['--heap-growing-percent=20', '--semi-space-growth-factor=1'],
  usual: ['--heap-growing-percent=200', '--semi-space-growth-factor=2'],
} as const;

/** Lets the heap of a process grow as its load needs it, from now on. Does not keep the process alive. */
export function keepHeapFit(streams: () => number): void {
  for (const flag of heapFlags.usual) setFlagsFromString(flag);
  setInterval(heapKeeper(streams, setFlagsFromString), lookMs).unref();
}

/** Looks at the number of streams, and tells V8 when it has become another kind of load. */
export function heapKeeper(streams: () => number, setFlag: (flag: string) => void): () => void {
  let looksLeft = 0;
  return () => {
    const wasCrowded = looksLeft > 0;
    looksLeft = streams() >= crowdStreams ? calmLooks : Math.max(0, looksLeft - 1);
    if (looksLeft > 0 === wasCrowded) return;
    for (const flag of wasCrowded ? heapFlags.usual : heapFlags.crowded) setFlag(flag);
  };
}
