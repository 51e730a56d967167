/**
 * W12: from the start of the process to its first answer, and the memory of a server that waits.
 * The first start of a folder compiles and creates; the following ones are what a restart takes.
 */

import path from 'node:path';
import { manifoldConfig, openAccount, type LegContext } from './legs.ts';
import { costOfTree } from './process-cost.ts';
import { announced, pause, processors, startPinned, stop } from './programs.ts';
import { interval, type Interval } from './statistics.ts';
import { workloads } from './workloads.ts';

export type ColdStart = {
  readonly firstMs: number;
  readonly laterMs: Interval;
  readonly idleRssMiB: Interval;
};

/** Starts the whole program `starts` times, through the front door that users start. */
export async function measureColdStart(context: LegContext, starts: number): Promise<ColdStart> {
  const config = manifoldConfig(context, 'cold');
  const key = openAccount(context.root, config);
  const times: number[] = [];
  const memories: number[] = [];
  for (let index = 0; index <= starts; index += 1) {
    const { answerMs, rssMiB } = await startOnce(context, config, key, index === starts);
    times.push(answerMs);
    if (rssMiB > 0) memories.push(rssMiB);
  }
  const [firstMs = NaN, ...later] = times;
  return { firstMs, laterMs: interval(later), idleRssMiB: interval(memories) };
}

async function startOnce(
  { root, run }: LegContext,
  config: string,
  key: string,
  waits: boolean,
): Promise<{ readonly answerMs: number; readonly rssMiB: number }> {
  const began = performance.now();
  const command = [process.execPath, path.join(root, 'tools', 'bootstrap.mjs'), 'serve'];
  // Compiled code of this run's own, so that the first start is a first one.
  const environment = { NODE_COMPILE_CACHE: path.join(run, 'compile') };
  const started = startPinned([...command, '--config', config], processors.subject, environment);
  try {
    const url = await announced(started, /listens on (http:\/\/\S+)/);
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: (workloads[0]?.body() ?? '').replace('"model":"', '"model":"public-'),
    });
    if (answer.status !== 200) throw new Error(`the first answer has status ${answer.status}`);
    await answer.text();
    const answerMs = performance.now() - began;
    if (waits) await pause(10_000);
    return { answerMs, rssMiB: waits ? costOfTree(started.pid).rssBytes / 2 ** 20 : 0 };
  } finally {
    await stop(started);
  }
}
