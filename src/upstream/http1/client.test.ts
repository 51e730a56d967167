import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { Clock } from '#std';
import type { BodySink } from '../body.ts';
import { UpstreamFailure } from '../failure.ts';
import {
  certificate,
  certificateKey,
  client,
  failsWith,
  http,
  listen,
  raw,
  says,
  text,
  to,
  until,
} from '../upstream-rig.ts';

const seed = Number(process.env['SEED'] ?? 20_261_127);

function clientSockets(t: TestContext): Socket[] {
  const sockets: Socket[] = [];
  const observe = (message: unknown): void => {
    sockets.push((message as { socket: Socket }).socket);
  };
  subscribe('net.client.socket', observe);
  t.after(() => unsubscribe('net.client.socket', observe));
  return sockets;
}

/** Writes down what a sink is told. */
function listener(): BodySink & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    data: (piece) => told.push(Buffer.from(piece).toString()),
    end: () => told.push('END'),
    failed: (failure) => told.push(`FAILED ${failure.kind}`),
  };
}

describe('bytes that nobody asked for @hostile', () => {
  it('end a connection on which they come while it is idle', async (t) => {
    const peers: Socket[] = [];
    const port = await listen(
      t,
      createServer((socket) => {
        peers.push(socket);
        socket.on('data', () => socket.write(says('ok')));
      }),
    );
    const upstream = client(t);
    await (await upstream.send(to(port))).collect(10);
    const closed = new Promise((resolve) => peers[0]?.once('close', resolve));
    peers[0]?.write(says('poison'));
    await closed;
    assert.equal((await (await upstream.send(to(port))).collect(10)).toString(), 'ok');
    assert.equal(peers.length, 2);
  });

  it(`whatever they are, the call has an answer or a failure with a kind; SEED=${seed}`, async (t) => {
    let noise = Buffer.alloc(0);
    const port = await raw(t, (socket) => {
      for (const piece of [noise.subarray(0, noise.length >> 1), noise.subarray(noise.length >> 1)])
        socket.write(piece);
      socket.end();
    });
    const upstream = client(t);
    const parts = fc.array(
      fc.oneof(
        fc.constantFrom('HTTP/1.1 ', '200 OK\r\n', '\r\n\r\n', 'content-length: 5\r\n', 'hello'),
        fc.constantFrom('transfer-encoding: chunked\r\n', '5\r\nhello\r\n', '0\r\n\r\n', ':', '\n'),
        fc.string({ maxLength: 5 }),
      ),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(parts, async (pieces) => {
        noise = Buffer.from(pieces.join(''), 'latin1');
        try {
          await (await upstream.send(to(port))).collect(1_000);
        } catch (error) {
          assert.ok(error instanceof UpstreamFailure, String(error));
          assert.ok(['protocol', 'reset', 'connect'].includes(error.kind), error.kind);
        }
        assert.equal(upstream.running, 0);
      }),
      { seed, numRuns: 300 },
    );
  });
});

describe('connections that are kept', () => {
  it('cost no request when the server closes them behind an answer without saying so', async (t) => {
    const port = await raw(t, (socket) => socket.end(says('ok')));
    const upstream = client(t);
    for (let call = 0; call < 300; call++)
      assert.equal((await (await upstream.send(to(port))).collect(10)).toString(), 'ok');
  });

  it('are left two seconds before the server leaves them', async (t) => {
    let shiftMs = 0;
    const clock: Clock = { now: () => 0, monotonic: () => performance.now() + shiftMs };
    let connections = 0;
    let hint = 'keep-alive: timeout=10\r\n';
    const server = createServer((socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write(says('ok', hint)));
    });
    const port = await listen(t, server);
    const upstream = client(t, { clock });
    const ask = async (): Promise<number> => {
      await (await upstream.send(to(port))).collect(10);
      return connections;
    };
    assert.equal(await ask(), 1);
    shiftMs += 7_000;
    assert.equal(await ask(), 1);
    shiftMs += 6_000;
    const early = new AbortController();
    const given = upstream.send(to(port, { signal: early.signal }));
    early.abort();
    await assert.rejects(given, failsWith('aborted', false));
    shiftMs += 2_100;
    hint = 'keep-alive: timeout=2\r\n';
    assert.equal(await ask(), 2);
    assert.equal(await ask(), 3, 'two seconds are no time at all');
  });

  it('are the last ones used, and not more than allowed: others wait in line, and leave it when they are cancelled', async (t) => {
    const waiting: Socket[] = [];
    const seen = new Set<Socket>();
    const port = await raw(t, (socket) => {
      seen.add(socket);
      waiting.push(socket);
    });
    const upstream = client(t, { pools: { connectionsPerOriginMax: 2 } });
    const gone = new AbortController();
    const calls = [1, 2, 3, 4].map((call) =>
      upstream.send(to(port, call === 3 ? { signal: gone.signal } : {})),
    );
    await until(() => waiting.length === 2);
    gone.abort();
    await assert.rejects(calls[2] ?? Promise.resolve(), failsWith('aborted', false));
    for (const socket of waiting.splice(0)) socket.write(says('ok'));
    await until(() => waiting.length === 1);
    waiting.pop()?.write(says('ok'));
    for (const call of [calls[0], calls[1], calls[3]]) assert.equal((await call)?.status, 200);
    assert.equal(seen.size, 2);
  });

  it('that die before a byte of the request is written are replaced in silence', async (t) => {
    const sockets = clientSockets(t);
    const port = await raw(t, (socket) => socket.write(says('ok')));
    const upstream = client(t);
    await (await upstream.send(to(port))).collect(10);
    await new Promise(setImmediate);
    const next = upstream.send(to(port));
    // The request waits for the end of this turn.
    sockets[0]?.destroy();
    assert.equal((await (await next).collect(10)).toString(), 'ok');
    assert.equal(sockets.length, 2);
  });

  it('that die under a request that may have been read fail it as sent: nothing is done twice', async (t) => {
    let requests = 0;
    const port = await raw(t, (socket, asked) => {
      requests += 1;
      if (asked === 1) socket.write(says('ok'));
      else socket.destroy();
    });
    const upstream = client(t);
    await (await upstream.send(to(port))).collect(10);
    await assert.rejects(upstream.send(to(port)), failsWith('reset', true));
    assert.equal(requests, 2);
  });

  it('are not made again and again for a server that drops every one of them', async (t) => {
    const sockets = clientSockets(t);
    const port = await listen(
      t,
      createServer((socket) => socket.destroy()),
    );
    await assert.rejects(client(t).send(to(port)), UpstreamFailure);
    assert.ok(sockets.length <= 4);
  });
});

describe('a request on the wire', () => {
  it('is one packet over TCP and one record over TLS, without delay', async (t) => {
    const delays: [Socket, boolean | undefined][] = [];
    const original = Socket.prototype.setNoDelay;
    t.mock.method(Socket.prototype, 'setNoDelay', function (this: Socket, value?: boolean) {
      delays.push([this, value]);
      return original.call(this, value);
    });
    const sockets = clientSockets(t);
    const packets: string[] = [];
    const serve = (socket: Socket | TLSSocket): void => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes: Buffer) => {
        packets.push(bytes.toString('latin1'));
        socket.write(says('ok'));
      });
    };
    const plain = await listen(t, createServer(serve));
    const secure = await listen(
      t,
      createTlsServer({ key: certificateKey, cert: certificate }, serve),
    );
    const upstream = client(t, { pools: { certificateAuthorities: [certificate] } });
    const body = [Buffer.from('{"a":'), Buffer.alloc(9_000, '1'), Buffer.from('}')];
    for (const url of [`http://127.0.0.1:${plain}/`, `https://localhost:${secure}/`]) {
      for (let call = 0; call < 3; call++)
        assert.equal(
          (await (await upstream.send(to(0, { url, body }))).collect(9)).toString(),
          'ok',
        );
    }
    assert.equal(packets.length, 6);
    for (const packet of packets) assert.match(packet, /^POST \/ HTTP[^]*\r\n\r\n\{"a":1{9000}\}$/);
    assert.ok(sockets.length >= 2);
    for (const socket of sockets)
      assert.ok(delays.some(([delayed, value]) => delayed === socket && value === true));
  });

  it('of many megabytes arrives whole, over TCP and TLS', async (t) => {
    const body = Buffer.alloc(5_000_000, 'abcdefg');
    const serve = (socket: Socket | TLSSocket): void => {
      const pieces: Buffer[] = [];
      let received = 0;
      socket.on('error', () => undefined);
      socket.on('data', (bytes: Buffer) => {
        pieces.push(bytes);
        received += bytes.length;
        if (received < body.length) return;
        const whole = Buffer.concat(pieces);
        const start = whole.indexOf('\r\n\r\n') + 4;
        if (whole.length - start === body.length)
          socket.write(says(String(whole.subarray(start).equals(body))));
      });
    };
    const plain = await listen(t, createServer(serve));
    const secure = await listen(
      t,
      createTlsServer({ key: certificateKey, cert: certificate }, serve),
    );
    const upstream = client(t, { pools: { certificateAuthorities: [certificate] } });
    for (const url of [`http://127.0.0.1:${plain}/`, `https://localhost:${secure}/`]) {
      const answer = await upstream.send(to(0, { url, body }));
      assert.equal((await answer.collect(9)).toString(), 'true');
    }
  });

  it('carries no field that could end its head, and trusts no certificate that it does not know', async (t) => {
    const secure = await listen(
      t,
      createTlsServer({ key: certificateKey, cert: certificate }, () => undefined),
    );
    const upstream = client(t);
    const url = `https://localhost:${secure}/`;
    await assert.rejects(upstream.send(to(0, { url })), failsWith('tls', false));
    for (const value of ['a\rb', 'a\nb', 'a\0b', 'a\r\nhost: evil', '\u{100}'])
      await assert.rejects(
        upstream.send(to(0, { url, headers: { 'x-a': value } })),
        failsWith('connect', false),
      );
    for (const name of ['a b', 'a:', 'a\r\nb', ''])
      await assert.rejects(
        upstream.send(to(0, { url, headers: { [name]: 'x' } })),
        failsWith('connect', false),
      );
  });

  it('has the head that its method asks for, and interim answers are passed over', async (t) => {
    const heads: string[] = [];
    const port = await raw(t, (socket) => {
      socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n');
      socket.write(`${says('').replace('length: 0', 'length: 5')}`);
    });
    const upstream = client(t);
    const head = await upstream.send(to(port, { method: 'HEAD' }));
    assert.deepEqual([head.status, head.header('content-length')], [200, '5']);
    assert.equal((await head.collect(10)).length, 0);
    const asked = await raw(t, (socket) => socket.write(says('ok')));
    const server = await http(t, (request, response) => {
      heads.push(`${request.method} ${request.headers['content-length']}`);
      response.end('ok');
    });
    for (const method of ['GET', 'DELETE'] as const) {
      const request = { ...to(server, { method }), body: new Uint8Array(0) };
      await (await upstream.send(request)).collect(10);
    }
    assert.deepEqual(heads, ['GET undefined', 'DELETE 0']);
    assert.equal((await (await upstream.send(to(asked))).collect(10)).toString(), 'ok');
  });
});

describe('a body that is pushed', () => {
  it('comes in order, stands still while it is held, and says once how it ended', async (t) => {
    let peer: Socket | undefined;
    const port = await raw(t, (socket) => {
      peer = socket;
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n');
    });
    const answer = await client(t).send(to(port));
    const sink = listener();
    answer.pushTo(sink);
    assert.deepEqual(sink.told, ['abc'], 'what waits is given at once, a read as one piece');
    answer.pause();
    peer?.write('1\r\nd\r\n0\r\n\r\n');
    await answer.closed;
    assert.deepEqual(sink.told, ['abc']);
    answer.resume();
    assert.deepEqual(sink.told, ['abc', 'd', 'END']);
    answer.cancel();
    assert.equal(sink.told.length, 3);
  });

  it('is given to its end before a failure that came later, and not at all after a cancellation', async (t) => {
    const port = await raw(t, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc');
      setImmediate(() => socket.end('def'));
    });
    const upstream = client(t);
    const cut = await upstream.send(to(port));
    const sink = listener();
    cut.pause();
    cut.pushTo(sink);
    await cut.closed;
    assert.deepEqual(sink.told, []);
    cut.resume();
    assert.equal(sink.told.at(-1), 'FAILED reset');
    assert.equal(sink.told.slice(0, -1).join(''), 'abcdef');
    const cancelled = await upstream.send(to(port));
    const deaf = listener();
    cancelled.pause();
    cancelled.pushTo(deaf);
    cancelled.cancel();
    cancelled.resume();
    await cancelled.closed;
    assert.deepEqual(deaf.told, []);
  });

  it('closes its connection in the tick in which it is cancelled', async (t) => {
    const sockets = clientSockets(t);
    const port = await raw(t, (socket) =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'),
    );
    const upstream = client(t);
    const answer = await upstream.send(to(port));
    answer.pushTo(listener());
    answer.cancel();
    assert.equal(sockets[0]?.destroyed, true);
    assert.equal(upstream.running, 0);
  });

  it('is decompressed on the way, and collected within its bound', async (t) => {
    const port = await http(t, (request, response) => {
      if (request.url === '/gzip') response.setHeader('content-encoding', 'gzip');
      response.end(request.url === '/gzip' ? gzipSync('unzipped') : 'x'.repeat(100));
    });
    const upstream = client(t);
    const at = (path: string): ReturnType<typeof to> =>
      to(port, { url: `http://127.0.0.1:${port}${path}` });
    const sink = listener();
    const zipped = await upstream.send(at('/gzip'));
    zipped.pushTo(sink);
    await until(() => sink.told.includes('END'));
    assert.equal(sink.told.join(' '), 'unzipped END');
    assert.equal(await text((await upstream.send(at('/gzip'))).body), 'unzipped');
    assert.equal((await (await upstream.send(at('/x'))).collect(100)).length, 100);
    const large = await upstream.send(at('/x'));
    await assert.rejects(large.collect(99), failsWith('too-large', true));
    await assert.rejects((await upstream.send(at('/gzip'))).collect(3), failsWith('too-large'));
    await large.closed;
    assert.equal(upstream.running, 0);
  });

  it('of a slow reader holds the sender back', async (t) => {
    let sent = 0;
    const port = await raw(t, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const piece = Buffer.alloc(65_536);
      const go = (): void => {
        while (sent < 40 * 2 ** 20) {
          sent += piece.length;
          if (!socket.write(piece)) return;
        }
        socket.end();
      };
      socket.on('drain', go);
      go();
    });
    const answer = await client(t).send(to(port));
    let received = 0;
    answer.pushTo({
      data: (piece) => {
        received += piece.length;
        answer.pause();
      },
      end: () => (received += 1),
      failed: () => undefined,
    });
    let before = -1;
    while (before !== sent) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    assert.ok(sent < 12 * 2 ** 20, `${sent} bytes were sent to a reader that waits`);
    while (received < 40 * 2 ** 20) {
      answer.resume();
      await new Promise(setImmediate);
    }
    await answer.closed;
  });
});
