/**
 * The floor: the least that a Node proxy can do with the parts we use ourselves, `node:http` in front
 * and undici's `dispatch` behind. No key, no parsing, no bill. Prints its port on the first line.
 *
 *   node test/bench/dispatch-proxy.ts UPSTREAM_PORT
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, type Dispatcher } from 'undici';

const upstream = `http://127.0.0.1:${process.argv[2]}`;
const agent = new Agent({
  connections: 4_096,
  pipelining: 1,
  keepAliveTimeout: 60_000,
  bodyTimeout: 0,
});

class Relay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: { readonly [name: string]: string | string[] | undefined },
  ): void {
    const flat: string[] = [];
    for (const name in headers) {
      if (name !== 'connection' && name !== 'keep-alive' && name !== 'transfer-encoding') {
        flat.push(name, String(headers[name]));
      }
    }
    this.#response.writeHead(status, flat);
    if (headers['content-length'] === undefined) this.#response.flushHeaders();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#response.write(chunk)) return;
    controller.pause();
    this.#response.once('drain', () => controller.resume());
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    this.#response.destroy();
  }
}

const server = createServer(
  { noDelay: true, requestTimeout: 0 },
  (request: IncomingMessage, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = pieces.length === 1 ? (pieces[0] ?? null) : Buffer.concat(pieces);
      const headers = [
        'content-type',
        'application/json',
        'authorization',
        request.headers.authorization ?? '',
      ];
      agent.dispatch(
        { origin: upstream, path: request.url ?? '/', method: 'POST', headers, body },
        new Relay(response),
      );
    });
  },
);
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
