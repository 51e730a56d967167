/**
 * Requests that a worker passes on to the owner: the control plane, the metrics, and what may be
 * repeated while it runs. Bytes go through as they are, in both directions, at the pace of the reader.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { peerAddressHeader } from '#gateway';

const { request: ask } = process.getBuiltinModule('node:http');

/** Fields that are about one connection (RFC 9110, 7.6.1), and the one that is ours to say. */
const ownFields: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'expect',
  peerAddressHeader,
]);

export function createHandOver(path: string): RequestListener {
  return (request, response) => {
    const { method = 'GET', url = '/', rawHeaders, socket } = request;
    const onward = ask({
      socketPath: path,
      method,
      path: url,
      agent: false,
      headers: [
        ...withoutOwnFields(rawHeaders),
        peerAddressHeader,
        socket.remoteAddress ?? '',
        'connection',
        'close',
      ],
    });
    response.once('close', () => onward.destroy());
    onward.on('response', (answer) => passBack(answer, response));
    onward.on('error', () => fail(response));
    pipeline(request, onward, () => {});
  };
}

function passBack(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, [...withoutOwnFields(answer.rawHeaders)]);
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

function withoutOwnFields(raw: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? '';
    if (!ownFields.has(name.toLowerCase())) kept.push(name, raw[index + 1] ?? '');
  }
  return kept;
}
