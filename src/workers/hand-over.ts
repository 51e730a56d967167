/**
 * Requests that a worker passes on to the owner: the control plane, the metrics, and what may be
 * repeated while it runs. Bytes go through as they are, in both directions, at the pace of the reader.
 */

import type { ClientRequest, IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { peerAddressHeader } from '#gateway';

const { request: ask } = process.getBuiltinModule('node:http');

/** Fields that are about one connection (RFC 9110, 7.6.1), and the one that is ours to say. */
const ownFields: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
  peerAddressHeader,
]);

export function createHandOver(path: string): RequestListener {
  return (request, response) => {
    const { method = 'GET', url = '/', rawHeaders, headers, socket } = request;
    const fields = [...withoutOwnFields(rawHeaders), peerAddressHeader, socket.remoteAddress ?? ''];
    // HTTP/1.0 may leave it out.
    if (headers.host === undefined) fields.push('host', 'localhost');
    let onward: ClientRequest;
    try {
      onward = ask({
        socketPath: path,
        method,
        path: url,
        agent: false,
        headers: [...fields, 'connection', 'close'],
      });
    } catch {
      // Node writes fewer heads than it reads.
      response.writeHead(400, { connection: 'close' }).end();
      return;
    }
    response.once('close', () => onward.destroy());
    onward.on('response', (answer) => passBack(answer, response));
    onward.on('error', () => fail(response));
    // Not before: what is written to a socket that still connects leaves in several writes, and the last of them,
    // which is empty, may find that the owner has answered and closed. Its failure took the answer along.
    onward.once('socket', (socket) => {
      socket.once('connect', () => pipeline(request, onward, () => {}));
    });
  };
}

function passBack(answer: IncomingMessage, response: ServerResponse): void {
  // Its framing is this connection's own affair, and another one for a client of HTTP/1.0.
  const fields = withoutOwnFields(answer.rawHeaders, 'transfer-encoding');
  response.writeHead(answer.statusCode ?? 502, [...fields]);
  response.flushHeaders();
  pipeline(answer, response, (error) => {
    if (error) response.destroy();
  });
}

/** The owner is gone, and this process will follow it. */
function fail(response: ServerResponse): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(503, { 'retry-after': '1', connection: 'close' }).end();
}

function withoutOwnFields(raw: readonly string[], alsoNot?: string): readonly string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? '';
    const known = name.toLowerCase();
    if (!ownFields.has(known) && known !== alsoNot) kept.push(name, raw[index + 1] ?? '');
  }
  return kept;
}
