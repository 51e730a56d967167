/** The two forms of a server: one process that does everything, or an owner of the books with workers. */

import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createGateway, type HttpFront, type ListenerSettings } from '#gateway';
import type { ChannelDefinition } from '#providers';
import type { Load } from '#workers';
import type { Config } from './config.ts';
import { readOperatorToken } from './control-services.ts';
import { frontLoad, frontOptions } from './front.ts';
import { keepHeapFit } from './heap.ts';
import { controlPrefix, createLazyControl } from './lazy-control.ts';
import { createMetricsListener, metricsPath } from './metrics.ts';
import type { Opened } from './opened.ts';
import { storedChannels, type Books, type OwnRuntime } from './runtime.ts';

export type Serving = {
  readonly address: { readonly host: string; readonly port: number };
  readonly load: () => Load;
  readonly reload: (definitions: readonly ChannelDefinition[]) => void;
};

export async function serveAlone(
  config: Config,
  books: Books,
  runtime: OwnRuntime,
  opened: Opened,
): Promise<Serving> {
  const front = createFront(config, books, runtime);
  const address = await front.listen();
  opened.add(() => front.close(config.stop_ms));
  const load = (): Load => frontLoad(front, runtime);
  keepHeapFit(() => runtime.services.heartbeats.size);
  return { address, load, reload: runtime.reload };
}

/**
 * Workers have the port. The owner answers on a private socket what they pass on, and tells them what
 * has changed: channels, and keys that are refused from now on.
 */
export async function serveByWorkers(
  config: Config,
  books: Books,
  own: OwnRuntime,
  extra: readonly ChannelDefinition[],
  opened: Opened,
): Promise<Serving> {
  const { privateSocket, Workers } = await import('./workers.ts');
  const socket = privateSocket(resolve(config.data));
  opened.add(() => socket.remove());
  // What is stored may have changed to what is refused; a new worker gets what the others have.
  let accepted = await storedChannels(books.store);
  const workers = new Workers({
    count: config.workers,
    owned: own.owned,
    log: books.log,
    silenceMs: config.worker_silence_ms,
    setup: () => ({
      config: shareOf(config),
      extra,
      channels: accepted,
      pepper: Buffer.from(books.pepper).toString('base64'),
      ownerPath: socket.path,
    }),
  });
  const reload = (definitions: readonly ChannelDefinition[]): void => {
    own.reload(definitions);
    accepted = definitions;
    workers.reload(definitions);
  };
  const access: Books['access'] = {
    ...books.access,
    async revokeKey(keyId) {
      const revoked = await books.access.revokeKey(keyId);
      await workers.forgetKey(keyId);
      return revoked;
    },
  };
  const front = createFront(config, { ...books, access }, { ...own, reload }, socket.path);
  await front.listen();
  opened.add(async () => {
    const until = performance.now() + config.stop_ms;
    const stopped = workers.stop(config.stop_ms);
    // What workers passed on ends when their own requests end, while they can still tell the clients.
    await Promise.race([stopped, pause(config.stop_ms, undefined, { ref: false })]);
    await front.close(Math.max(0, until - performance.now()));
    await stopped;
  });
  const address = await workers.start();
  // What was passed on is a connection of its worker already.
  const ownLoad = (): Load => ({ ...frontLoad(front, own), connections: 0 });
  return { address, load: () => sum([...workers.load, ownLoad()]), reload };
}

function createFront(config: Config, books: Books, runtime: OwnRuntime, path?: string): HttpFront {
  const token = readOperatorToken(config);
  const { listener, limits } = frontOptions(config);
  return createGateway({
    services: runtime.services,
    mounted: [
      { prefix: controlPrefix, listener: createLazyControl(books, runtime, token) },
      { prefix: metricsPath, listener: createMetricsListener(runtime.registry, token) },
    ],
    // Who passes requests on has looked at the Host.
    listener: path === undefined ? listener : { host: '', port: 0, path, ...corsOf(listener) },
    limits: path === undefined ? limits : { ...limits, ...roomForMore },
  });
}

function corsOf({ cors }: ListenerSettings): Pick<ListenerSettings, 'cors'> {
  return cors === undefined ? {} : { cors };
}

/** What a worker adds to the head of a request that it passes on. */
const roomForMore = { headersMax: 106, headerBytesMax: 20_480 };

/** The bounds of the whole server, divided among its workers. */
function shareOf(config: Config): Config {
  const { workers, limits, streaming } = config;
  const share = (whole: number): number => Math.ceil(whole / workers);
  return {
    ...config,
    limits: {
      body_bytes: limits.body_bytes,
      held_bytes: Math.max(limits.body_bytes, share(limits.held_bytes)),
      connections: share(limits.connections),
      connections_per_address: limits.connections_per_address,
    },
    streaming: { ...streaming, drains: share(streaming.drains) },
  };
}

function sum(loads: readonly Load[]): Load {
  const total = { connections: 0, heldBytes: 0, streams: 0, upstreamCalls: 0 };
  for (const load of loads) {
    total.connections += load.connections;
    total.heldBytes += load.heldBytes;
    total.streams += load.streams;
    total.upstreamCalls += load.upstreamCalls;
  }
  return total;
}
