import assert from 'node:assert/strict';
import {
  createSecureServer,
  constants,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Upstream, UpstreamRequest } from './index.ts';
import {
  certificate,
  certificateKey,
  client as clientWith,
  failsWith,
  listen,
  text,
  timeouts,
  to as requestTo,
} from './upstream-rig.ts';

const secrets = { key: certificateKey, cert: certificate };

type Served = {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  readonly streams: ServerHttp2Stream[];
  readonly server: Http2SecureServer;
};

type Handle = (stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>) => void;

/** A server that speaks HTTP/2 only. */
async function http2(t: TestContext, handle: Handle): Promise<Served> {
  const server = createSecureServer(secrets);
  const sessions: ServerHttp2Session[] = [];
  const streams: ServerHttp2Stream[] = [];
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => undefined);
  });
  server.on('stream', (stream, headers) => {
    streams.push(stream);
    stream.on('error', () => undefined);
    handle(stream, headers);
  });
  return { port: await listen(t, server), sessions, streams, server };
}

function client(t: TestContext): Upstream {
  return clientWith(t, { pools: { certificateAuthorities: [certificate] } });
}

function to(port: number, more: Partial<UpstreamRequest> = {}): UpstreamRequest {
  const url = `https://127.0.0.1:${port}/v1/chat?a=b`;
  return requestTo(port, { url, http2: true, ...more });
}

const ok: Handle = (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'text/plain' });
  stream.end('ok');
};

test('over HTTP/2 a request arrives as given and its answer comes back in pieces', async (t) => {
  const seen: { headers: Readonly<Record<string, unknown>>; body: string }[] = [];
  const { port } = await http2(t, (stream, headers) => {
    void text(stream).then((body) => {
      seen.push({ headers, body });
      stream.respond({ ':status': 200, 'x-ratelimit-remaining': '7', 'x-secret': 'no' });
      stream.write('data: 1\n\n');
      stream.end('data: 2\n\n');
    });
  });
  const headers = { authorization: 'Bearer secret', 'Transfer-Encoding': 'chunked', te: 'x' };
  const answer = await client(t).send(
    to(port, { headers, body: [Buffer.from('{"a"'), Buffer.from(':1}')] }),
  );
  assert.equal(answer.status, 200);
  assert.equal(answer.header('x-ratelimit-remaining'), '7');
  assert.equal(answer.headers['x-secret'], undefined);
  assert.equal(await text(answer.body), 'data: 1\n\ndata: 2\n\n');
  const [request] = seen;
  assert.equal(request?.body, '{"a":1}');
  assert.equal(request?.headers[':path'], '/v1/chat?a=b');
  assert.equal(request?.headers['authorization'], 'Bearer secret');
  assert.equal(request?.headers['transfer-encoding'], undefined);
});

test('a burst of twenty calls makes one connection and one handshake', async (t) => {
  const { port, sessions } = await http2(t, ok);
  const upstream = client(t);
  const burst = Array.from({ length: 20 }, async () => text((await upstream.send(to(port))).body));
  assert.deepEqual(new Set(await Promise.all(burst)), new Set(['ok']));
  assert.equal(sessions.length, 1);
  assert.equal(upstream.running, 0);
});

test('an endpoint without HTTP/2 is asked by HTTP/1.1, and not asked for more again', async (t) => {
  let connections = 0;
  let requests = 0;
  const server = createHttps(secrets, (request, response) => {
    requests += 1;
    request.resume().on('end', () => response.end(`HTTP ${request.httpVersion}`));
  });
  server.on('secureConnection', () => (connections += 1));
  const port = await listen(t, server);
  const upstream = client(t);
  const burst = Array.from({ length: 5 }, async () => text((await upstream.send(to(port))).body));
  assert.deepEqual(new Set(await Promise.all(burst)), new Set(['HTTP 1.1']));
  assert.equal(requests, 5);
  assert.ok(connections <= 6, `${connections} connections`);
  const before = connections;
  assert.equal(await text((await upstream.send(to(port))).body), 'HTTP 1.1');
  assert.equal(connections, before);
});

test('a stream that is reset fails its call alone, and says whether the request was sent', async (t) => {
  const { port, streams, sessions } = await http2(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.write('begin');
  });
  const upstream = client(t);
  const [one, two] = await Promise.all([upstream.send(to(port)), upstream.send(to(port))]);
  streams[0]?.destroy(new Error('broken'));
  await assert.rejects(text(one.body), failsWith('reset', true));
  streams[1]?.end(' end');
  assert.equal(await text(two.body), 'begin end');
  assert.equal(sessions.length, 1);
});

test('a stream that is refused or reset before its head fails as sent', async (t) => {
  for (const code of [constants.NGHTTP2_REFUSED_STREAM, constants.NGHTTP2_CANCEL]) {
    const { port } = await http2(t, (stream) => stream.close(code));
    await assert.rejects(client(t).send(to(port)), failsWith('reset', true));
  }
});

test('a connection that breaks in the middle of an answer fails all its calls', async (t) => {
  const { port, server } = await http2(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.write('begin');
  });
  const sockets: Socket[] = [];
  server.on('connection', (socket: Socket) => sockets.push(socket));
  const upstream = client(t);
  const answers = await Promise.all([upstream.send(to(port)), upstream.send(to(port))]);
  for (const socket of sockets) socket.destroy();
  for (const answer of answers) await assert.rejects(text(answer.body), failsWith('reset', true));
});

test('after a GOAWAY running answers end well and the next call has a new connection', async (t) => {
  const { port, sessions, streams } = await http2(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.write('begin');
    if (streams.length > 1) stream.end(' end');
  });
  const upstream = client(t);
  const first = await upstream.send(to(port));
  const [session] = sessions;
  session?.goaway(constants.NGHTTP2_NO_ERROR, streams[0]?.id);
  const ended = text(first.body);
  streams[0]?.end(' end');
  assert.equal(await ended, 'begin end');
  assert.equal(await text((await upstream.send(to(port))).body), 'begin end');
  assert.equal(sessions.length, 2);
});

test('time-outs, cancelling and a client that leaves concern one stream', async (t) => {
  const { port, streams, sessions } = await http2(t, () => undefined);
  const upstream = client(t);
  const slow = upstream.send(to(port, { timeouts: { ...timeouts, headersMs: 120 } }));
  await assert.rejects(slow, failsWith('timeout-headers', true));
  const leaving = new AbortController();
  const left = upstream.send(to(port, { signal: leaving.signal }));
  while (streams.length < 2) await new Promise((resolve) => setImmediate(resolve));
  leaving.abort();
  await assert.rejects(left, failsWith('aborted'));
  const kept = upstream.send(to(port));
  while (streams.length < 3) await new Promise((resolve) => setImmediate(resolve));
  streams[2]?.respond({ ':status': 200 });
  streams[2]?.end('well');
  assert.equal(await text((await kept).body), 'well');
  assert.equal(sessions.length, 1);
  assert.ok(streams[0]?.destroyed && streams[1]?.destroyed);
});

test('a reader that holds back slows the server down, and only its own stream', async (t) => {
  const piece = Buffer.alloc(64 * 1_024, 'x');
  let written = 0;
  const { port } = await http2(t, (stream, headers) => {
    if (headers['x-small'] !== undefined) return ok(stream, headers);
    stream.respond({ ':status': 200 });
    const pump = (): void => {
      while (written < 400 && stream.write(piece)) written += 1;
      if (written < 400) stream.once('drain', pump);
      else stream.end();
      written += 1;
    };
    pump();
  });
  const upstream = client(t);
  const answer = await upstream.send(to(port));
  const small = await upstream.send(to(port, { headers: { 'x-small': '1' } }));
  assert.equal(await text(small.body), 'ok');
  assert.ok(written < 200, `${written} pieces were taken without a reader`);
  assert.ok((await text(answer.body)).length > 390 * piece.length);
});

test('errors of the vendor, packed answers and bounds are as over HTTP/1.1', async (t) => {
  const { port } = await http2(t, (stream, headers) => {
    if (headers['x-way'] === 'packed') {
      stream.respond({ ':status': 200, 'content-encoding': 'gzip' });
      stream.end(gzipSync('hello'));
    } else if (headers['x-way'] === 'long') {
      stream.respond({ ':status': 200 });
      stream.end(Buffer.alloc(4_096));
    } else {
      stream.respond({ ':status': 429, 'retry-after': '3' });
      stream.end('{"error":{}}');
    }
  });
  const upstream = client(t);
  const refused = await upstream.send(to(port));
  assert.equal(refused.status, 429);
  assert.equal(refused.header('retry-after'), '3');
  assert.equal(await text(refused.body), '{"error":{}}');
  const packed = await upstream.send(to(port, { headers: { 'x-way': 'packed' } }));
  assert.equal(await text(packed.body), 'hello');
  const long = await upstream.send(
    to(port, { headers: { 'x-way': 'long' }, responseBytesMax: 1_000 }),
  );
  await assert.rejects(text(long.body), failsWith('too-large', true));
});

test('a certificate of nobody is refused, and a private address is as well', async (t) => {
  const { port } = await http2(t, ok);
  await assert.rejects(clientWith(t).send(to(port)), failsWith('tls', false));
  await assert.rejects(client(t).send(to(port, { allowPrivate: false })), failsWith('forbidden'));
});
