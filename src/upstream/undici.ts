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

/** A proxy needs more of the package than a direct call. */
export function createProxyAgent(options: undici.ProxyAgent.Options): undici.ProxyAgent {
  const { ProxyAgent } = load('undici') as typeof undici;
  return new ProxyAgent(options);
}
