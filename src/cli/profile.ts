/** Profiles on demand: what the processor did and what the heap holds, for the usual viewers. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { resolve } from 'node:path';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';

/** A running profile; `stop` writes the files and resolves with their paths. */
export type RunningProfile = { stop(): Promise<readonly string[]> };

const samplingMicroseconds = 1_000;
/** One in so many allocated bytes is looked at. */
const heapSamplingBytes = 65_536;

/** Starts both samplers. Costs a few percent of speed while it runs. */
export async function startProfile(folder: string): Promise<RunningProfile> {
  const target = resolve(folder);
  mkdirSync(target, { recursive: true });
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: samplingMicroseconds });
  await session.post('Profiler.start');
  await session.post('HeapProfiler.startSampling', { samplingInterval: heapSamplingBytes });
  return {
    async stop() {
      const { profile: processor } = await session.post('Profiler.stop');
      const { profile: heap } = await session.post('HeapProfiler.stopSampling');
      session.disconnect();
      const name = `manifold-${process.pid}`;
      const files = [
        { file: `${name}.cpuprofile`, content: processor },
        { file: `${name}.heapprofile`, content: heap },
        { file: `${name}.heap.json`, content: heapSummary() },
      ];
      return files.map(({ file, content }) => {
        const path = resolve(target, file);
        writeFileSync(path, JSON.stringify(content));
        return path;
      });
    },
  };
}

function heapSummary(): unknown {
  return {
    memory: process.memoryUsage(),
    heap: getHeapStatistics(),
    spaces: getHeapSpaceStatistics(),
  };
}
