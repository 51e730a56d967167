import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { systemClock } from '#std';
import { measure, movable, start, until } from './front-rig.ts';
import { createHttpFront, ExchangeAborted } from './index.ts';

test('a body of 40 MiB is refused while it is being sent, and its sender sees the answer', async (t) => {
  const { send, front } = await start(t, [measure()]);
  const big = Buffer.alloc(40 * 2 ** 20);
  const posted = { path: '/v1/length', method: 'POST' };
  const sized = await send(posted, big);
  assert.deepEqual([sized.status, JSON.parse(sized.body).code], [413, 'body_too_large']);
  const chunked = await send({ ...posted, headers: { 'transfer-encoding': 'chunked' } }, big);
  assert.deepEqual([chunked.status, chunked.headers.connection], [413, 'close']);
  const fits = await send(posted, big.subarray(0, 32 * 2 ** 20));
  assert.equal(fits.body, String(32 * 2 ** 20));
  await until(() => front.status().heldBytes === 0);
});

test('a sender that reads only when it has sent everything still finds the refusal', async (t) => {
  const { port } = await start(t, [measure()], { limits: { bodyBytesMax: 1_000 } });
  const socket = connect(port, '127.0.0.1');
  const body = Buffer.alloc(8 * 2 ** 20);
  socket.pause();
  socket.write(`POST /v1/length HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
  for (let at = 0; at < body.length; at += 65_536) {
    await new Promise<void>((resolve, reject) => {
      socket.write(body.subarray(at, at + 65_536), (error) => (error ? reject(error) : resolve()));
    });
  }
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  assert.match(text, /^HTTP\/1\.1 413 /);
});

test('the bytes held for all requests together are bounded and given back', async (t) => {
  const release = Promise.withResolvers<void>();
  const route = measure({
    async handle(exchange) {
      await release.promise;
      exchange.respond(200, {}, 'ok');
    },
  });
  const limits = { bodyBytesMax: 1_000, heldBytesMax: 1_500 };
  const { send, front, port } = await start(t, [route], { limits });
  const posted = { path: '/v1/length', method: 'POST' };
  const first = send(posted, Buffer.alloc(1_000));
  await until(() => front.status().heldBytes === 1_000);
  const refused = await send(posted, Buffer.alloc(600));
  assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);
  const leaving = connect(port, '127.0.0.1');
  leaving.write('POST /v1/length HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\n\r\nhalf');
  await until(() => front.status().heldBytes === 1_004);
  leaving.destroy();
  await until(() => front.status().heldBytes === 1_000);
  release.resolve();
  assert.equal((await first).body, 'ok');
  await until(() => front.status().heldBytes === 0 && front.status().exchanges === 0);
});

test('one layer of compression is undone, bombs and broken data are refused', async (t) => {
  const { send, front } = await start(t, [measure()]);
  const text = Buffer.from(JSON.stringify({ model: 'm', input: 'x'.repeat(100_000) }));
  const packers = {
    gzip: gzipSync,
    deflate: deflateSync,
    br: (bytes: Buffer) =>
      brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
    zstd: zstdCompressSync,
  };
  for (const [encoding, pack] of Object.entries(packers)) {
    const options = {
      path: '/v1/length',
      method: 'POST',
      headers: { 'content-encoding': encoding },
    };
    const plain = await send(options, pack(text));
    assert.equal(plain.body, String(text.length), encoding);
    const bomb = await send(options, pack(Buffer.alloc(30 * 2 ** 20)));
    assert.equal(bomb.status, 413, `${encoding} bomb`);
    const broken = await send(options, pack(text).subarray(0, 20));
    assert.equal(broken.status, 400, `${encoding} cut short`);
  }
  await until(() => front.status().heldBytes === 0);
});

test('a conversation that repeats itself is large and packs well', async (t) => {
  const { send } = await start(t, [measure()]);
  // An agent's: the same files read again and again, with other answers between.
  const file = randomBytes(200_000).toString('hex');
  const body = Buffer.from(JSON.stringify(Array.from({ length: 20 }, (_, turn) => [turn, file])));
  const packed = zstdCompressSync(body, { params: { [constants.ZSTD_c_windowLog]: 23 } });
  assert.ok(body.length > 30 * packed.length, `${body.length} to ${packed.length}`);
  const headers = { 'content-encoding': 'zstd' };
  const answer = await send({ path: '/v1/length', method: 'POST', headers }, packed);
  assert.equal(answer.body, String(body.length));
});

test('a reader that stops is waited for with bounded memory and given up in the end', async (t) => {
  const { clock, forward } = movable(t);
  let written = 0;
  const reasons: unknown[] = [];
  const { port } = await start(
    t,
    [
      {
        pattern: '/flood',
        methods: ['GET'],
        async handle(exchange) {
          const stream = exchange.stream(200, {});
          const piece = Buffer.alloc(65_536);
          while (!exchange.signal.aborted) {
            if (!stream.write(piece)) await stream.drained();
            else await new Promise(setImmediate);
            written += piece.length;
          }
          reasons.push(exchange.signal.reason);
        },
      },
    ],
    { clock },
  );
  const client = connect(port, '127.0.0.1');
  client.pause();
  client.write('GET /flood HTTP/1.1\r\nHost: a\r\n\r\n');
  client.on('error', () => undefined);
  let before = -1;
  while (before !== written || written === 0) {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(written < 16 * 2 ** 20, `${written} bytes were written to a reader that reads nothing`);
  // The first look finds bytes that were taken since the last one, the second finds none.
  await forward(59_000);
  await forward(59_000);
  assert.equal(reasons.length, 0);
  await forward(2_000);
  await until(() => reasons.length > 0);
  const [reason] = reasons;
  assert.ok(reason instanceof ExchangeAborted && reason.abortCause === 'stalled-reader');
  client.destroy();
});

test('settings that cannot work are refused at construction', () => {
  const settings = {
    listener: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    newRequestId: () => '',
    renderError: () => ({ status: 500, headers: {}, body: '' }),
    onFault: () => undefined,
  };
  assert.throws(
    () => createHttpFront({ ...settings, routes: [measure(), measure()] }),
    /two routes/,
  );
  assert.throws(
    () => createHttpFront({ ...settings, routes: [measure({ pattern: '/{a*}/b' })] }),
    /must be last/,
  );
  assert.throws(
    () => createHttpFront({ ...settings, routes: [], limits: { bodyBytesMax: 2 ** 30 } }),
    /bodyBytesMax/,
  );
  assert.throws(
    () => createHttpFront({ ...settings, routes: [], limits: { headersMax: 0 } }),
    /headersMax/,
  );
});
