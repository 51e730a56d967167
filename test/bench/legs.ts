/** The programs between client and upstream that are compared. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { modelName } from './answers.ts';
import { debianProgram, litellm, portkey, type Found } from './peers.ts';
import {
  announced,
  freePort,
  listening,
  processors,
  startPinned,
  stop,
  type Started,
} from './programs.ts';
import { workloads, type Workload } from './workloads.ts';

export type Leg = {
  readonly id: string;
  /** Nothing to measure a cost of: the client asks the upstream itself. */
  readonly pid: number | undefined;
  readonly port: number;
  readonly headers: (workload: Workload) => Readonly<Record<string, string>>;
  /** The workload as this leg is asked for it. */
  readonly body: (workload: Workload) => string;
  stop(): Promise<void>;
};

export type LegContext = {
  readonly root: string;
  readonly cache: string;
  readonly run: string;
  readonly upstreamPort: number;
};
export type StartedLeg = Leg | { readonly id: string; readonly missing: string };

type Starter = (id: string, context: LegContext) => Promise<StartedLeg>;

export const legStarters: { readonly [id: string]: Starter } = {
  direct: (id, context) =>
    Promise.resolve({
      id,
      pid: undefined,
      port: context.upstreamPort,
      headers: noHeaders,
      body: asked,
      stop: () => Promise.resolve(),
    }),
  'node-dispatch': (id, context) => floor(id, context, 'dispatch-proxy.ts'),
  'node-request': (id, context) => floor(id, context, 'request-proxy.ts'),
  nginx: startNginx,
  haproxy: startHaproxy,
  manifold: startManifold,
  'manifold-unbilled': startUnbilled,
  portkey: startPortkey,
  litellm: startLitellm,
};

export const standardLegs = [
  'direct',
  'node-dispatch',
  'node-request',
  'nginx',
  'haproxy',
  'manifold',
  'manifold-unbilled',
  'portkey',
];

const asked = (workload: Workload): string => workload.body();
const noHeaders = (): Readonly<Record<string, string>> => ({});

function legOf(
  id: string,
  started: Started,
  port: number,
  rest: Partial<Pick<Leg, 'headers' | 'body'>> = {},
): Leg {
  return {
    id,
    pid: started.pid,
    port,
    headers: noHeaders,
    body: asked,
    stop: () => stop(started),
    ...rest,
  };
}

async function floor(id: string, { root, upstreamPort }: LegContext, file: string): Promise<Leg> {
  const started = startPinned(
    [process.execPath, path.join(root, 'test', 'bench', file), String(upstreamPort)],
    processors.subject,
  );
  return legOf(id, started, Number(await announced(started, /^(\d+)$/m)));
}

async function startFound(
  id: string,
  found: Found,
  words: readonly string[],
  port: number,
  rest: Partial<Pick<Leg, 'headers' | 'body'>> = {},
  environment: Readonly<Record<string, string>> = {},
): Promise<StartedLeg> {
  if ('missing' in found) return { id, missing: found.missing };
  const started = startPinned([...found.command, ...words], processors.subject, {
    ...found.environment,
    ...environment,
  });
  try {
    await listening(started, port);
  } catch (error) {
    await stop(started);
    return { id, missing: error instanceof Error ? error.message : String(error) };
  }
  return legOf(id, started, port, rest);
}

async function startNginx(
  id: string,
  { cache, run, upstreamPort }: LegContext,
): Promise<StartedLeg> {
  const port = await freePort();
  const folder = path.join(run, 'nginx');
  for (const name of ['body', 'proxy']) mkdirSync(path.join(folder, name), { recursive: true });
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log error; worker_rlimit_nofile 16384;
events { worker_connections 16000; }
http {
  access_log off; tcp_nodelay on; keepalive_requests 1000000; client_max_body_size 64m; client_body_buffer_size 8m;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  upstream vendor { server 127.0.0.1:${upstreamPort}; keepalive 4096; keepalive_requests 1000000; }
  server { listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://vendor; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 600s; } }
}
`,
  );
  return startFound(
    id,
    debianProgram('nginx', cache),
    ['-c', file, '-e', path.join(folder, 'error.log')],
    port,
  );
}

async function startHaproxy(
  id: string,
  { cache, run, upstreamPort }: LegContext,
): Promise<StartedLeg> {
  const port = await freePort();
  const file = path.join(run, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  option http-no-delay
  http-reuse always
frontend front
  bind 127.0.0.1:${port} backlog 4096
  default_backend vendor
backend vendor
  server one 127.0.0.1:${upstreamPort} pool-max-conn 4096
`,
  );
  return startFound(id, debianProgram('haproxy', cache), ['-db', '-q', '-f', file], port);
}

async function startPortkey(id: string, { cache, upstreamPort }: LegContext): Promise<StartedLeg> {
  const port = await freePort();
  const headers = (): Readonly<Record<string, string>> => ({
    authorization: 'Bearer sk-bench',
    'x-portkey-provider': 'openai',
    'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1`,
  });
  return startFound(
    id,
    portkey(cache),
    [`--port=${port}`, '--headless'],
    port,
    { headers },
    { TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' },
  );
}

async function startLitellm(
  id: string,
  { cache, run, upstreamPort }: LegContext,
): Promise<StartedLeg> {
  const port = await freePort();
  const file = path.join(run, 'litellm.json');
  const names = [...new Set(workloads.map(({ shape }) => modelName(shape)))];
  const models = names.map((name) => ({
    model_name: name,
    litellm_params: {
      model: `openai/${name}`,
      api_base: `http://127.0.0.1:${upstreamPort}/v1`,
      api_key: 'sk-bench',
    },
  }));
  writeFileSync(file, JSON.stringify({ model_list: models }));
  return startFound(
    id,
    litellm(cache),
    ['--config', file, '--port', String(port), '--host', '127.0.0.1', '--num_workers', '1'],
    port,
    {},
    { LITELLM_MODE: 'PRODUCTION', LITELLM_LOG: 'ERROR' },
  );
}

/** Public names of our legs: the upstream's name is another, so that it has to be put into the body. */
const publicName = (workload: Workload): string =>
  `${workload.upstream === 'anthropic' ? 'claude-' : ''}public-${modelName(workload.shape)}`;

function renamed(workload: Workload): string {
  return workload
    .body()
    .replace(`"model":"${modelName(workload.shape)}"`, `"model":"${publicName(workload)}"`);
}

/** A configuration with a channel for each dialect and a durable ledger in the run's folder. */
export function manifoldConfig(
  { run, upstreamPort }: Pick<LegContext, 'run' | 'upstreamPort'>,
  name: string,
): string {
  const offers = (dialect: Workload['upstream']) =>
    Object.fromEntries(
      workloads
        .filter(({ upstream }) => upstream === dialect)
        .map((workload) => [
          publicName(workload),
          {
            name: modelName(workload.shape),
            prices: { input: '0.15', output: '0.60' },
            output_tokens: 16_384,
          },
        ]),
    );
  const channel = (id: string, dialect: string, models: object): object => ({
    id,
    dialect,
    base_url: `http://127.0.0.1:${upstreamPort}/v1`,
    secret: 'sk-bench',
    allow_private: true,
    models,
  });
  const folder = path.join(run, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'manifold.yaml');
  const config = {
    listen: { port: 0 },
    data: path.join(folder, 'data'),
    log_level: 'error',
    simulator: false,
    channels: [
      channel('chat', 'openai-chat', offers('chat')),
      channel('anthropic', 'anthropic-messages', offers('anthropic')),
    ],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** Makes a key and money before the server runs; resolves with the key. */
export function openAccount(root: string, config: string): string {
  const command = (...words: string[]): string => {
    const done = spawnSync(
      process.execPath,
      [path.join(root, 'src', 'main.ts'), ...words, '--config', config],
      { encoding: 'utf8' },
    );
    if (done.status !== 0) throw new Error(`manifold ${words.join(' ')}: ${done.stderr}`);
    return done.stdout.trim();
  };
  const key = command('key', 'create', '--name', 'bench');
  command('ledger', 'topup', 'wallet_demo', '1000000', '--note', 'bench');
  return key;
}

async function startManifold(id: string, context: LegContext): Promise<Leg> {
  const config = manifoldConfig(context, id);
  const key = openAccount(context.root, config);
  const started = startPinned(
    [process.execPath, path.join(context.root, 'src', 'main.ts'), 'serve', '--config', config],
    processors.subject,
  );
  const port = Number(await announced(started, /listens on http:\/\/[^ ]*:(\d+)/));
  return legOf(id, started, port, {
    headers: () => ({ authorization: `Bearer ${key}` }),
    body: renamed,
  });
}

async function startUnbilled(id: string, context: LegContext): Promise<Leg> {
  const config = manifoldConfig(context, id);
  const key = openAccount(context.root, config);
  const started = startPinned(
    [process.execPath, path.join(context.root, 'test', 'bench', 'unbilled-process.ts'), config],
    processors.subject,
  );
  return legOf(id, started, Number(await announced(started, /^(\d+)$/m)), {
    headers: () => ({ authorization: `Bearer ${key}` }),
    body: renamed,
  });
}
