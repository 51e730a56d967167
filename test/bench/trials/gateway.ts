/** A gateway of a trial's own, with settings, faults or a probe of its own. */

import path from 'node:path';
import {
  gatewayLeg,
  openAccount,
  startServer,
  writeGatewayConfig,
  type GatewaySettings,
} from '../gateway-legs.ts';
import type { Leg } from '../leg.ts';
import type { LoadJob, LoadResult } from '../load.ts';
import { announced, processors, startPinned, stop, type Started } from '../programs.ts';
import type { UpstreamReport } from '../upstream-process.ts';
import type { Workload } from '../workloads.ts';
import type { TrialContext } from './trial.ts';

export type OwnGateway = {
  readonly leg: Leg;
  readonly started: Started;
  readonly configFile: string;
};

type OwnSettings = GatewaySettings & { readonly keys?: number; readonly upstreamPort?: number };

/** Starts a gateway for `work` and stops it afterwards. */
export async function withGateway<Result>(
  context: TrialContext,
  name: string,
  { keys = 1, upstreamPort = context.upstreamPort, ...rest }: OwnSettings,
  work: (gateway: OwnGateway) => Promise<Result>,
): Promise<Result> {
  const configFile = writeGatewayConfig({ ...context, upstreamPort }, name, rest);
  const made = await openAccount(configFile, keys);
  const { started, port } = await startServer(context.root, configFile);
  try {
    return await work({ leg: gatewayLeg(name, started, port, made), started, configFile });
  } finally {
    await stop(started);
  }
}

export type OwnUpstream = { readonly port: number; report(): Promise<UpstreamReport> };

/** Starts an upstream that fails or watches, for `work`. */
export async function withUpstream<Result>(
  { root }: TrialContext,
  words: readonly string[],
  work: (upstream: OwnUpstream) => Promise<Result>,
): Promise<Result> {
  const file = path.join(root, 'test', 'bench', 'upstream-process.ts');
  const started = startPinned([process.execPath, file, ...words], processors.rig, {}, true);
  try {
    const port = Number(await announced(started, /^(\d+)$/m));
    const report = (): Promise<UpstreamReport> =>
      new Promise((resolve) => {
        started.process.once('message', (message) => resolve(message as UpstreamReport));
        started.process.send('report');
      });
    return await work({ port, report });
  } finally {
    await stop(started);
  }
}

/** A job at a fixed rate for some seconds. */
export function steadyJob(leg: Leg, workload: Workload, rate: number, seconds: number): LoadJob {
  const streamMs = workload.shape.chunks * workload.shape.paceMs;
  return {
    port: leg.port,
    requests: [leg.request(workload)],
    mark: leg.mark(workload),
    marks: Math.max(1, workload.shape.chunks),
    rate,
    count: Math.max(1, Math.round(rate * seconds)),
    seed: 1,
    limitMs: seconds * 1_000 + streamMs + 60_000,
  };
}

/** Requests one after the other on a few connections, so that the compiler has seen the path. */
export async function warmUp(
  { generator, quick }: TrialContext,
  leg: Leg,
  workload: Workload,
): Promise<LoadResult> {
  const { count, atOnce, limitMs } = workload.warmUp;
  const job = steadyJob(leg, workload, 1, 1);
  return generator.run({ ...job, atOnce, count: quick ? Math.ceil(count / 10) : count, limitMs });
}
