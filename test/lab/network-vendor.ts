/** A vendor behind TLS that answers with a short stream: `network-vendor.ts HOST PORT THINK_MS KEY CERTIFICATE`. */

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [host = '', port = '', thinkMs = '', key = '', certificate = ''] = process.argv.slice(2);
const chunkCount = 10;

function chunk(fields: object): string {
  return `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', ...fields })}\n\n`;
}

const server = createServer(
  { key: readFileSync(key), cert: readFileSync(certificate), keepAliveTimeout: 60_000 },
  (request, response) => {
    request.resume();
    request.on('end', () => {
      setTimeout(() => {
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
      }, Number(thinkMs));
    });
  },
);
server.on('secureConnection', (socket) => socket.setNoDelay(true));
server.listen(Number(port), host, () => console.log('ready'));
