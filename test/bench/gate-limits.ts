/**
 * What `npm run bench -- --gates` allows. One small chat or one chunk of a stream on the billed
 * gateway with SQLite, one request at a time, so that nothing is shared between requests. A change that
 * makes it cheaper lowers the limit with it.
 */

export type Gate = { readonly id: string; readonly limit: number; readonly digits: number };

export const gates: readonly Gate[] = [
  { id: 'system calls a request', limit: 63, digits: 1 },
  { id: 'socket reads and writes a request', limit: 4.3, digits: 2 },
  { id: 'file writes a request', limit: 41, digits: 2 },
  { id: 'file flushes a request', limit: 2.2, digits: 2 },
  { id: 'KiB allocated a request', limit: 180, digits: 1 },
  { id: 'scavenges a thousand requests', limit: 14, digits: 1 },
  { id: 'system calls a chunk', limit: 3, digits: 2 },
  { id: 'KiB allocated a chunk', limit: 4.8, digits: 2 },
  { id: 'scavenges a thousand chunks', limit: 1, digits: 2 },
  { id: 'heap KiB an open stream', limit: 48, digits: 1 },
  { id: 'RSS KiB an open stream', limit: 130, digits: 1 },
];
