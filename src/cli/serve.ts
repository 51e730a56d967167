/** `manifold serve`: the gateway with everything it needs, from one command. */

import { createGateway, type HttpFront } from '#gateway';
import { controlPrefix, createControl } from '#control';
import { channelSchema, type ChannelDefinition } from '#providers';
import { startSimulator, type RunningSimulator } from '#simulator';
import { formatUsd, nanoUsd, systemClock, systemRandom } from '#std';
import { loadConfig, type Config, type Environment } from './config.ts';
import { controlServices, operatorTokenPath, readOperatorToken } from './control-services.ts';
import { createMetricsListener, metricsPath, registerGauges } from './metrics.ts';
import { createRuntime, openBooks, storedChannels, type Books, type Runtime } from './runtime.ts';
import type { Output } from './output.ts';

export type ServeOptions = { readonly configFile?: string | undefined; readonly port?: number | undefined; readonly host?: string | undefined; readonly recordings?: string | undefined };

export type RunningServer = { readonly url: string; readonly front: HttpFront; stop(): Promise<void> };

/** What a newcomer can spend on the simulator: enough for some thousand answers. */
const demoNanoUsd = nanoUsd(5_000_000_000);
const demoWallet = 'wallet_demo';
const sweepMs = 60_000;
const watchMs = 4_000;

export async function serve(options: ServeOptions, environment: Environment, output: Output): Promise<RunningServer> {
  const { config: loaded, file } = await loadConfig(options.configFile, environment);
  const config = withOptions(loaded, options);
  const books = await openBooks(config);
  const recovered = await books.ledger.recover();
  if (recovered.holdsFound > 0) books.log('warning', 'ledger.recovered', { holds: recovered.holdsFound, voided: recovered.voided, lost_usd: formatUsd(recovered.lostNanoUsd) });
  const simulator = config.simulator ? await startSimulator({ host: '127.0.0.1', port: 0, recordings: config.recordings, clock: systemClock, random: systemRandom }) : undefined;
  const runtime = await createRuntime({ config, environment, books, extra: simulator ? [simulatorChannel(simulator)] : [] });
  const operatorToken = readOperatorToken(config);
  const front = createGateway({
    services: runtime.services,
    mounted: [
      { prefix: controlPrefix, listener: createControl(controlServices(books, runtime), operatorToken) },
      { prefix: metricsPath, listener: createMetricsListener(runtime.registry, operatorToken) },
    ],
    listener: {
      host: config.listen.host,
      port: config.listen.port,
      cors: { origins: config.listen.cors_origins },
      ...(config.listen.hosts === undefined ? {} : { allowedHosts: config.listen.hosts }),
    },
    limits: { bodyBytesMax: config.limits.body_bytes, heldBytesMax: config.limits.held_bytes, connectionsMax: config.limits.connections },
  });
  registerGauges(runtime, front);
  const address = await front.listen();
  const url = `http://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  const sweeper = setInterval(() => void sweep(books), sweepMs).unref();
  const watcher = watchChannels(books, runtime);
  await greet(books, runtime.snapshot().models.length, url, file, operatorTokenPath(config), output);
  return {
    url,
    front,
    async stop() {
      clearInterval(sweeper);
      clearInterval(watcher);
      await front.close(config.stop_ms);
      await runtime.close();
      await simulator?.close();
      await books.store.close();
    },
  };
}

function withOptions(config: Config, options: ServeOptions): Config {
  const { port, host, recordings } = options;
  return {
    ...config,
    listen: { ...config.listen, ...(port === undefined ? {} : { port }), ...(host === undefined ? {} : { host }) },
    ...(recordings === undefined ? {} : { recordings }),
  };
}

function simulatorChannel(simulator: RunningSimulator): ChannelDefinition {
  return channelSchema.parse({ id: 'simulator', provider: 'simulator', base_url: simulator.url, secret: 'simulator', allow_private: true, models: simulator.models });
}

/** Channels that a command or the control API has changed are taken without a restart. */
function watchChannels(books: Books, runtime: Runtime): NodeJS.Timeout {
  let known = '';
  const look = async (): Promise<void> => {
    try {
      const definitions = await storedChannels(books.store);
      const now = JSON.stringify(definitions);
      if (known !== '' && now !== known) runtime.reload(definitions);
      known = now;
    } catch (error) {
      books.log('error', 'channels.unreadable', { error: String(error) });
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

/** The first start makes a wallet with demo money and a key, and shows the key this one time. */
async function greet(books: Books, models: number, url: string, file: string | undefined, tokenPath: string, output: Output): Promise<void> {
  output.line(`Manifold listens on ${url} · ${models} models · ${file ?? 'no configuration file, defaults'}`);
  output.line(`Control API: ${url}${controlPrefix}/openapi.json, with the operator token in ${tokenPath}`);
  const keys = await books.access.listKeys({});
  if (keys.length > 0) return;
  await books.ledger.credit({ walletId: demoWallet, amountNanoUsd: demoNanoUsd, lotKind: 'demo', source: 'setup', eventId: 'first-start', actor: 'setup' });
  const { key } = await books.access.createKey({ name: 'first key', walletId: demoWallet });
  output.line('');
  output.line(`Your first key, with ${formatUsd(demoNanoUsd)} USD of demo balance. It is shown this once:`);
  output.line(`  ${key}`);
  output.line('');
  output.line('Try it (the built-in simulator answers, no vendor key needed):');
  output.line(`  curl -N ${url}/v1/chat/completions -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' \\`);
  output.line(`    -d '{"model":"sim-chat","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hello!"}]}'`);
  output.line('');
  output.line('Real models appear when a key is in the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, …');
}
