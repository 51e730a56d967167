import type { OutboundCall } from './call.ts';

/** Where a request goes: the parts of a checked URL. */
export type Target = {
  /** Scheme, host and port, as the pools name them. */
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
  /** Host and port as the request names them. */
  readonly host: string;
};

/** A request as it is put on the wire. */
export type WireRequest = {
  readonly target: Target;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Emptied once it was written: nothing is sent twice, and an answer may take minutes. */
  body: readonly Uint8Array[];
  /** The connection ends behind the answer. */
  readonly closesConnection: boolean;
};

/** A way to carry calls to upstreams: connections of our own, or undici. */
export type Way = {
  /** Takes the call in hand; how it goes is told to the call. Throws on a head that cannot be sent. */
  send(request: WireRequest, call: OutboundCall): void;
  /** Closes all connections. The calls have ended before. */
  close(): Promise<void>;
};
