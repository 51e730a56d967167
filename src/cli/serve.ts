/** `manifold serve`: the gateway with everything it needs, from one command. */

import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { createGateway, type HttpFront } from '#gateway';
import { channelSchema, type ChannelDefinition } from '#providers';
import type { RunningSimulator } from '#simulator';
import { formatUsd } from '#std';
import { loadConfig, type Config, type Environment } from './config.ts';
import { readOperatorToken } from './control-services.ts';
import { lockFolder } from './folder-lock.ts';
import { greet } from './greeting.ts';
import { metricsPath, registerGauges, createMetricsListener } from './metrics.ts';
import { controlPrefix, createLazyControl } from './lazy-control.ts';
import { createRuntime, openBooks, storedChannels, type Books, type Runtime } from './runtime.ts';
import type { Output } from './output.ts';
import { openSimulator } from './simulate.ts';
import { checkPort } from './start-error.ts';

export type ServeOptions = {
  readonly configFile?: string | undefined;
  readonly port?: number | undefined;
  readonly host?: string | undefined;
  readonly recordings?: string | undefined;
};

export type RunningServer = {
  readonly url: string;
  readonly front: HttpFront;
  stop(): Promise<void>;
};

const sweepMs = 60_000;
const watchMs = 4_000;

/** Starts the server. Throws ConfigError when something of the operator's is in the way. */
export async function serve(
  options: ServeOptions,
  environment: Environment,
  output: Output,
): Promise<RunningServer> {
  const { config: loaded, file } = await loadConfig(options.configFile, environment);
  const config = withOptions(loaded, options);
  // Before the books: a program that cannot listen must not take them from one that does.
  await checkPort(config.listen.host, config.listen.port);
  const opened = new Opened();
  try {
    const { url, front, books, runtime } = await start(config, environment, opened);
    await greet({ books, models: runtime.snapshot().models.length, url, file, config }, output);
    return { url, front, stop: () => opened.close() };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** What has to be closed, in the reverse order of its opening. */
class Opened {
  readonly #closers: (() => Promise<void> | void)[] = [];

  add(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) await close();
  }
}

type Started = {
  readonly url: string;
  readonly front: HttpFront;
  readonly books: Books;
  readonly runtime: Runtime;
};

async function start(config: Config, environment: Environment, opened: Opened): Promise<Started> {
  const books = await openOwnBooks(config, opened);
  const recovered = await books.ledger.recover();
  if (recovered.holdsFound > 0) {
    const { holdsFound: holds, voided, lostNanoUsd } = recovered;
    books.log('warning', 'ledger.recovered', { holds, voided, lost_usd: formatUsd(lostNanoUsd) });
  }
  const extra = await ownSimulator(config, opened);
  const known = JSON.stringify(await storedChannels(books.store));
  const runtime = await createRuntime({ config, environment, books, extra, warm: true });
  opened.add(() => runtime.close());
  const front = createFront(config, books, runtime);
  registerGauges(runtime, front);
  const address = await front.listen();
  opened.add(() => front.close(config.stop_ms));
  const sweeper = setInterval(() => void sweep(books), sweepMs).unref();
  const watcher = watchChannels(books, runtime, known);
  opened.add(() => [sweeper, watcher].forEach((timer) => clearInterval(timer)));
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return { url: `http://${host}:${address.port}`, front, books, runtime };
}

/** The books as the one process that writes them under its name. */
async function openOwnBooks(config: Config, opened: Opened): Promise<Books> {
  const embedded = config.database_url === undefined;
  const nodeId = config.node_id ?? (embedded ? 'main' : `${hostname()}:${config.listen.port}`);
  const books = await openBooks(config, nodeId, (folder) => {
    if (embedded) opened.add(lockFolder(folder));
  });
  opened.add(() => books.store.close());
  return books;
}

async function ownSimulator(config: Config, opened: Opened): Promise<ChannelDefinition[]> {
  if (!config.simulator) return [];
  const { recordings } = config;
  const simulator = await openSimulator({ host: '127.0.0.1', port: 0, recordings });
  opened.add(() => simulator.close());
  return [simulatorChannel(simulator)];
}

function simulatorChannel(simulator: RunningSimulator): ChannelDefinition {
  return channelSchema.parse({
    id: 'simulator',
    provider: 'simulator',
    base_url: simulator.url,
    secret: 'simulator',
    allow_private: true,
    models: simulator.models,
  });
}

function createFront(config: Config, books: Books, runtime: Runtime): HttpFront {
  const { listen, limits } = config;
  const token = readOperatorToken(config);
  return createGateway({
    services: runtime.services,
    mounted: [
      { prefix: controlPrefix, listener: createLazyControl(books, runtime, token) },
      { prefix: metricsPath, listener: createMetricsListener(runtime.registry, token) },
    ],
    listener: {
      host: listen.host,
      port: listen.port,
      cors: { origins: listen.cors_origins },
      ...(listen.hosts === undefined ? {} : { allowedHosts: listen.hosts }),
    },
    limits: {
      bodyBytesMax: limits.body_bytes,
      heldBytesMax: limits.held_bytes,
      connectionsMax: limits.connections,
    },
  });
}

function withOptions(config: Config, options: ServeOptions): Config {
  const { port, host, recordings } = options;
  return {
    ...config,
    listen: {
      ...config.listen,
      ...(port === undefined ? {} : { port }),
      ...(host === undefined ? {} : { host }),
    },
    ...(recordings === undefined ? {} : { recordings: resolve(recordings) }),
  };
}

/** Channels that a command or the control API has changed are taken without a restart. */
function watchChannels(books: Books, runtime: Runtime, atStart: string): NodeJS.Timeout {
  let known = atStart;
  const look = async (): Promise<void> => {
    try {
      const definitions = await storedChannels(books.store);
      const now = JSON.stringify(definitions);
      if (now === known) return;
      // Also when they are refused: the same complaint every four seconds helps nobody.
      known = now;
      runtime.reload(definitions);
    } catch (error) {
      books.log('error', 'channels.refused', { error: String(error) });
    }
  };
  return setInterval(() => void look(), watchMs).unref();
}

async function sweep(books: Books): Promise<void> {
  try {
    await books.ledger.sweep();
    await books.store.blobs.sweep(1_000);
  } catch (error) {
    books.log('error', 'sweep.failed', { error: String(error) });
  }
}
