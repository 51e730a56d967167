/**
 * W12: from the start of the process to its first answer, and the memory of a server that waits.
 * The first start of a folder creates what the following ones find, and of changed sources bundles and compiles as well.
 */

import path from 'node:path';
import { openAccount, publicName, writeGatewayConfig } from '../gateway-legs.ts';
import { costOfTree } from '../process-cost.ts';
import { announced, pause, processors, startPinned, stop } from '../programs.ts';
import { withInterval } from '../report.ts';
import { interval } from '../statistics.ts';
import type { Trial, TrialContext } from './trial.ts';
import { workloadOf } from '../workloads.ts';

const idleMs = 60_000;

export const coldStart: Trial = {
  id: 'W12',
  title: 'start of the whole program to its first answer, and its memory when it waits',
  async run(context) {
    const starts = context.quick ? 3 : 20;
    const config = writeGatewayConfig(context, 'cold');
    const [key = ''] = await openAccount(config);
    const times: number[] = [];
    let idleMiB = NaN;
    for (let index = 0; index <= starts; index += 1) {
      const waitMs = index < starts ? 0 : context.quick ? 5_000 : idleMs;
      const { answerMs, rssMiB } = await startOnce(context, config, key, waitMs);
      times.push(answerMs);
      idleMiB = rssMiB;
    }
    const [firstMs = NaN, ...later] = times;
    return [
      { what: 'first start to first answer', value: `${firstMs.toFixed(0)} ms` },
      { what: `later starts (${starts})`, value: `${withInterval(interval(later), 0)} ms` },
      {
        what: `memory after ${context.quick ? 5 : idleMs / 1_000} idle seconds`,
        value: `RSS ${idleMiB.toFixed(0)} MiB`,
      },
    ];
  },
};

async function startOnce(
  { root }: TrialContext,
  config: string,
  key: string,
  waitMs: number,
): Promise<{ readonly answerMs: number; readonly rssMiB: number }> {
  const began = performance.now();
  const command = [process.execPath, path.join(root, 'tools', 'bootstrap.mjs'), 'serve'];
  const started = startPinned([...command, '--config', config], processors.subject);
  try {
    const url = await announced(started, /listens on (http:\/\/\S+)/);
    const workload = workloadOf('W1');
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: workload.body(publicName(workload), 'chat'),
    });
    if (answer.status !== 200) throw new Error(`the first answer has status ${answer.status}`);
    await answer.text();
    const answerMs = performance.now() - began;
    await pause(waitMs);
    return { answerMs, rssMiB: costOfTree(started.pid).rssBytes / 2 ** 20 };
  } finally {
    await stop(started);
  }
}
