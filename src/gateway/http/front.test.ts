import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { fail } from '#canonical';
import { ExchangeAborted, type Exchange, type HttpRoute, type ResponseStream } from './index.ts';

import { measure, movable, sendTo, start, until } from './front-rig.ts';

test('a handler sees the parts of its request, and the answer carries the request id', async (t) => {
  const seen: Exchange[] = [];
  const { send } = await start(t, [
    {
      pattern: '/v1beta/models/{model*}:generateContent',
      methods: ['POST'],
      handle(exchange) {
        seen.push(exchange);
        exchange.respond(201, { 'content-type': 'text/plain' }, `${exchange.query.get('key')}`);
      },
    },
  ]);
  const path = '/v1beta/models/meta%2Fllama:generateContent?key=a%20b';
  const answer = await send(
    { path, method: 'POST', headers: { 'X-Request-Id': 'mine-1', 'X-Many': ['a', 'b'] } },
    '{}',
  );
  assert.equal(answer.status, 201);
  assert.equal(answer.body, 'a b');
  assert.equal(answer.headers['x-request-id'], 'request-1');
  assert.equal(answer.headers['x-client-request-id'], 'mine-1');
  const [exchange] = seen;
  assert.equal(exchange?.pathParameters['model'], 'meta/llama');
  assert.equal(exchange.header('x-many'), 'a, b');
  assert.equal(exchange.header('absent'), undefined);
  const strange = await send(
    { path, method: 'POST', headers: { 'x-request-id': 'no spaces' } },
    '{}',
  );
  assert.equal(strange.headers['x-request-id'], 'request-2');
  assert.equal(strange.headers['x-client-request-id'], undefined);
});

test('wrong methods are told the right ones, HEAD follows GET and OPTIONS answers', async (t) => {
  const { send } = await start(t, [
    measure({ methods: ['GET', 'POST'] }),
    measure({ methods: ['DELETE'] }),
  ]);
  const wrong = await send({ path: '/v1/length', method: 'PUT' });
  assert.deepEqual([wrong.status, wrong.headers.allow], [405, 'DELETE, GET, HEAD, OPTIONS, POST']);
  assert.deepEqual(JSON.parse(wrong.body), {
    code: 'method_not_allowed',
    route: '/v1/length',
    path: '/v1/length',
  });
  const head = await send({ path: '/v1/length', method: 'HEAD' });
  assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', '1']);
  const options = await send({ path: '/v1/length', method: 'OPTIONS' });
  assert.deepEqual(
    [options.status, options.headers.allow],
    [204, 'DELETE, GET, HEAD, OPTIONS, POST'],
  );
  assert.equal(options.headers['access-control-allow-origin'], undefined);
});

test('browsers of configured origins get through, others get no permission', async (t) => {
  const cors = { origins: ['https://app.example'] };
  const { send } = await start(t, [measure()], { listener: { host: '127.0.0.1', port: 0, cors } });
  const preflight = await send({
    path: '/v1/length',
    method: 'OPTIONS',
    headers: {
      origin: 'https://app.example',
      'access-control-request-headers': 'authorization, x-stainless-os',
    },
  });
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://app.example');
  assert.equal(preflight.headers['access-control-allow-headers'], 'authorization, x-stainless-os');
  const posted = { path: '/v1/length', method: 'POST' };
  const allowed = await send({ ...posted, headers: { origin: 'https://app.example' } }, 'x');
  assert.equal(allowed.headers['access-control-allow-origin'], 'https://app.example');
  const other = await send({ ...posted, headers: { origin: 'https://evil.example' } }, 'x');
  assert.equal(other.headers['access-control-allow-origin'], undefined);
  assert.equal(other.headers.vary, 'origin');
});

test('a client that leaves aborts the signal within 100 ms, before and during the answer', async (t) => {
  const signals: AbortSignal[] = [];
  const streams: ResponseStream[] = [];
  const { port, front } = await start(t, [
    {
      pattern: '/wait',
      methods: ['GET'],
      async handle(exchange) {
        signals.push(exchange.signal);
        if (exchange.query.has('stream'))
          streams.push(exchange.stream(200, { 'content-type': 'text/event-stream' }));
        await once(exchange.signal, 'abort');
      },
    },
  ]);
  for (const path of ['/wait', '/wait?stream']) {
    signals.length = 0;
    const client = connect(port, '127.0.0.1');
    client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => signals.length === 1);
    const [signal] = signals;
    assert.ok(signal);
    const left = performance.now();
    client.destroy();
    if (!signal.aborted) await once(signal, 'abort');
    assert.ok(performance.now() - left < 100);
    assert.ok(
      signal.reason instanceof ExchangeAborted && signal.reason.abortCause === 'client-gone',
    );
  }
  assert.equal(streams[0]?.write(Buffer.from('late')), false);
  await until(() => front.status().exchanges === 0);
});

test('the head of a stream leaves at once, and pieces of one tick make one chunk', async (t) => {
  let stream: ResponseStream | undefined;
  const { port } = await start(t, [
    {
      pattern: '/events',
      methods: ['GET'],
      handle(exchange) {
        stream = exchange.stream(200, { 'content-type': 'text/event-stream' });
      },
    },
  ]);
  const client = connect(port, '127.0.0.1');
  let text = '';
  client.on('data', (chunk) => (text += chunk.toString()));
  client.write('GET /events HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => text.endsWith('\r\n\r\n'));
  assert.match(text, /Transfer-Encoding: chunked/i);
  text = '';
  stream?.write(Buffer.from('data: one\n\n'));
  stream?.write(Buffer.from('data: two\n\n'));
  await until(() => text !== '');
  assert.equal(text, '16\r\ndata: one\n\ndata: two\n\n\r\n');
  text = '';
  stream?.write(Buffer.from('data: three\n\n'));
  stream?.end();
  stream?.end();
  await until(() => text.endsWith('0\r\n\r\n'));
  assert.equal(text, 'd\r\ndata: three\n\n\r\n0\r\n\r\n');
  client.write('GET /events HTTP/1.1\r\nHost: a\r\n\r\n');
  text = '';
  await until(() => text.includes('200 OK'));
  client.destroy();
});

test('streams of any piece sizes arrive byte for byte, also for HTTP/1.0 and in silence', async (t) => {
  const sizes = [0, 1, 100, 5_000, 40_000, 0, 70_000, 3];
  const { send, port } = await start(t, [
    {
      pattern: '/bytes',
      methods: ['GET'],
      async handle(exchange) {
        const stream = exchange.stream(200, {});
        for (const [index, size] of sizes.entries()) {
          if (!stream.write(Buffer.alloc(size, 0x61 + index))) await stream.drained();
          if (index % 3 === 2) await new Promise(setImmediate);
        }
        stream.end();
      },
    },
  ]);
  const expected = sizes
    .map((size, index) => String.fromCharCode(0x61 + index).repeat(size))
    .join('');
  assert.equal((await send({ path: '/bytes' })).body, expected);
  assert.equal((await send({ path: '/bytes', method: 'HEAD' })).body, '');
  const old = connect(port, '127.0.0.1');
  old.write('GET /bytes HTTP/1.0\r\n\r\n');
  let text = '';
  for await (const chunk of old) text += String(chunk);
  assert.equal(text.slice(text.indexOf('\r\n\r\n') + 4), expected);
});

test('what a handler throws becomes an error of its dialect, or cuts a started stream', async (t) => {
  const routes: HttpRoute[] = [
    {
      pattern: '/told',
      methods: ['GET'],
      handle: () => fail('rate_limited', 'slow down', { retryAfterMs: 1_500 }),
    },
    {
      pattern: '/bug',
      methods: ['GET'],
      handle: () => Promise.reject(new TypeError('secret detail')),
    },
    { pattern: '/mute', methods: ['GET'], handle: () => undefined },
    {
      pattern: '/late',
      methods: ['GET'],
      async handle(exchange) {
        exchange.stream(200, {}).write(Buffer.from('begun'));
        await new Promise(setImmediate);
        throw new Error('late');
      },
    },
  ];
  const { send, faults } = await start(t, routes);
  const told = await send({ path: '/told' });
  assert.deepEqual(
    [told.status, told.headers['retry-after'], JSON.parse(told.body).code],
    [429, '2', 'rate_limited'],
  );
  const bug = await send({ path: '/bug' });
  assert.deepEqual([bug.status, JSON.parse(bug.body).code], [500, 'internal_error']);
  assert.ok(!bug.body.includes('secret'));
  assert.equal((await send({ path: '/mute' })).status, 500);
  await assert.rejects(send({ path: '/late' }));
  assert.equal(faults.length, 3);
});

test('a stop refuses new work, lets running work finish and tells the rest to end', async (t) => {
  const running: { exchange: Exchange; stream: ResponseStream }[] = [];
  const { front, port } = await start(t, [
    {
      pattern: '/run',
      methods: ['GET'],
      handle(exchange) {
        running.push({ exchange, stream: exchange.stream(200, {}) });
      },
    },
  ]);
  const clients = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
  const texts = ['', ''];
  for (const [index, client] of clients.entries()) {
    client.on('data', (chunk) => (texts[index] += chunk.toString()));
    client.write('GET /run HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => running.length === index + 1);
  }
  const idle = connect(port, '127.0.0.1');
  await once(idle, 'connect');
  const closed = front.close(100);
  running[0]?.stream.write(Buffer.from('whole'));
  running[0]?.stream.end();
  const signal = running[1]?.exchange.signal;
  assert.ok(signal);
  if (!signal.aborted) await once(signal, 'abort');
  assert.ok(
    signal.reason instanceof ExchangeAborted && signal.reason.abortCause === 'shutting-down',
  );
  running[1]?.stream.write(Buffer.from('error event'));
  running[1]?.stream.end();
  await closed;
  assert.match(texts[0] ?? '', /whole\r\n0\r\n\r\n$/);
  assert.match(texts[1] ?? '', /error event\r\n0\r\n\r\n$/);
  await assert.rejects(sendTo(port, { path: '/run' }));
});

async function answerWhole(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    for await (const _piece of request);
    response.end('mounted');
  } catch {
    response.destroy();
  }
}

test('other programs can be mounted on the port, behind the same vetting and pace', async (t) => {
  const { clock, forward } = movable(t);
  const { front, send, port } = await start(t, [measure()], {
    clock,
    mount: (path) =>
      path.startsWith('/admin')
        ? (request, response) => void answerWhole(request, response)
        : undefined,
  });
  assert.equal((await send({ path: '/admin/keys' })).body, 'mounted');
  const doubled = { 'x-api-key': ['a', 'b'] };
  assert.equal((await send({ path: '/admin', headers: doubled })).status, 400);
  assert.equal((await send({ path: '/elsewhere' })).status, 404);
  const refused = connect(port, '127.0.0.1');
  refused.write(`POST /admin HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 30}\r\n\r\n`);
  assert.match(String((await once(refused, 'data'))[0]), / 413 /);
  refused.destroy();
  await until(() => front.status().exchanges === 0);
  const slow = connect(port, '127.0.0.1');
  slow.write('POST /admin/wait HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx');
  slow.on('error', () => undefined).resume();
  await until(() => front.status().exchanges === 1);
  await forward(29_000);
  assert.equal(front.status().exchanges, 1);
  await forward(2_000);
  await until(() => slow.closed);
});
