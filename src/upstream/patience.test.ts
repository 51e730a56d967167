import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { systemClock } from '#std';
import { UpstreamFailure } from './failure.ts';
import { createUpstream } from './transport.ts';

it('a call whose owner knows that it is lost ends within a second, others go on', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/answers') setTimeout(() => response.end('late but well'), 900);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const upstream = createUpstream({ clock: systemClock });
  const timeouts = { connectMs: 5_000, headersMs: 5_000, idleMs: 5_000, totalMs: 5_000 };
  const send = (path: string, isLost: () => boolean): ReturnType<typeof upstream.send> =>
    upstream.send({
      url: url + path,
      method: 'GET',
      headers: {},
      timeouts,
      allowPrivate: true,
      patience: { isLost },
    });
  try {
    const startedAtMs = performance.now();
    const well = send('/answers', () => false);
    await assert.rejects(
      send('/never', () => true),
      (error) => error instanceof UpstreamFailure && error.kind === 'lost' && error.sent,
    );
    const elapsedMs = performance.now() - startedAtMs;
    // No call is given up in its first half second, however impatient its owner is.
    assert.ok(elapsedMs >= 500 && elapsedMs < 1_000, `${elapsedMs}`);
    assert.equal((await well).status, 200);
  } finally {
    await upstream.close();
    server.closeAllConnections();
    server.close();
  }
});
