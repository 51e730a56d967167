/**
 * The parts of undici that a call needs, each loaded with the first call that goes by it: direct calls
 * over HTTP/1.1 need none. The package's own door also loads fetch, WebSocket, caches and mocks, which
 * nobody here uses.
 */

import { createRequire } from 'node:module';
import type undici from 'undici';

const load = createRequire(import.meta.url);

export function createAgent(options: undici.Agent.Options): undici.Agent {
  const Agent = load('undici/lib/dispatcher/agent.js') as typeof undici.Agent;
  return new Agent(options);
}

export function createConnector(
  options: undici.buildConnector.BuildOptions,
): undici.buildConnector.connector {
  const build = load('undici/lib/core/connect.js') as typeof undici.buildConnector;
  return build(options);
}

/**
 * A proxy needs more of the package than a direct call. It has `tunnelMs` to open a way to the endpoint: undici would
 * wait for ever, and keep the connection, the place and the body of a call that has long been given up.
 */
export function createProxyAgent(
  options: undici.ProxyAgent.Options,
  tunnelMs: number,
): undici.ProxyAgent {
  const { Pool, ProxyAgent } = load('undici') as typeof undici;
  const clientFactory = (origin: URL, settings: object): undici.Pool =>
    new Pool(origin, { ...settings, headersTimeout: tunnelMs });
  return new ProxyAgent({ ...options, clientFactory });
}
