/** What stands between client and upstream, seen from the measuring side. */

import { type Found } from './peers.ts';
import { listening, processors, startPinned, stop, type Started } from './programs.ts';
import { clientMarks, clientPaths, modelOf, requestBytes, type Workload } from './workloads.ts';

export type Leg = {
  readonly id: string;
  /** Nothing to measure a cost of: the client asks the upstream itself. */
  readonly pid: number | undefined;
  readonly port: number;
  /** Whether a just-in-time compiler has to see the path first. */
  readonly warmsUp: boolean;
  /** The workload as this leg is asked for it, with one of its keys. */
  request(workload: Workload, keyIndex?: number): Buffer;
  /** What the content of its answers is counted by. */
  mark(workload: Workload): string;
  stop(): Promise<void>;
};

export type LegContext = {
  readonly root: string;
  readonly cache: string;
  readonly run: string;
  readonly upstreamPort: number;
};
export type StartedLeg = Leg | { readonly id: string; readonly missing: string };

export type Starter = (id: string, context: LegContext) => Promise<StartedLeg>;

type LegSettings = {
  readonly id: string;
  readonly started: Started | undefined;
  readonly port: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly warmsUp?: boolean;
};

/** A leg that passes chat questions and translates nothing. */
export function passingLeg({ id, started, port, headers = {}, warmsUp = true }: LegSettings): Leg {
  return {
    id,
    pid: started?.pid,
    port,
    warmsUp,
    request: (workload) =>
      requestBytes(clientPaths.chat, headers, workload.body(modelOf(workload), 'chat')),
    mark: () => clientMarks.chat,
    stop: () => (started === undefined ? Promise.resolve() : stop(started)),
  };
}

/** Starts a program that was found, or says why there is none. */
export async function startFound(
  found: Found,
  words: readonly string[],
  settings: Omit<LegSettings, 'started'> & {
    readonly environment?: Readonly<Record<string, string>>;
    /** How long it may take until it listens. */
    readonly startMs?: number;
  },
): Promise<StartedLeg> {
  const { id, port } = settings;
  if ('missing' in found) return { id, missing: found.missing };
  const environment = { ...found.environment, ...settings.environment };
  const started = startPinned([...found.command, ...words], processors.subject, environment);
  try {
    await listening(started, port, settings.startMs);
  } catch (error) {
    await stop(started);
    return { id, missing: error instanceof Error ? error.message : String(error) };
  }
  return passingLeg({ ...settings, started });
}
