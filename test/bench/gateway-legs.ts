/** Our own program as a leg: as users start it, without its bill, and on PostgreSQL. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { configSchema, openBooks } from '#cli';
import { nanoUsd } from '#std';
import { startCluster } from '../contract/ledger-postgres-cluster.ts';
import type { Leg, LegContext, StartedLeg } from './leg.ts';
import { announced, processors, startPinned, stop, type Started } from './programs.ts';
import {
  clientMarks,
  clientPaths,
  modelOf,
  requestBytes,
  slowStream,
  workloads,
  type Workload,
} from './workloads.ts';

/** Streams for trials, which no table of rounds has. */
export const trialStreams: { readonly [name in 'minute' | 'beside' | 'flood']: Workload } = {
  minute: slowStream(120, 500),
  /** 25 tokens a second for eight seconds. */
  beside: slowStream(200, 40),
  /** 10 MB as fast as it is taken. */
  flood: slowStream(160, 1, 'large'),
};

/** Public names: the upstream's name is another, so that it has to be put into the body. */
export const publicName = ({ upstream, shape }: Pick<Workload, 'upstream' | 'shape'>): string =>
  `${upstream}-public-${modelOf({ shape })}`;

const upstreamDialects: {
  readonly [upstream in Workload['upstream']]: { readonly dialect: string; readonly path: string };
} = {
  chat: { dialect: 'openai-chat', path: '/v1' },
  anthropic: { dialect: 'anthropic-messages', path: '/v1' },
  gemini: { dialect: 'gemini-generate', path: '/v1beta' },
};

export type GatewaySettings = {
  /** Channels to each dialect, all to the same upstream. */
  readonly channelsEach?: number;
  readonly settings?: Readonly<Record<string, unknown>>;
};

/** A configuration with channels to each dialect and its data in a folder of the run. */
export function writeGatewayConfig(
  { run, upstreamPort }: Pick<LegContext, 'run' | 'upstreamPort'>,
  name: string,
  { channelsEach = 1, settings = {} }: GatewaySettings = {},
): string {
  const all = [...workloads, ...Object.values(trialStreams)];
  const offers = (upstream: Workload['upstream']) =>
    Object.fromEntries(
      all
        .filter((workload) => workload.upstream === upstream)
        .map((workload) => [
          publicName(workload),
          {
            name: modelOf(workload),
            prices: { input: '0.15', output: '0.60' },
            output_tokens: 16_384,
          },
        ]),
    );
  const channels = (['chat', 'anthropic', 'gemini'] as const).flatMap((upstream) =>
    Array.from({ length: channelsEach }, (_, index) => ({
      id: index === 0 ? upstream : `${upstream}-${index + 1}`,
      dialect: upstreamDialects[upstream].dialect,
      base_url: `http://127.0.0.1:${upstreamPort}${upstreamDialects[upstream].path}`,
      secret: 'sk-bench',
      allow_private: true,
      abort_stops_billing: 'yes',
      models: offers(upstream),
    })),
  );
  const folder = path.join(run, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'manifold.yaml');
  const config = {
    listen: { port: 0 },
    data: path.join(folder, 'data'),
    log_level: 'error',
    simulator: false,
    channels,
    ...settings,
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

export function readConfig(file: string) {
  return configSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
}

/** Makes keys on one wallet with money before the server runs; resolves with the keys. */
export async function openAccount(configFile: string, keys = 1): Promise<readonly string[]> {
  const books = await openBooks(readConfig(configFile), 'bench');
  const credited = await books.ledger.credit({
    walletId: 'wallet_bench',
    amountNanoUsd: nanoUsd(1_000_000 * 1e9),
    lotKind: 'paid',
    source: 'bench',
    eventId: 'bench',
    actor: 'bench',
  });
  if (!credited.ok) throw new Error(`the wallet was not filled: ${credited.error}`);
  const made: string[] = [];
  for (let index = 0; index < keys; index += 1) {
    const { key } = await books.access.createKey({ name: 'bench', walletId: 'wallet_bench' });
    made.push(key);
  }
  await books.store.close();
  return made;
}

/** A started gateway as a leg that translates. */
export function gatewayLeg(
  id: string,
  started: Started,
  port: number,
  keys: readonly string[],
): Leg {
  return {
    id,
    pid: started.pid,
    port,
    warmsUp: true,
    request(workload, keyIndex = 0) {
      const headers = { authorization: `Bearer ${keys[keyIndex % keys.length] ?? ''}` };
      const body = workload.body(publicName(workload), workload.client);
      return requestBytes(clientPaths[workload.client], headers, body);
    },
    mark: ({ client }) => clientMarks[client],
    stop: () => stop(started),
  };
}

/** Starts the program; `nodeWords` go to Node, and with `ipc` it can be asked by messages. */
export async function startServer(
  root: string,
  configFile: string,
  { nodeWords = [], ipc = false }: { readonly nodeWords?: readonly string[]; ipc?: boolean } = {},
): Promise<{ readonly started: Started; readonly port: number }> {
  // As users start it; words for Node itself go with the sources, which cost the same once loaded.
  const file = nodeWords.length > 0 ? ['src', 'main.ts'] : ['tools', 'bootstrap.mjs'];
  const program = path.join(root, ...file);
  const command = [process.execPath, ...nodeWords, program, 'serve', '--config', configFile];
  const started = startPinned(command, processors.subject, {}, ipc);
  const port = Number(await announced(started, /listens on http:\/\/[^ ]*:(\d+)/));
  return { started, port };
}

export async function startManifold(id: string, context: LegContext): Promise<Leg> {
  const configFile = writeGatewayConfig(context, id);
  const keys = await openAccount(configFile);
  const { started, port } = await startServer(context.root, configFile);
  return gatewayLeg(id, started, port, keys);
}

export async function startUnbilled(id: string, context: LegContext): Promise<Leg> {
  const configFile = writeGatewayConfig(context, id);
  const keys = await openAccount(configFile);
  const file = path.join(context.root, 'test', 'bench', 'unbilled-process.ts');
  const started = startPinned([process.execPath, file, configFile], processors.subject);
  const port = Number(await announced(started, /^(\d+)$/m));
  return gatewayLeg(id, started, port, keys);
}

/** The database has the rig's processor: only the cost of the gateway's own process is counted. */
export async function startOnPostgres(id: string, context: LegContext): Promise<StartedLeg> {
  const cluster = await startCluster('on');
  if (cluster === undefined) return { id, missing: 'PostgreSQL cannot run here (see above)' };
  const settings = { database_url: await cluster.freshUrl(), node_id: 'bench-node' };
  const configFile = writeGatewayConfig(context, id, { settings });
  const keys = await openAccount(configFile);
  const { started, port } = await startServer(context.root, configFile);
  const leg = gatewayLeg(id, started, port, keys);
  return {
    ...leg,
    async stop() {
      await leg.stop();
      cluster.stop();
    },
  };
}
