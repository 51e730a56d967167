/**
 * The parts of undici that a call needs. The package's own door also loads fetch, WebSocket, caches
 * and mocks, which nobody here uses and which would be a fifth of the time of a start.
 */

import { createRequire } from 'node:module';
import type undici from 'undici';

const load = createRequire(import.meta.url);

export const Agent = load('undici/lib/dispatcher/agent.js') as typeof undici.Agent;

export const buildConnector = load('undici/lib/core/connect.js') as typeof undici.buildConnector;

/** A proxy needs more of the package than a direct call; it is loaded with the first one. */
export function createProxyAgent(options: undici.ProxyAgent.Options): undici.ProxyAgent {
  const { ProxyAgent } = load('undici') as typeof undici;
  return new ProxyAgent(options);
}
