import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { measure, movable, start, until } from './front-rig.ts';
import { ExchangeAborted, type Exchange, type HttpRoute } from './index.ts';

const get = 'GET /v1/length HTTP/1.1\r\nHost: a\r\n\r\n';
const postHead = 'POST /v1/length HTTP/1.1\r\nHost: a\r\n';
const both = measure({ methods: ['GET', 'POST'] });

type Client = { readonly socket: Socket; readonly heard: () => string; readonly errors: unknown[] };

/** A client that keeps its side open until it is told otherwise. */
function open(port: number): Client {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  let text = '';
  const errors: unknown[] = [];
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.on('error', (error) => errors.push(error));
  return { socket, heard: () => text, errors };
}

test('head and body of an answer arrive together and say how long the connection is kept', async (t) => {
  const { port } = await start(t, [both]);
  const { socket } = open(port);
  const chunks: string[] = [];
  socket.on('data', (chunk) => chunks.push(chunk.toString('latin1')));
  for (let turn = 0; turn < 3; turn += 1) {
    chunks.length = 0;
    socket.write(get);
    await until(() => chunks.join('').endsWith('\r\n\r\n0'));
    assert.equal(chunks.length, 1);
    assert.match(chunks[0] ?? '', /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(
      chunks[0] ?? '',
      /\r\nConnection: keep-alive\r\nKeep-Alive: timeout=72, max=1000\r\n/,
    );
    const date = /\r\nDate: (.*)\r\n/.exec(chunks[0] ?? '')?.[1] ?? '';
    assert.ok(Math.abs(Date.parse(date) - Date.now()) < 10_000, date);
  }
  socket.destroy();
});

test('the last answer of a connection says so, and what the client still sends does no harm', async (t) => {
  const { port } = await start(t, [both], { limits: { requestsPerConnectionMax: 2 } });
  const { socket, heard, errors } = open(port);
  socket.write(get);
  await until(() => heard().endsWith('\r\n\r\n0'));
  assert.doesNotMatch(heard(), /connection: close/i);
  socket.write(get);
  await once(socket, 'end');
  assert.match(heard(), /\r\nConnection: close\r\n\r\n0$/);
  for (let turn = 0; turn < 20; turn += 1) {
    socket.write(get);
    await new Promise(setImmediate);
  }
  socket.end();
  await once(socket, 'close');
  assert.deepEqual(errors, []);
  assert.equal(heard().match(/HTTP/g)?.length, 2);
});

test('a connection that asks nothing any more is closed in order, after the time that was promised', async (t) => {
  const { clock, forward } = movable(t);
  const { port, front } = await start(t, [both], { clock, limits: { headersTimeoutMs: 5_000 } });
  const { socket, heard, errors } = open(port);
  socket.write(get);
  await until(() => heard().endsWith('\r\n\r\n0'));
  await forward(71_000);
  socket.write(get);
  await until(() => heard().match(/HTTP/g)?.length === 2);
  const ended = once(socket, 'end');
  await forward(73_500);
  await ended;
  // The request crosses the end of the connection: it is not answered, and nothing is reset.
  socket.write(get);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(errors, []);
  await forward(3_000);
  await until(() => front.status().connections === 0);
});

test('a head that does not come in time is refused, also when it began well', async (t) => {
  const { clock, forward } = movable(t);
  const { port } = await start(t, [both], { clock });
  const begun = open(port);
  const silent = open(port);
  begun.socket.write(`${postHead}Content-Le`);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await forward(9_000);
  assert.equal(begun.heard() + silent.heard(), '');
  await forward(2_000);
  for (const { socket, heard } of [begun, silent]) {
    await until(() => heard() !== '');
    assert.match(heard(), /^HTTP\/1\.1 408 [^]*connection: close[^]*request_timeout/);
    socket.destroy();
  }
});

test('a body may come in pieces, is given up when it is too slow, and gives its bytes back', async (t) => {
  const { clock, forward } = movable(t);
  const seen: string[] = [];
  const route = measure({
    handle(exchange) {
      seen.push(Buffer.from(exchange.body).toString());
      exchange.respond(200, {}, 'ok');
    },
  });
  const { port, front } = await start(t, [route], { clock });
  const { socket, heard } = open(port);
  socket.write(`${postHead}Content-Length: 9\r\n`);
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.write('\r\nabc');
  await until(() => front.status().heldBytes === 3);
  socket.write('def');
  await until(() => front.status().heldBytes === 6);
  socket.write('ghi');
  await until(() => heard().endsWith('ok'));
  assert.deepEqual(seen, ['abcdefghi']);
  socket.write(`${postHead}Content-Length: 9\r\n\r\nabc`);
  await until(() => front.status().heldBytes === 3);
  await forward(31_000);
  await until(() => heard().includes('HTTP/1.1 408 '));
  assert.match(heard(), /\r\nConnection: close\r\n/);
  socket.write('defghi');
  socket.end();
  await once(socket, 'close');
  assert.equal(front.status().heldBytes, 0);
  const left = open(port);
  left.socket.write(`${postHead}Content-Length: 9\r\n\r\nabc`);
  await until(() => front.status().heldBytes === 3);
  left.socket.destroy();
  await until(() => front.status().heldBytes === 0 && front.status().exchanges === 0);
  assert.equal(seen.length, 1);
});

test('a body for which there is no room any more is refused in the middle', async (t) => {
  const limits = { bodyBytesMax: 1_000, heldBytesMax: 1_000 };
  const { port, front } = await start(t, [both], { limits });
  const clients = [open(port), open(port)];
  for (const { socket } of clients) socket.write(`${postHead}Content-Length: 900\r\n\r\n`);
  await until(() => front.status().exchanges === 2);
  for (const [index, { socket }] of clients.entries()) {
    socket.write('x'.repeat(600));
    await until(() => front.status().heldBytes === 600 || index > 0);
  }
  const [, second] = clients;
  await until(() => second?.heard().includes(' 503 ') === true);
  for (const { socket } of clients) socket.destroy();
  await until(() => front.status().heldBytes === 0);
});

test('fields that would break the head become an error of ours, not bytes of the answer', async (t) => {
  const bad: readonly Readonly<Record<string, string>>[] = [
    { 'x-a': 'b\r\nx-evil: c' },
    { 'x-a': 'b\nc' },
    { 'x-a': 'b\0' },
    { 'x-a': 'snow ☃' },
    { 'x a': 'b' },
    { 'x-a:': 'b' },
    { '': 'b' },
  ];
  let turn = 0;
  const route = measure({
    methods: ['GET'],
    handle: (exchange) => exchange.respond(200, bad[turn] ?? {}, 'body'),
  });
  const { port, faults } = await start(t, [route]);
  for (; turn < bad.length; turn += 1) {
    const { socket, heard } = open(port);
    socket.write(get);
    await until(() => heard().includes('internal_error'));
    assert.match(heard(), /^HTTP\/1\.1 500 /);
    assert.doesNotMatch(heard(), /evil|body/);
    assert.ok(faults[turn] instanceof TypeError);
    socket.destroy();
  }
});

test('answers of every form arrive byte for byte, whoever serves the connection', async (t) => {
  const bodies: Readonly<Record<string, string | Uint8Array>> = {
    text: 'plain',
    letters: 'ä ☃ 🙂',
    bytes: Buffer.from([0, 255, 13, 10]),
    large: Buffer.alloc(300_000, 'large '),
    letterful: 'ä☃'.repeat(50_000),
    nothing: '',
  };
  const route: HttpRoute = {
    pattern: '/bodies/{name}',
    methods: ['GET'],
    handle(exchange) {
      const { name = '' } = exchange.pathParameters;
      exchange.respond(200, { 'x-latin': 'f\xfcr' }, bodies[name] ?? '');
    },
  };
  const none: HttpRoute = {
    pattern: '/none',
    methods: ['GET'],
    handle: (exchange) => exchange.respond(204, {}, 'never sent'),
  };
  const { port } = await start(t, [route, none]);
  for (const connection of ['keep-alive', 'close']) {
    const { socket, heard } = open(port);
    const ask = async (path: string, expected: string): Promise<void> => {
      const at = heard().length;
      const head = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`;
      if (connection === 'close') {
        const other = open(port);
        other.socket.write(head);
        await once(other.socket, 'end');
        other.socket.destroy();
        assert.ok(other.heard().endsWith(`\r\n\r\n${expected}`), `${path} ${connection}`);
        return;
      }
      socket.write(head);
      await until(() => heard().slice(at).includes('\r\n\r\n') && heard().endsWith(expected));
      assert.ok(heard().slice(at).endsWith(`\r\n\r\n${expected}`), `${path} ${connection}`);
    };
    for (const [name, body] of Object.entries(bodies))
      await ask(`/bodies/${name}`, Buffer.from(body as string).toString('latin1'));
    await ask('/none', '');
    if (connection === 'keep-alive') assert.match(heard(), /x-latin: f\xfcr\r\n/);
    socket.destroy();
  }
});

test('streams are the same, whoever serves the connection', async (t) => {
  const sizes = [0, 1, 100, 5_000, 40_000, 70_000, 300_000, 3];
  const route: HttpRoute = {
    pattern: '/stream',
    methods: ['GET'],
    async handle(exchange) {
      const stream = exchange.stream(200, { 'content-type': 'text/event-stream' });
      for (const [index, size] of sizes.entries()) {
        if (!stream.write(Buffer.alloc(size, 0x61 + index))) await stream.drained();
        if (index % 2 === 0) await new Promise(setImmediate);
      }
      stream.end();
    },
  };
  const { port } = await start(t, [route]);
  const heard: string[] = [];
  for (const connection of ['keep-alive', 'close']) {
    const client = open(port);
    client.socket.write(`GET /stream HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`);
    await until(() => client.heard().endsWith('\r\n0\r\n\r\n'));
    client.socket.destroy();
    const [head = '', ...body] = client.heard().split('\r\n\r\n');
    assert.match(head, /Transfer-Encoding: chunked/);
    heard.push(body.join('\r\n\r\n'));
  }
  assert.equal(heard[0], heard[1]);
});

test('a client that floods a connection before its answer is held back and then refused', async (t) => {
  const release = Promise.withResolvers<void>();
  const route = measure({
    async handle(exchange) {
      await release.promise;
      exchange.respond(200, {}, 'ok');
    },
  });
  const { port } = await start(t, [route]);
  const { socket, heard } = open(port);
  socket.write(`${postHead}Content-Length: 1\r\n\r\na`);
  await new Promise((resolve) => setTimeout(resolve, 30));
  for (let turn = 0; turn < 64; turn += 1) socket.write(get.repeat(8_000));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(
    socket.writableLength > 4 * 2 ** 20,
    `${socket.writableLength} bytes wait in the client`,
  );
  release.resolve();
  await until(() => heard().includes(' 400 '));
  assert.match(heard(), /^HTTP\/1\.1 200 /);
  socket.destroy();
});

test('a client that closes its side is taken for gone', async (t) => {
  const exchanges: Exchange[] = [];
  const route = measure({
    methods: ['GET'],
    async handle(exchange) {
      exchanges.push(exchange);
      await once(exchange.signal, 'abort');
    },
  });
  const { port, front } = await start(t, [route]);
  const { socket } = open(port);
  socket.write(get);
  await until(() => exchanges.length === 1);
  socket.end();
  await once(socket, 'close');
  const reason: unknown = exchanges[0]?.signal.reason;
  assert.ok(reason instanceof ExchangeAborted && reason.abortCause === 'client-gone');
  await until(() => front.status().exchanges === 0 && front.status().connections === 0);
});

test('a stop closes idle connections without resetting them', async (t) => {
  const { port, front } = await start(t, [both]);
  const { socket, heard, errors } = open(port);
  socket.write(get);
  await until(() => heard().endsWith('\r\n\r\n0'));
  const closed = front.close(1_000);
  await once(socket, 'end');
  socket.write(get);
  await new Promise((resolve) => setTimeout(resolve, 30));
  socket.end();
  await once(socket, 'close');
  assert.deepEqual(errors, []);
  await closed;
});
