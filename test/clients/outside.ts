/** The outside world as the clients may see it: a proxy that refuses every address and remembers it. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Outside = {
  readonly url: string;
  readonly hosts: ReadonlySet<string>;
  close(): Promise<void>;
};

const hostsMax = 1_000;

export async function startOutside(): Promise<Outside> {
  const hosts = new Set<string>();
  const note = (target: string | undefined): void => {
    if (target !== undefined && hosts.size < hostsMax)
      hosts.add(target.replace(/^https?:\/\//, '').replace(/[/:].*$/, ''));
  };
  const server = createServer((request, response) => {
    note(request.url);
    response.writeHead(403).end();
  });
  server.on('connect', (request, socket) => {
    note(request.url);
    socket.on('error', () => undefined);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    hosts,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
