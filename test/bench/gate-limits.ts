/**
 * What `npm run bench -- --gates` allows. One small chat or one chunk of a stream on the billed
 * gateway with SQLite, one request at a time, so that nothing is shared between requests. A change that
 * makes it cheaper lowers the limit with it.
 */

export const gateParts = ['request', 'chunk', 'stream'] as const;
export type GatePart = (typeof gateParts)[number];

export type Gate = {
  readonly part: GatePart;
  readonly id: string;
  readonly limit: number;
  readonly digits: number;
};

export const gates: readonly Gate[] = [
  { part: 'request', id: 'system calls a request', limit: 17, digits: 1 },
  { part: 'request', id: 'reads and writes a request', limit: 8, digits: 2 },
  { part: 'request', id: 'file writes a request', limit: 9, digits: 2 },
  { part: 'request', id: 'file flushes a request', limit: 0.3, digits: 2 },
  { part: 'request', id: 'KiB allocated a request', limit: 166, digits: 1 },
  // Wide: the less of the garbage survives, the smaller V8 keeps the space that it collects.
  { part: 'request', id: 'scavenges a thousand requests', limit: 14, digits: 1 },
  { part: 'chunk', id: 'system calls a chunk', limit: 3, digits: 2 },
  { part: 'chunk', id: 'KiB allocated a chunk', limit: 4.8, digits: 2 },
  { part: 'chunk', id: 'scavenges a thousand chunks', limit: 1, digits: 2 },
  { part: 'stream', id: 'heap KiB an open stream', limit: 48, digits: 1 },
  { part: 'stream', id: 'RSS KiB an open stream', limit: 130, digits: 1 },
];
