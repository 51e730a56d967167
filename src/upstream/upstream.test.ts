import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTcpServer, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Dispatcher } from 'undici';
import { GatewayFailure } from '#canonical';
import type { Clock } from '#std';
import { OutboundCall } from './call.ts';
import { DispatcherWay } from './dispatch.ts';
import { createEgress, createUpstream, UpstreamFailure } from './index.ts';
import { client, failsWith, http, listen, raw, text, timeouts, to, until } from './upstream-rig.ts';

const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');

test('a request arrives as given and its answer comes back in pieces', async (t) => {
  const seen: { request: IncomingMessage; body: string }[] = [];
  const port = await http(t, (request, response) => {
    void text(request).then((body) => {
      seen.push({ request, body });
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'x-ratelimit-remaining': '7',
        'x-secret': 'no',
      });
      response.write('data: 1\n\n');
      response.end('data: 2\n\n');
    });
  });
  const upstream = client(t);
  const headers = {
    authorization: 'Bearer secret',
    'Transfer-Encoding': 'chunked',
    host: 'evil.example',
    te: 'x',
  };
  const answer = await upstream.send(
    to(port, { headers, body: [Buffer.from('{"a"'), Buffer.from(':1}')] }),
  );
  assert.equal(answer.status, 200);
  assert.equal(answer.header('x-secret'), 'no');
  assert.equal(answer.header('__proto__'), undefined);
  assert.deepEqual(answer.headers, {
    'content-type': 'text/event-stream',
    'x-ratelimit-remaining': '7',
  });
  assert.equal(await text(answer.body), 'data: 1\n\ndata: 2\n\n');
  await answer.closed;
  assert.equal(upstream.running, 0);
  const [{ request, body }] = seen as [{ request: IncomingMessage; body: string }];
  assert.equal(body, '{"a":1}');
  assert.equal(request.url, '/v1/chat?a=b');
  assert.deepEqual(
    Object.fromEntries(Object.entries(request.headers).filter(([name]) => name !== 'connection')),
    {
      authorization: 'Bearer secret',
      host: `127.0.0.1:${port}`,
      'content-length': '7',
      'accept-encoding': 'identity',
    },
  );
  await assert.rejects(
    upstream.send(to(port, { headers: { a: 'b\r\nc: d' } })),
    failsWith('connect', false),
  );
});

test('calls share their connections, one at a time', async (t) => {
  let connections = 0;
  const server = createServer((_request, response) => response.end('ok'));
  server.on('connection', () => (connections += 1));
  const port = await listen(t, server);
  const upstream = client(t);
  for (let call = 0; call < 5; call++)
    assert.equal(await text((await upstream.send(to(port))).body), 'ok');
  // The pool marks a connection free a moment after its answer is complete.
  assert.ok(connections <= 3, `${connections} connections for five calls one after the other`);
  connections = 0;
  const both = await Promise.all([upstream.send(to(port)), upstream.send(to(port))]);
  assert.deepEqual(await Promise.all(both.map(({ body }) => text(body))), ['ok', 'ok']);
  assert.ok(connections <= 1, `${connections} more connections for two calls at once`);
});

test('every way of failing has its kind, and says whether anything was sent', async (t) => {
  const upstream = client(t);
  const closed = createTcpServer();
  const closedPort = await listen(t, closed);
  closed.close();
  const cutHead = await raw(t, (socket) => socket.destroy());
  const cutBody = await raw(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n');
    setTimeout(() => socket.destroy(), 20);
  });
  const garbage = await raw(t, (socket) => socket.write('SSH-2.0-OpenSSH\r\n\r\n'));
  const upgrade = await raw(t, (socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
  });
  const flood = await http(t, (_request, response) => response.end(Buffer.alloc(200_000)));
  const bomb = await http(t, (_request, response) => {
    response.setHeader('content-encoding', 'gzip');
    response.end(gzipSync(Buffer.alloc(64 * 2 ** 20)));
  });
  await assert.rejects(upstream.send(to(closedPort)), failsWith('connect', false));
  await assert.rejects(upstream.send(to(cutHead)), failsWith('reset', true));
  await assert.rejects(upstream.send(to(garbage)), failsWith('protocol', true));
  await assert.rejects(upstream.send(to(upgrade)), failsWith('protocol', true));
  await assert.rejects(
    upstream.send(to(garbage, { url: `https://127.0.0.1:${garbage}/` })),
    failsWith('tls', false),
  );
  await assert.rejects(
    upstream.send(to(1, { url: 'https://10.0.0.1/', allowPrivate: false })),
    failsWith('forbidden', false),
  );
  await assert.rejects(
    upstream.send(to(1, { url: 'http://nowhere.invalid/' })),
    failsWith('dns', false),
  );
  const partial = await upstream.send(to(cutBody));
  await assert.rejects(text(partial.body), failsWith('reset', true));
  await assert.rejects(
    text((await upstream.send(to(flood, { responseBytesMax: 100_000 }))).body),
    failsWith('too-large'),
  );
  await assert.rejects(text((await upstream.send(to(bomb))).body), failsWith('too-large'));
  assert.equal(upstream.running, 0);
});

test('each limit of time is kept, on an injected clock', async (t) => {
  let shift = 0;
  const clock: Clock = { now: () => 0, monotonic: () => performance.now() + shift };
  const resolve = (): Promise<never> => new Promise(() => undefined);
  const stuck = createUpstream({ clock, resolve });
  t.after(() => stuck.close());
  const connecting = stuck.send(to(1, { url: 'http://slow.example/' }));
  shift += 6_000;
  await assert.rejects(connecting, failsWith('timeout-connect', false));
  let asked = 0;
  const silent = await http(t, (request, response) => {
    asked += 1;
    if (request.url === '/body') response.write('begun');
  });
  const upstream = client(t, { clock });
  const waiting = upstream.send(to(silent));
  await until(() => asked === 1);
  await new Promise((done) => setTimeout(done, 120));
  shift += 6_000;
  await assert.rejects(waiting, failsWith('timeout-headers', true));
  const open = await upstream.send(to(silent, { url: `http://127.0.0.1:${silent}/body` }));
  const reader = open.body[Symbol.asyncIterator]();
  assert.equal(Buffer.from((await reader.next()).value ?? []).toString(), 'begun');
  const idle = reader.next();
  await new Promise((done) => setTimeout(done, 120));
  shift += 6_000;
  await assert.rejects(Promise.resolve(idle), failsWith('timeout-idle', true));
  const whole = await upstream.send(
    to(silent, {
      url: `http://127.0.0.1:${silent}/body`,
      timeouts: { ...timeouts, idleMs: 100_000 },
    }),
  );
  shift += 21_000;
  await assert.rejects(text(whole.body), failsWith('timeout-total', true));
});

test('a reader that waits slows the sender, and is not taken for an idle upstream', async (t) => {
  let shift = 0;
  const clock: Clock = { now: () => 0, monotonic: () => performance.now() + shift };
  let accepted = 0;
  const total = 50 * 2 ** 20;
  const port = await http(t, (_request, response) => {
    const piece = Buffer.alloc(65_536);
    const send = (): void => {
      while (accepted < total) {
        accepted += piece.length;
        if (!response.write(piece)) return;
      }
      response.end();
    };
    response.on('drain', send);
    send();
  });
  const upstream = client(t, { clock });
  const answer = await upstream.send(to(port, { timeouts: { ...timeouts, totalMs: 1_000_000 } }));
  let before = -1;
  while (before !== accepted) {
    before = accepted;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  assert.ok(accepted < 12 * 2 ** 20, `${accepted} bytes were taken in for a reader that waits`);
  shift += 60_000;
  await new Promise((resolve) => setTimeout(resolve, 150));
  let read = 0;
  for await (const piece of answer.body) read += piece.length;
  assert.equal(read, total);
});

test('an abort before the connection sends nothing; later ones cut it within 100 ms', async (t) => {
  let asked = 0;
  let gone: Promise<unknown> | undefined;
  const port = await http(t, (request, response) => {
    asked += 1;
    gone = once(request.socket, 'close');
    if (request.url === '/body') response.write('begun');
  });
  const upstream = client(t);
  await assert.rejects(
    upstream.send(to(port, { signal: AbortSignal.abort() })),
    failsWith('aborted', false),
  );
  const early = new AbortController();
  const never = upstream.send(to(port, { signal: early.signal }));
  early.abort();
  await assert.rejects(never, failsWith('aborted', false));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(asked, 0);
  const late = new AbortController();
  const waiting = upstream.send(to(port, { signal: late.signal }));
  await until(() => asked === 1);
  const started = performance.now();
  late.abort();
  await assert.rejects(waiting, failsWith('aborted', true));
  await gone;
  assert.ok(performance.now() - started < 100);
  const kept = new AbortController();
  const answer = await upstream.send(
    to(port, { url: `http://127.0.0.1:${port}/body`, signal: kept.signal }),
  );
  kept.abort();
  const reader = answer.body[Symbol.asyncIterator]();
  assert.equal((await reader.next()).done, false, 'after the head the signal does not cut');
  const pending = reader.next();
  answer.cancel();
  await assert.rejects(Promise.resolve(pending), failsWith('aborted', true));
  await gone;
});

test('bytes that a hostile upstream adds to an answer never answer another call', async (t) => {
  const poison = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison';
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections += 1;
    socket.on('data', () =>
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood${poison}`),
    );
  });
  const port = await listen(t, server);
  const upstream = client(t);
  for (let call = 0; call < 200; call++) {
    try {
      assert.equal(await text((await upstream.send(to(port))).body), 'good');
    } catch (error) {
      assert.ok(error instanceof UpstreamFailure, String(error));
    }
    if (call % 3 === 0) await new Promise(setImmediate);
  }
  assert.ok(connections > 1);
});

test('calls go through an HTTP proxy and through a SOCKS5 proxy, with credentials', async (t) => {
  const port = await http(t, (_request, response) => response.end('through'));
  const tunnels: string[] = [];
  const proxy = createServer();
  proxy.on('connect', (request: IncomingMessage, socket: Socket) => {
    tunnels.push(`${request.url} ${request.headers['proxy-authorization']}`);
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  const proxyPort = await listen(t, proxy);
  const socksPort = await listen(
    t,
    createTcpServer((socket) => serveSocks(socket, port, tunnels)),
  );
  const upstream = client(t);
  const outboundProxies = [
    `http://user:pass@127.0.0.1:${proxyPort}`,
    `socks5://user:pass@127.0.0.1:${socksPort}`,
  ];
  for (const outboundProxy of outboundProxies) {
    const request = to(port, { url: `http://api.example:${port}/v1`, outboundProxy });
    assert.equal(await text((await upstream.send(request)).body), 'through');
    await assert.rejects(
      upstream.send(to(port, { url: 'https://localhost/', outboundProxy, allowPrivate: false })),
      failsWith('forbidden', false),
    );
  }
  assert.deepEqual(tunnels, [
    `api.example:${port} Basic ${btoa('user:pass')}`,
    `user:pass api.example:${port}`,
  ]);
  await assert.rejects(
    upstream.send(to(port, { outboundProxy: 'ftp://x' })),
    failsWith('connect', false),
  );
});

test('a proxy that opens no way keeps no connection and no place from the calls that follow', async (t) => {
  const port = await http(t, (_request, response) => response.end('through'));
  const waiting = new Set<Socket>();
  let opens = false;
  const proxy = createTcpServer((socket) => {
    waiting.add(socket);
    socket.once('close', () => waiting.delete(socket));
    socket.once('data', () => {
      if (!opens) return;
      const onward = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        onward.pipe(socket).pipe(onward);
      });
    });
  });
  const outboundProxy = `http://127.0.0.1:${await listen(t, proxy)}`;
  const upstream = client(t, { pools: { connectionsPerOriginMax: 1, connectTimeoutMs: 200 } });
  const impatient = { ...timeouts, connectMs: 100 };
  await assert.rejects(
    upstream.send(to(port, { outboundProxy, timeouts: impatient })),
    failsWith('timeout-connect', false),
  );
  await until(() => waiting.size === 0);
  opens = true;
  assert.equal(await text((await upstream.send(to(port, { outboundProxy }))).body), 'through');
});

test('the time of a call through undici is kept by the call alone', () => {
  let asked: { headersTimeout?: number | null; bodyTimeout?: number | null } = {};
  const dispatcher = { dispatch: (options: typeof asked) => (asked = options) };
  const target = { origin: 'http://a', host: 'a', path: '/' };
  const wire = { target, method: 'POST', headers: {}, body: [], closesConnection: false } as const;
  const terms = { timeouts, bytesMax: 1, startedAtMs: 0, patience: undefined, signal: undefined };
  const call = new OutboundCall(terms, { answered: () => undefined, over: () => undefined });
  new DispatcherWay(dispatcher as unknown as Dispatcher).send({ ...wire }, call);
  assert.equal(asked.headersTimeout, 0);
  assert.equal(asked.bodyTimeout, 0);
});

/** Just enough of RFC 1928 and RFC 1929 for one tunnel. */
function serveSocks(socket: Socket, port: number, tunnels: string[]): void {
  let step = 0;
  let user = '';
  socket.on('data', (bytes: Buffer) => {
    step += 1;
    if (step === 1) socket.write(Buffer.from([5, 2]));
    else if (step === 2) {
      const nameLength = bytes[1] ?? 0;
      user = `${bytes.toString('utf8', 2, 2 + nameLength)}:${bytes.toString('utf8', 3 + nameLength)}`;
      socket.write(Buffer.from([1, 0]));
    } else if (step === 3) {
      const nameLength = bytes[4] ?? 0;
      tunnels.push(
        `${user} ${bytes.toString('utf8', 5, 5 + nameLength)}:${bytes.readUInt16BE(5 + nameLength)}`,
      );
      const onward = connect(port, '127.0.0.1', () => {
        socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
        socket.removeAllListeners('data');
        onward.pipe(socket).pipe(onward);
      });
      onward.on('error', () => socket.destroy());
    }
  });
}

test('media is taken for what its bytes are, within limits, and nothing of a failure is told', async (t) => {
  const answers: Record<string, RequestListener> = {
    '/png': (_request, response) => response.setHeader('content-type', 'text/html').end(png),
    '/html': (_request, response) =>
      response.setHeader('content-type', 'image/png').end('<html>secret</html>'),
    '/large': (_request, response) => response.end(Buffer.concat([png, Buffer.alloc(100_000)])),
    '/endless': (_request, response) =>
      void response.write(Buffer.concat([png, Buffer.alloc(100_000)])),
    '/missing': (_request, response) => response.writeHead(404).end('secret'),
    '/once': (_request, response) => response.writeHead(302, { location: '/png' }).end(),
    '/loop': (_request, response) => response.writeHead(302, { location: '/loop' }).end(),
    '/inward': (_request, response) =>
      response.writeHead(302, { location: 'http://169.254.169.254/secret' }).end(),
    '/scheme': (_request, response) =>
      response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  };
  const asked: (string | undefined)[] = [];
  const port = await http(t, (request, response) => {
    asked.push(request.url);
    answers[request.url ?? '']?.(request, response);
  });
  const egress = createEgress({
    upstream: client(t),
    allowPrivate: true,
    ports: [port],
    mediaBytesMax: 50_000,
  });
  const get = (path: string): Promise<unknown> =>
    egress.fetchMedia(`http://127.0.0.1:${port}${path}`);
  for (const path of ['/png', '/once']) {
    const media = await egress.fetchMedia(`http://127.0.0.1:${port}${path}`, { kinds: ['image'] });
    assert.deepEqual([media.mimeType, Buffer.from(media.bytes)], ['image/png', png]);
  }
  const refused = { '/html': 'invalid_request', '/large': 'invalid_request', '/endless': 'invalid_request',
    '/missing': 'invalid_request', '/loop': 'invalid_request', '/inward': 'forbidden_url', '/scheme': 'forbidden_url' }; // prettier-ignore
  for (const [path, code] of Object.entries(refused)) {
    await assert.rejects(get(path), (error) => {
      assert.ok(error instanceof GatewayFailure, String(error));
      assert.equal(error.error.code, code, path);
      assert.ok(!JSON.stringify(error.error).includes('secret'));
      return true;
    });
  }
  await assert.rejects(
    egress.fetchMedia(`http://127.0.0.1:${port}/png`, { kinds: ['audio'] }),
    GatewayFailure,
  );
  await assert.rejects(egress.fetchMedia('http://127.0.0.1:22/'), GatewayFailure);
  assert.equal(asked.filter((url) => url === '/loop').length, 4, 'three redirects are followed');
});

test('an encoding that names no compression is none, and two layers are refused', async (t) => {
  let encoding = '';
  const port = await http(t, (_request, response) => {
    response.setHeader('content-encoding', encoding);
    response.end(/gzip/i.test(encoding) ? gzipSync('{}') : '{}');
  });
  const upstream = client(t);
  for (encoding of ['', 'Identity', 'utf-8', 'none', 'GZIP', 'identity, gzip']) {
    const { body } = await upstream.fetchText(to(port), { allowPrivate: true });
    assert.equal(body, '{}', encoding);
  }
  encoding = 'gzip, gzip';
  await assert.rejects(upstream.fetchText(to(port), { allowPrivate: true }), failsWith('protocol'));
});

test('small answers are fetched as text, compressed or not', async (t) => {
  const port = await http(t, (request, response) => {
    if (request.url === '/gzip')
      response.setHeader('content-encoding', 'gzip').end(gzipSync('{"zipped":true}'));
    else response.writeHead(418, { 'x-kind': 'tea' }).end('{"plain":true}');
  });
  const upstream = client(t);
  const request = { url: `http://127.0.0.1:${port}/gzip`, method: 'GET', headers: {} } as const;
  const { status, body } = await upstream.fetchText(request, { allowPrivate: true });
  assert.deepEqual([status, body], [200, '{"zipped":true}']);
  const plain = await upstream.fetchText(
    { ...request, url: `http://127.0.0.1:${port}/` },
    { allowPrivate: true },
  );
  assert.deepEqual(
    [plain.status, plain.body, plain.header('x-kind')],
    [418, '{"plain":true}', 'tea'],
  );
  await assert.rejects(upstream.fetchText(request), failsWith('forbidden', false));
  await assert.rejects(
    upstream.fetchText(request, { allowPrivate: true, bytesMax: 3 }),
    failsWith('too-large'),
  );
});
