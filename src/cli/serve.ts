/** `manifold serve`: the gateway with everything it needs, from one command. */

import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { channelSchema, type ChannelDefinition } from '#providers';
import type { RunningSimulator } from '#simulator';
import { formatUsd } from '#std';
import { allDocuments, type Store } from '#store';
import { loadConfig, type Config, type Environment } from './config.ts';
import { simulatorId } from './channels.ts';
import { lockFolder } from './folder-lock.ts';
import { greet } from './greeting.ts';
import { registerGauges } from './metrics.ts';
import { createRuntime, openBooks, storedChannels, type Books, type Runtime } from './runtime.ts';
import { serveAlone, serveByWorkers, type Serving } from './serving.ts';
import { Opened } from './opened.ts';
import type { Output } from './output.ts';
import { openSimulator } from './simulate.ts';
import { checkPort } from './start-error.ts';

export type ServeOptions = {
  readonly configFile?: string | undefined;
  readonly port?: number | undefined;
  readonly host?: string | undefined;
  readonly workers?: number | undefined;
  readonly recordings?: string | undefined;
};

export type RunningServer = {
  readonly url: string;
  stop(): Promise<void>;
};

/** With PostgreSQL also the pace of this node's signs of life: see `Ledger.sweep`. */
const sweepMs = { sqlite: 60_000, postgres: 20_000 };
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
    const { url, books, runtime } = await start(config, environment, opened);
    await greet({ books, models: runtime.snapshot().models.length, url, file, config }, output);
    return { url, stop: () => opened.close() };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

type Started = {
  readonly url: string;
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
  // Before what is served, so that it ends after it: a node that finishes its last requests must be heard.
  const sweeper = setInterval(() => void sweep(books), sweepMs[books.store.kind]).unref();
  opened.add(() => clearInterval(sweeper));
  const extra = await ownSimulator(config, opened);
  const known = await versionsOf(books.store);
  const runtime = await createRuntime({ config, environment, books, extra, warm: true });
  opened.add(() => runtime.close());
  const serving =
    config.workers === 1
      ? await serveAlone(config, books, runtime, opened)
      : await serveByWorkers(config, books, runtime, extra, opened);
  registerGauges(runtime, serving.load);
  const watcher = watchChannels(books, serving.reload, known);
  opened.add(() => clearInterval(watcher));
  const { host, port } = serving.address;
  return { url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`, books, runtime };
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
    id: simulatorId,
    provider: 'simulator',
    base_url: simulator.url,
    secret: 'simulator',
    allow_private: true,
    models: simulator.models,
  });
}

function withOptions(config: Config, options: ServeOptions): Config {
  const { port, host, workers, recordings } = options;
  return {
    ...config,
    listen: {
      ...config.listen,
      ...(port === undefined ? {} : { port }),
      ...(host === undefined ? {} : { host }),
    },
    ...(workers === undefined ? {} : { workers }),
    ...(recordings === undefined ? {} : { recordings: resolve(recordings) }),
  };
}

/** Channels that a command or the control API has changed are taken without a restart. */
function watchChannels(books: Books, reload: Serving['reload'], atStart: string): NodeJS.Timeout {
  let known = atStart;
  const look = async (): Promise<void> => {
    try {
      const now = await versionsOf(books.store);
      if (now === known) return;
      // Also when they are refused: the same complaint every four seconds helps nobody.
      known = now;
      reload(await storedChannels(books.store));
    } catch (error) {
      books.log('error', 'channels.refused', { error: String(error) });
    }
  };
  return setInterval(() => void look(), watchMs).unref();
}

/** Tells whether a channel was changed; some operators have thousands, too many to be read every four seconds. */
async function versionsOf(store: Store): Promise<string> {
  const documents = await allDocuments(store.channels);
  return documents
    .map(({ id, version, updatedAtMs }) => `${id} ${version} ${updatedAtMs}`)
    .join('\n');
}

async function sweep(books: Books): Promise<void> {
  try {
    const { silentNodes: nodes, abandoned: holds, lostNanoUsd } = await books.ledger.sweep();
    if (holds > 0)
      books.log('warning', 'ledger.nodes_silent', {
        nodes: nodes.join(', '),
        holds,
        lost_usd: formatUsd(lostNanoUsd),
      });
    await books.store.blobs.sweep(1_000);
  } catch (error) {
    books.log('error', 'sweep.failed', { error: String(error) });
  }
}
