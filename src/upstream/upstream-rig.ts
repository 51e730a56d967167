/** Servers that say what a test wants, and clients for them: what the tests of this module share. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import {
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net';
import type { TestContext } from 'node:test';
import { systemClock, type Clock } from '#std';
import type { PoolSettings } from './agents.ts';
import { createUpstream, UpstreamFailure, type Upstream, type UpstreamRequest } from './index.ts';

export const timeouts = { connectMs: 5_000, headersMs: 5_000, idleMs: 5_000, totalMs: 20_000 };

export async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export function http(t: TestContext, handle: RequestListener): Promise<number> {
  return listen(t, createServer(handle));
}

/** A server that says one thing to whoever connects, whatever is asked. */
export function raw(
  t: TestContext,
  speak: (socket: Socket, asked: number) => void,
): Promise<number> {
  return listen(
    t,
    createTcpServer((socket) => {
      let asked = 0;
      socket.on('data', () => speak(socket, (asked += 1)));
    }),
  );
}

/** An answer that says `body`. */
export const says = (body: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`;

export function client(
  t: TestContext,
  settings: { clock?: Clock; pools?: Partial<PoolSettings> } = {},
): Upstream {
  const { clock = systemClock, pools = {} } = settings;
  const upstream = createUpstream({ clock, pools });
  t.after(() => upstream.close());
  return upstream;
}

export function to(port: number, more: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    url: `http://127.0.0.1:${port}/v1/chat?a=b`,
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer secret' },
    body: Buffer.from('{}'),
    timeouts,
    allowPrivate: true,
    ...more,
  };
}

export async function text(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

export function failsWith(
  kind: UpstreamFailure['kind'],
  sent?: boolean,
): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UpstreamFailure, String(error));
    assert.equal(error.kind, kind, error.message);
    if (sent !== undefined) assert.equal(error.sent, sent);
    assert.ok(!error.message.includes('secret'));
    return true;
  };
}

export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition() && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(condition(), 'the condition was never met');
}

/** Self-signed for localhost and 127.0.0.1; it guards nothing. */
export const certificate = `-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUaWwUKr4YSeaf93l6PfStkociyOwwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzIzNTEzNVoYDzIxMjYxMTAz
MjM1MTM1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQjmbwUySloOUNrc66qbrpt66+/FiLsSvPtaTgEE17TRsQEL7xNcgQQ
yCVWjnwHs1pDpndSNDJg2ukcUXuKc10qo28wbTAdBgNVHQ4EFgQUoAdPftWVR0rG
rLTjaFcl0fQWs8UwHwYDVR0jBBgwFoAUoAdPftWVR0rGrLTjaFcl0fQWs8UwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgcW4EhsILD1sK0aR6tWW8WP9qDtRY0Oq4fJCqcdrAZC4CIC1u
nfzpKk6JTa7UrvLZ0wF8MLRwjv1VTTooD2lwNQO/
-----END CERTIFICATE-----
`;

export const certificateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDP7+msdA5x53Yy7Y
7PWXUBivEJdYU5H8XdmhpRU7eG+hRANCAAQjmbwUySloOUNrc66qbrpt66+/FiLs
SvPtaTgEE17TRsQEL7xNcgQQyCVWjnwHs1pDpndSNDJg2ukcUXuKc10q
-----END PRIVATE KEY-----
`;
