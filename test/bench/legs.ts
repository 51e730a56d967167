/** The programs between client and upstream that are compared. */

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startManifold, startOnPostgres, startUnbilled } from './gateway-legs.ts';
import { passingLeg, startFound, type Leg, type LegContext, type Starter } from './leg.ts';
import { debianProgram, litellm, portkey } from './peers.ts';
import { announced, freePort, processors, startPinned } from './programs.ts';
import { modelOf, workloads } from './workloads.ts';

export const legStarters: { readonly [id: string]: Starter } = {
  direct: (id, { upstreamPort }) =>
    Promise.resolve(passingLeg({ id, started: undefined, port: upstreamPort, warmsUp: false })),
  'tcp-pipe': (id, context) => startFloor(id, context, 'pipe-proxy.ts'),
  'node-dispatch': (id, context) => startFloor(id, context, 'dispatch-proxy.ts'),
  'node-request': (id, context) => startFloor(id, context, 'request-proxy.ts'),
  nginx: startNginx,
  haproxy: startHaproxy,
  manifold: startManifold,
  'manifold-unbilled': startUnbilled,
  'manifold-postgres': startOnPostgres,
  portkey: startPortkey,
  litellm: startLitellm,
};

export const standardLegs = [
  'direct',
  'tcp-pipe',
  'node-dispatch',
  'node-request',
  'nginx',
  'haproxy',
  'manifold',
  'manifold-unbilled',
  'portkey',
];

async function startFloor(
  id: string,
  { root, upstreamPort }: LegContext,
  file: string,
): Promise<Leg> {
  const started = startPinned(
    [process.execPath, path.join(root, 'test', 'bench', file), String(upstreamPort)],
    processors.subject,
  );
  return passingLeg({ id, started, port: Number(await announced(started, /^(\d+)$/m)) });
}

async function startNginx(
  id: string,
  { cache, run, upstreamPort }: LegContext,
): ReturnType<Starter> {
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
  const words = ['-c', file, '-e', path.join(folder, 'error.log')];
  return startFound(debianProgram('nginx', cache), words, { id, port, warmsUp: false });
}

async function startHaproxy(
  id: string,
  { cache, run, upstreamPort }: LegContext,
): ReturnType<Starter> {
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
  const words = ['-db', '-q', '-f', file];
  return startFound(debianProgram('haproxy', cache), words, { id, port, warmsUp: false });
}

async function startPortkey(id: string, { cache, upstreamPort }: LegContext): ReturnType<Starter> {
  const port = await freePort();
  const headers = {
    authorization: 'Bearer sk-bench',
    'x-portkey-provider': 'openai',
    'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1`,
  };
  const environment = { TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' };
  const words = [`--port=${port}`, '--headless'];
  return startFound(portkey(cache), words, { id, port, headers, environment });
}

async function startLitellm(
  id: string,
  { cache, run, upstreamPort }: LegContext,
): ReturnType<Starter> {
  const port = await freePort();
  const file = path.join(run, 'litellm.json');
  const models = [...new Set(workloads.map(modelOf))].map((name) => ({
    model_name: name,
    litellm_params: {
      model: `openai/${name}`,
      api_base: `http://127.0.0.1:${upstreamPort}/v1`,
      api_key: 'sk-bench',
    },
  }));
  // It does not start without a key; a master key is compared, no database is asked.
  const key = `sk-${randomBytes(32).toString('hex')}`;
  const config = { model_list: models, general_settings: { master_key: key } };
  writeFileSync(file, JSON.stringify(config));
  const headers = { authorization: `Bearer ${key}` };
  const environment = {
    LITELLM_MODE: 'PRODUCTION',
    LITELLM_LOG: 'ERROR',
    // It takes a hundred equal chunks for a model that has gone astray.
    REPEATED_STREAMING_CHUNK_LIMIT: '1000000',
  };
  const words = ['--config', file, '--port', String(port), '--host', '127.0.0.1'];
  words.push('--num_workers', '1');
  const startMs = 300_000;
  return startFound(litellm(cache), words, { id, port, headers, environment, startMs });
}
