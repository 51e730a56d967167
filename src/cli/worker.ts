/** `manifold serve` in a worker: HTTP, translation and upstreams; what is shared is asked of the owner. */

import { Socket } from 'node:net';
import { createGuard } from '#access';
import { createGateway, type HttpFront } from '#gateway';
import type { ChannelDefinition } from '#providers';
import { createNewId, systemClock, systemRandom } from '#std';
import { createLog } from '#telemetry';
import {
  createDistantShared,
  createHandOver,
  Link,
  type OwnerCalls,
  type WorkerCalls,
  type WorkerSetup,
} from '#workers';
import type { Config, Environment } from './config.ts';
import { frontLoad, frontOptions } from './front.ts';
import { keepHeapFit } from './heap.ts';
import { controlPrefix } from './lazy-control.ts';
import { metricsPath } from './metrics.ts';
import { pipePlace } from './worker-mark.ts';
import { createSharedRuntime, type Runtime } from './runtime.ts';
import { ignoreStopSignals } from './stop-signal.ts';

const reportMs = 1_000;

/** Serves until the owner says stop or is gone. Resolves with the exit code. */
export async function serveAsWorker(environment: Environment): Promise<number> {
  // The owner hears the signals of the terminal too, and says what they mean.
  ignoreStopSignals();
  const pipe = new Socket({ fd: pipePlace, readable: true, writable: true });
  const worker = new Worker(environment);
  // Without the owner nothing that runs can be settled: no more is made of it, not even a complaint.
  pipe.once('close', () => {
    if (!worker.isStopped) process.exit(1);
  });
  const owner: Link<OwnerCalls> = new Link<OwnerCalls>(pipe, {
    start: (setup) => worker.start(owner, setup),
    channels: (channels) => worker.reload(channels),
    forgetKey: (keyId) => worker.forgetKey(keyId),
    stop: async (graceMs) => {
      await worker.stop(graceMs);
      await owner.settled();
    },
  } satisfies WorkerCalls);
  await owner.closed;
  return 0;
}

type Serving = {
  readonly runtime: Runtime;
  readonly front: HttpFront;
  readonly forgetKey: (keyId: string) => void;
};

class Worker {
  readonly #environment: Environment;
  #serving: Serving | undefined;
  isStopped = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  async start(
    owner: Link<OwnerCalls>,
    setup: WorkerSetup,
  ): Promise<{ readonly host: string; readonly port: number }> {
    const serving = createServing(owner, setup, this.#environment);
    this.#serving = serving;
    setInterval(
      () => owner.tell('load', frontLoad(serving.front, serving.runtime)),
      reportMs,
    ).unref();
    keepHeapFit(() => serving.runtime.services.heartbeats.size);
    return serving.front.listen();
  }

  reload(channels: readonly ChannelDefinition[]): void {
    const serving = this.#serving;
    try {
      serving?.runtime.reload(channels);
    } catch (error) {
      serving?.runtime.services.log('error', 'channels.refused', { error: String(error) });
    }
  }

  forgetKey(keyId: string): void {
    this.#serving?.forgetKey(keyId);
  }

  async stop(graceMs: number): Promise<void> {
    this.isStopped = true;
    await this.#serving?.front.close(graceMs);
    await this.#serving?.runtime.close();
  }
}

function createServing(
  owner: Link<OwnerCalls>,
  { config: given, extra, channels, pepper, ownerPath }: WorkerSetup,
  environment: Environment,
): Serving {
  // The owner has checked it.
  const config = given as Config;
  const newId = createNewId(systemClock, systemRandom);
  const write = (line: string): boolean => process.stderr.write(line);
  const log = createLog({ level: config.log_level, now: () => systemClock.now(), write });
  const shared = createDistantShared(owner);
  const access = createGuard({
    store: { keys: shared.keys },
    pepper: Buffer.from(pepper, 'base64'),
    clock: systemClock,
  });
  const runtime = createSharedRuntime(
    { config, environment, extra, warm: true },
    { shared, access, newId, log, channels },
  );
  const handOver = createHandOver(ownerPath);
  const front = createGateway({
    services: runtime.services,
    mounted: [controlPrefix, metricsPath].map((prefix) => ({ prefix, listener: handOver })),
    repeatable: handOver,
    ...frontOptions(config),
  });
  return { runtime, front, forgetKey: (keyId) => access.forget(keyId) };
}
