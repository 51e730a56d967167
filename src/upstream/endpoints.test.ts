import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { Endpoints } from './endpoints.ts';
import { createUpstream, type Upstream } from './transport.ts';

function at(nowMs: () => number): Endpoints {
  return new Endpoints({ now: nowMs, monotonic: nowMs });
}

const near = 'https://near.example/v1';
const far = 'https://far.example/v1';
const nearOrigin = 'https://near.example';
const farOrigin = 'https://far.example';

describe('the choice among endpoints', () => {
  it('takes the first while nothing is known, and then the one that connects faster', () => {
    const endpoints = at(() => 0);
    assert.equal(endpoints.fastest([far, near]), far);
    endpoints.connected(farOrigin, 300);
    endpoints.connected(nearOrigin, 20);
    assert.equal(endpoints.fastest([far, near]), near);
  });

  it('leaves an endpoint whose answers have become slow, and gives it another chance later, among many requests', () => {
    let nowMs = 0;
    const endpoints = at(() => nowMs);
    endpoints.connected(nearOrigin, 20);
    endpoints.connected(farOrigin, 100);
    endpoints.answered(nearOrigin, 200);
    endpoints.answered(farOrigin, 300);
    assert.equal(endpoints.fastest([near, far]), near);
    for (let count = 0; count < 8; count += 1) endpoints.answered(nearOrigin, 3_000);
    assert.equal(endpoints.fastest([near, far]), far);
    nowMs = 20_000;
    endpoints.answered(farOrigin, 300);
    assert.equal(endpoints.fastest([near, far]), far);
    for (let count = 0; count < 60; count += 1) endpoints.fastest([near, far]);
    endpoints.answered(nearOrigin, 200);
    for (let count = 0; count < 8; count += 1) endpoints.answered(nearOrigin, 200);
    assert.equal(endpoints.fastest([near, far]), near);
  });

  it('is not misled by one lost packet', () => {
    const endpoints = at(() => 0);
    for (const origin of [nearOrigin, farOrigin]) endpoints.connected(origin, 200);
    endpoints.answered(nearOrigin, 250);
    endpoints.answered(farOrigin, 850);
    assert.equal(endpoints.fastest([near, far]), near);
    endpoints.answered(nearOrigin, 3_000);
    assert.equal(endpoints.fastest([near, far]), near);
  });

  it('leaves a dead endpoint at once, and returns after a connection succeeded', () => {
    const endpoints = at(() => 0);
    endpoints.connected(nearOrigin, 20);
    endpoints.connected(farOrigin, 300);
    endpoints.failed(nearOrigin);
    assert.equal(endpoints.fastest([near, far]), far);
    endpoints.connected(nearOrigin, 20);
    assert.equal(endpoints.fastest([near, far]), near);
  });

  it('does not leave kept connections for a small advantage', () => {
    const endpoints = at(() => 0);
    endpoints.connected(nearOrigin, 100);
    endpoints.connected(farOrigin, 104);
    assert.equal(endpoints.fastest([near, far]), near);
    for (let count = 0; count < 20; count += 1) endpoints.connected(farOrigin, 97);
    assert.equal(endpoints.fastest([near, far]), near);
  });

  it('takes what there is when all are dead', () => {
    const endpoints = at(() => 0);
    endpoints.failed(nearOrigin);
    endpoints.failed(farOrigin);
    assert.equal(endpoints.fastest([near, far]), near);
  });
});

describe('a connection in reserve', () => {
  async function withServer(
    work: (parts: {
      upstream: Upstream;
      url: string;
      connections: () => number;
      server: Server;
      forward: (ms: number) => void;
    }) => Promise<void>,
  ): Promise<void> {
    let connections = 0;
    const server = createServer((_, response) => response.end('ok'));
    server.on('connection', () => (connections += 1));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    let shiftMs = 0;
    const monotonic = (): number => performance.now() + shiftMs;
    const upstream = createUpstream({ clock: { now: () => 0, monotonic } });
    const forward = (ms: number): void => void (shiftMs += ms);
    try {
      await work({ upstream, url, connections: () => connections, server, forward });
    } finally {
      await upstream.close();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    }
  }

  async function until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (!condition() && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(condition());
  }

  const ask = async (upstream: Upstream, url: string): Promise<string> =>
    (await upstream.fetchText({ url, method: 'GET', headers: {} }, { allowPrivate: true })).body;

  it('is opened before any request, used by the first, and followed by another', async () => {
    await withServer(async ({ upstream, url, connections }) => {
      upstream.keepWarm([{ url, allowPrivate: true }]);
      await until(() => connections() === 1);
      assert.equal(await ask(upstream, url), 'ok');
      await until(() => connections() === 2);
      await new Promise((resolve) => setImmediate(resolve));
      // The pool keeps its own for the next request; no third is made.
      assert.equal(await ask(upstream, url), 'ok');
      assert.equal(connections(), 2);
    });
  });

  it('is replaced when the server has closed it', async () => {
    await withServer(async ({ upstream, url, connections, server, forward }) => {
      upstream.keepWarm([{ url, allowPrivate: true }]);
      await until(() => connections() === 1);
      server.closeAllConnections();
      // Long enough to be noticed here; if it is not, the next attempt is a second later.
      await new Promise((resolve) => setTimeout(resolve, 30));
      forward(1_000);
      await until(() => connections() === 2);
      assert.equal(await ask(upstream, url), 'ok');
    });
  });

  it('is closed when the address is not used any more', async () => {
    await withServer(async ({ upstream, url, connections, server }) => {
      upstream.keepWarm([{ url, allowPrivate: true }]);
      await until(() => connections() === 1);
      upstream.keepWarm([]);
      const open = (): Promise<number> =>
        new Promise((done) => server.getConnections((_, count) => done(count)));
      for (let turn = 0; turn < 2_000 && (await open()) > 0; turn += 1)
        await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(await open(), 0);
    });
  });

  it('tells that an endpoint is dead before anybody has asked it', async () => {
    await withServer(async ({ upstream, url }) => {
      const dead = 'http://127.0.0.1:1';
      upstream.keepWarm([
        { url: dead, allowPrivate: true },
        { url, allowPrivate: true },
      ]);
      await until(() => upstream.fastest([dead, url]) === url);
    });
  });
});
