/**
 * A vendor behind TLS that answers with a short stream: `network-vendor.ts HOST PORT THINK_MS KEY CERTIFICATE [h2]`.
 * With `h2` it speaks HTTP/2 as well.
 */

import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:https';
import type { Readable } from 'node:stream';

const [host = '', port = '', thinkMs = '', key = '', certificate = '', mode] =
  process.argv.slice(2);
const chunkCount = 10;

function chunk(fields: object): string {
  return `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', ...fields })}\n\n`;
}

function answer(response: Pick<ServerResponse, 'writeHead' | 'write' | 'end' | 'on'>): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let index = 0;
  const timer = setInterval(() => {
    index += 1;
    if (index <= chunkCount)
      return void response.write(
        chunk({
          choices: [{ index: 0, delta: { content: `word ${index} ` }, finish_reason: null }],
        }),
      );
    clearInterval(timer);
    response.write(chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }));
    response.write(
      chunk({
        choices: [],
        usage: { prompt_tokens: 5, completion_tokens: 20, total_tokens: 25 },
      }),
    );
    response.end('data: [DONE]\n\n');
  }, 10);
  response.on('close', () => clearInterval(timer));
}

function serve(request: Readable, response: Parameters<typeof answer>[0]): void {
  request.resume();
  request.on('end', () => setTimeout(() => answer(response), Number(thinkMs)));
}

const secrets = { key: readFileSync(key), cert: readFileSync(certificate) };
const server =
  mode === 'h2'
    ? createSecureServer({ ...secrets, allowHTTP1: true }, (request, response) =>
        serve(request, response as unknown as Parameters<typeof answer>[0]),
      )
    : createServer({ ...secrets, keepAliveTimeout: 60_000 }, serve);
server.on('secureConnection', (socket) => socket.setNoDelay(true));
server.listen(Number(port), host, () => console.log('ready'));
