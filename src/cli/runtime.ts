/** Wiring: the configuration turned into running services. The only place that knows all modules. */

import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { addressTest, createAccess, RateLimiter, type Access } from '#access';
import { builtInModels, createCatalog } from '#catalog';
import {
  anthropicMessages,
  geminiEmbed,
  geminiGenerate,
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  openaiResponses,
} from '#dialects';
import {
  buildSnapshot,
  Drains,
  Heartbeats,
  routingChannels,
  StateMemory,
  Transcripts,
  type Channel,
  type Services,
  type Shared,
  type Snapshot,
} from '#gateway';
import { openLedger, type Ledger } from '#ledger';
import { providersById, type ChannelDefinition } from '#providers';
import { createRouter } from '#routing';
import { allDocuments, openStore, type Store } from '#store';
import { createNewId, systemClock, systemRandom, type NewId } from '#std';
import {
  createLog,
  createRegistry,
  createRequestMetrics,
  type Log,
  type Registry,
} from '#telemetry';
import { createEgress, createUpstream } from '#upstream';
import type { Owned } from '#workers';
import { channelsFromEnvironment, readChannel, resolveChannel, simulatorId } from './channels.ts';
import { ConfigError, type Config, type Environment } from './config.ts';
import { dataError } from './start-error.ts';
import { writeOnce } from './write-once.ts';

/** What commands that only touch data need: no listener, no upstream. */
export type Books = {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly access: Access;
  /** Guards the digests of keys. */
  readonly pepper: Uint8Array;
  readonly newId: NewId;
  readonly log: Log;
};

/**
 * Opens the database and what stands on it. `nodeId` keeps a command beside a running server from
 * taking its place as the writer; `prepare` is called once the folder is there. Throws ConfigError
 * when folder or database cannot be used.
 */
export async function openBooks(
  config: Config,
  nodeId = 'main',
  prepare: (folder: string) => void = () => {},
): Promise<Books> {
  const folder = resolve(config.data);
  const newId = createNewId(systemClock, systemRandom);
  const write = (line: string): boolean => process.stderr.write(line);
  const log = createLog({ level: config.log_level, now: () => systemClock.now(), write });
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    prepare(folder);
    const url = config.database_url ?? join(folder, 'manifold.db');
    const pepper = config.pepper === undefined ? readPepper(folder) : Buffer.from(config.pepper);
    const onStop = (reason: Error): void =>
      log('error', 'store.stopped', { reason: reason.message });
    const store = await openStore({ url, clock: systemClock, nodeId, onStop });
    const ledger = openLedger({ store, clock: systemClock });
    const access = createAccess({ store, pepper, clock: systemClock, newId });
    return { store, ledger, access, pepper, newId, log };
  } catch (error) {
    throw dataError(error, folder, config.database_url);
  }
}

/** The secret that makes stolen key digests useless; made once, readable by its owner only. */
function readPepper(folder: string): Uint8Array {
  const path = join(folder, 'pepper');
  writeOnce(path, randomBytes(32));
  const pepper = readFileSync(path);
  if (pepper.length >= 16) return pepper;
  throw new ConfigError(
    `${path} is damaged: it must hold 32 random bytes. Restore it from a backup; without it no key is known.`,
  );
}

export type Runtime = {
  readonly services: Services;
  readonly snapshot: () => Snapshot;
  reload(definitions: readonly ChannelDefinition[]): void;
  close(): Promise<void>;
};

/** The runtime of a process that owns what its requests share. */
export type OwnRuntime = Runtime & { readonly registry: Registry; readonly owned: Owned };

export type RuntimeOptions = {
  readonly config: Config;
  readonly environment: Environment;
  /** Channels besides the configured ones: the simulator. */
  readonly extra: readonly ChannelDefinition[];
  /** A server keeps a connection in reserve for every address that it may have to call. */
  readonly warm?: boolean;
};

/** A runtime on the books of this process, with the channels that they hold. */
export async function createRuntime(
  options: RuntimeOptions & { readonly books: Books },
): Promise<OwnRuntime> {
  const { store, ledger, access, newId, log } = options.books;
  const registry = createRegistry();
  const router = createRouter({
    clock: systemClock,
    random: systemRandom,
    settings: { totalTimeoutMs: options.config.request_ms },
    onAlarm: (alarm) =>
      log('error', 'channel.off', { channel: alarm.channelId, reason: alarm.reason }),
  });
  const owned: Owned = {
    store,
    ledger,
    router,
    rateLimiter: new RateLimiter(systemClock),
    metrics: createRequestMetrics(registry),
    stateMemory: new StateMemory(),
    log,
  };
  const runtime = createSharedRuntime(options, {
    shared: owned,
    access,
    newId,
    log,
    channels: await storedChannels(store),
    onChannels: (channels) => router.update(routingChannels(channels)),
  });
  return { ...runtime, registry, owned };
}

/** What a runtime stands on that may be elsewhere. */
export type Ground = {
  readonly shared: Shared;
  readonly access: Services['access'];
  readonly newId: NewId;
  readonly log: Log;
  readonly channels: readonly ChannelDefinition[];
  /** Told of all channels whenever they change. */
  readonly onChannels?: (channels: readonly Channel[]) => void;
};

export function createSharedRuntime(options: RuntimeOptions, ground: Ground): Runtime {
  const { config } = options;
  const { shared, access, newId, log } = ground;
  const catalog = createCatalog(builtInModels(), {
    aliases: config.aliases,
    models: config.models,
  });
  checkAliases(config, catalog.find);
  const clock = systemClock;
  const upstream = createUpstream({ clock });
  let current = buildSnapshot(catalog, []);
  const reload = (definitions: readonly ChannelDefinition[]): void => {
    const channels = allChannels(options, definitions);
    current = buildSnapshot(catalog, channels);
    ground.onChannels?.(channels);
    if (options.warm === true) upstream.keepWarm(warmAddresses(channels));
  };
  reload(ground.channels);
  const { store, ledger, rateLimiter, router, metrics, stateMemory } = shared;
  const services: Services = {
    clock,
    random: systemRandom,
    newId,
    log,
    metrics,
    store,
    ledger,
    access,
    rateLimiter,
    router,
    stateMemory,
    upstream,
    egress: createEgress({ upstream }),
    dialects: {
      'openai-chat': openaiChat,
      'openai-responses': openaiResponses,
      'anthropic-messages': anthropicMessages,
      'gemini-generate': geminiGenerate,
      'openai-completions': openaiCompletions,
    },
    embeddingDialects: { 'openai-embeddings': openaiEmbeddings, 'gemini-embed': geminiEmbed },
    heartbeats: new Heartbeats(config.streaming.heartbeat_ms),
    drains: new Drains(config.streaming.drains),
    transcripts: new Transcripts(),
    tokenCache: new Map(),
    settings: {
      heartbeatMs: config.streaming.heartbeat_ms,
      holdHeadersMs: config.streaming.hold_headers_ms,
      requestMs: config.request_ms,
      routingHeaders: config.routing_headers,
      continueCutAnswers: config.streaming.continue_cut_answers,
      answerBytesMax: 64 * 2 ** 20,
      drainMs: config.streaming.drain_ms,
      isTrustedProxy: addressTest(config.listen.trusted_proxies),
    },
    snapshot: () => current,
  };
  return { services, snapshot: () => current, reload, close: () => upstream.close() };
}

/** Behind an outbound proxy there is nothing to keep: the tunnel is made for the call. */
function warmAddresses(
  channels: readonly Channel[],
): readonly { readonly url: string; readonly allowPrivate: boolean }[] {
  return channels
    .filter(
      ({ definition }) => definition.enabled !== false && definition.outbound_proxy === undefined,
    )
    .flatMap(({ baseUrls, definition }) =>
      baseUrls.map((url) => ({ url, allowPrivate: definition.allow_private === true })),
    );
}

function checkAliases(config: Config, find: (name: string) => unknown): void {
  for (const [alias, target] of Object.entries(config.aliases)) {
    if (!find(target))
      throw new ConfigError(
        `aliases.${alias}: there is no model \`${target}\`. Name a model of the catalog or one under \`models\`.`,
      );
  }
}

/** Channels made with `manifold channel add`. */
export async function storedChannels(store: Store): Promise<readonly ChannelDefinition[]> {
  const documents = await allDocuments(store.channels);
  return documents.map(({ id, body }) => {
    try {
      return readChannel(body);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError(
        `The stored channel \`${id}\` cannot be used. Remove it with \`manifold channel remove ${id}\`, and add it again.\n${error.message}`,
      );
    }
  });
}

function allChannels(
  { config, environment, extra }: RuntimeOptions,
  stored: readonly ChannelDefinition[],
): readonly Channel[] {
  const definitions = [...config.channels, ...stored];
  const ids = new Set<string>();
  for (const { id } of definitions) {
    if (config.simulator && id === simulatorId)
      throw new ConfigError(
        `\`${id}\` is the channel of the built-in simulator. Give yours another id (one that is stored goes with \`manifold channel remove ${id}\`), or set \`simulator: false\`.`,
      );
    if (ids.has(id))
      throw new ConfigError(`There are two channels with the id \`${id}\`. Rename one.`);
    ids.add(id);
  }
  const configured = new Set(definitions.map((definition) => definition.provider ?? ''));
  const automatic = channelsFromEnvironment(providersById, configured, environment).filter(
    (definition) => !ids.has(definition.id),
  );
  return [...extra, ...automatic, ...definitions].map((definition) =>
    resolveChannel(definition, providersById, environment),
  );
}
