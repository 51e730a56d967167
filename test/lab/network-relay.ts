/**
 * The least that a gateway near the application can cost: `network-relay.ts HOST PORT UPSTREAM`. Bytes go on to
 * a vendor behind TLS over kept connections; nothing is read, checked or charged. Prints `ready`.
 */

import { createServer } from 'node:http';
import { Agent } from 'undici';

const [host = '', port = '', upstream = ''] = process.argv.slice(2);
const agent = new Agent({ connections: 1_024, pipelining: 1, keepAliveTimeout: 60_000 });

const server = createServer({ noDelay: true, keepAliveTimeout: 60_000 }, (request, response) => {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    agent
      .request({
        origin: upstream,
        path: request.url ?? '/',
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer x' },
        body: Buffer.concat(pieces),
      })
      .then((answer) => {
        response.writeHead(answer.statusCode, {
          'content-type': String(answer.headers['content-type']),
        });
        answer.body.pipe(response);
      })
      .catch(() => response.destroy());
  });
});
server.listen(Number(port), host, () => console.log('ready'));
