/** Bounds of the HTTP front. Every one has a default that suits a public address. */
export type HttpLimits = {
  /** Largest request body after decompression. */
  readonly bodyBytesMax: number;
  /** Body bytes held for all requests together, until each has been answered. */
  readonly heldBytesMax: number;
  /** Largest ratio of a decompressed body to its wire bytes, above 4 MiB of output. */
  readonly decompressionRatioMax: number;
  readonly headersMax: number;
  readonly headerBytesMax: number;
  /** Time for the request head to arrive. */
  readonly headersTimeoutMs: number;
  /** Time for the body: this much, and a second more for every `uploadBytesPerSecondMin`. */
  readonly uploadTimeoutMs: number;
  readonly uploadBytesPerSecondMin: number;
  readonly keepAliveTimeoutMs: number;
  readonly requestsPerConnectionMax: number;
  readonly connectionsMax: number;
  /** Open connections of one remote address; loopback addresses are exempt. */
  readonly connectionsPerAddressMax: number;
  /** Bytes waiting for one reader before the writer is told to pause. */
  readonly streamBufferBytesMax: number;
  /** A reader that takes nothing for this long is given up. */
  readonly stalledReaderTimeoutMs: number;
  /** How long a refused upload is read and thrown away, so that its sender sees the answer. */
  readonly lingerMs: number;
};

export const defaultHttpLimits: HttpLimits = {
  bodyBytesMax: 32 * 2 ** 20,
  heldBytesMax: 256 * 2 ** 20,
  decompressionRatioMax: 100,
  headersMax: 100,
  headerBytesMax: 16_384,
  headersTimeoutMs: 10_000,
  uploadTimeoutMs: 30_000,
  uploadBytesPerSecondMin: 16_384,
  keepAliveTimeoutMs: 72_000,
  requestsPerConnectionMax: 1_000,
  connectionsMax: 10_000,
  connectionsPerAddressMax: 2_000,
  streamBufferBytesMax: 262_144,
  stalledReaderTimeoutMs: 60_000,
  lingerMs: 2_000,
};

/** The largest body that an operator may allow. */
export const bodyBytesCeiling = 512 * 2 ** 20;

/** Browser access from other origins. Absent settings mean none. */
export type CorsSettings = {
  /** Allowed origins, as in `https://app.example`, or '*' for all. Never with cookies. */
  readonly origins: readonly string[] | '*';
  readonly maxAgeSeconds?: number;
};

/** Where the front listens. */
export type ListenerSettings = {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** When given, a request whose Host names anything else is refused (without the port). */
  readonly allowedHosts?: readonly string[];
  readonly cors?: CorsSettings;
  /** Addresses that connect for many clients: the limit of connections of one address is not for them. */
  readonly isTrustedProxy?: (address: string) => boolean;
  /**
   * A Unix socket or named pipe instead of host and port, for processes of our own: they pass on
   * requests of others, one a connection, and say in the header `peerAddressHeader` whose.
   */
  readonly path?: string;
};

/** Names the client of a request that comes over {@link ListenerSettings.path}. */
export const peerAddressHeader = 'manifold-peer-address';

/** Completes and checks limits. Throws RangeError naming the setting at fault. */
export function resolveHttpLimits(given: Partial<HttpLimits> = {}): HttpLimits {
  const limits = { ...defaultHttpLimits, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value <= 0)
      throw new RangeError(`${name} must be a positive integer`);
  }
  if (limits.bodyBytesMax > bodyBytesCeiling) {
    throw new RangeError(`bodyBytesMax must not exceed ${bodyBytesCeiling}`);
  }
  if (limits.heldBytesMax < limits.bodyBytesMax) {
    throw new RangeError('heldBytesMax must not be below bodyBytesMax');
  }
  return limits;
}
