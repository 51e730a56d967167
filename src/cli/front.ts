/** The HTTP front of a process: what the configuration says of it, and what it carries. */

import { addressTest } from '#access';
import type { GatewayOptions, HttpFront } from '#gateway';
import type { Load } from '#workers';
import type { Config } from './config.ts';
import type { Runtime } from './runtime.ts';

/** Listener and bounds as the configuration has them. */
export function frontOptions({
  listen,
  limits,
}: Config): Pick<GatewayOptions, 'listener' | 'limits'> {
  return {
    listener: {
      host: listen.host,
      port: listen.port,
      cors: { origins: listen.cors_origins },
      isTrustedProxy: addressTest(listen.trusted_proxies),
      ...(listen.hosts === undefined ? {} : { allowedHosts: listen.hosts }),
    },
    limits: {
      bodyBytesMax: limits.body_bytes,
      heldBytesMax: limits.held_bytes,
      connectionsMax: limits.connections,
      connectionsPerAddressMax: limits.connections_per_address,
    },
  };
}

/** What this process carries. */
export function frontLoad(front: HttpFront, { services }: Runtime): Load {
  const { connections, heldBytes } = front.status();
  return {
    connections,
    heldBytes,
    streams: services.heartbeats.size,
    upstreamCalls: services.upstream.running,
  };
}
