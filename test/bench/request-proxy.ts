/**
 * What most people would write: `node:http` on both sides, joined by pipes.
 *
 *   node test/bench/request-proxy.ts UPSTREAM_PORT
 */

import { Agent, createServer, request as ask } from 'node:http';
import type { AddressInfo } from 'node:net';

const port = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: 4_096 });
const server = createServer({ noDelay: true, requestTimeout: 0 }, (request, response) => {
  const headers = { ...request.headers, connection: 'keep-alive' };
  const outgoing = ask(
    { host: '127.0.0.1', port, path: request.url, method: request.method, headers, agent },
    (incoming) => {
      response.writeHead(incoming.statusCode ?? 502, incoming.headers);
      incoming.pipe(response);
    },
  );
  outgoing.setNoDelay(true);
  outgoing.on('error', () => response.destroy());
  request.pipe(outgoing);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
