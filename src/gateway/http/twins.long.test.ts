/** What is plain is answered as `node:http` answers it, and what is not is answered by `node:http`. */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '#std';
import { BaseExchange } from './exchange.ts';
import { createHttpFront, type HttpFront, type HttpRoute } from './index.ts';
import { PlainExchange } from './plain-exchange.ts';
import { rawCases } from './raw-http-rig.ts';

let plainServed = 0;

function echo(exchange: Parameters<HttpRoute['handle']>[0]): void {
  assert.ok(exchange instanceof BaseExchange);
  if (exchange instanceof PlainExchange) plainServed += 1;
  const { method, path, pathParameters, query, headers, body } = exchange;
  const { names, values } = headers;
  const seen = { method, path, pathParameters, query: [...query], names, values };
  const bytes = Buffer.from(body).toString('latin1');
  exchange.respond(200, { 'content-type': 'text/plain' }, JSON.stringify({ ...seen, bytes }));
}

const routes: readonly HttpRoute[] = [
  { pattern: '/v1/echo', methods: ['GET', 'POST', 'DELETE'], handle: echo },
  { pattern: '/v1/models/{model*}', methods: ['GET'], handle: echo },
  {
    pattern: '/v1/slow',
    methods: ['POST'],
    async handle(exchange) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      echo(exchange);
    },
  },
];

let plain: HttpFront;
let node: HttpFront;
const ports = { plain: 0, node: 0 };

function startFront(nodeOnly: boolean): HttpFront {
  return createHttpFront({
    listener: { host: '127.0.0.1', port: 0 },
    routes,
    nodeOnly,
    limits: {
      headersTimeoutMs: 2_000,
      uploadTimeoutMs: 2_000,
      lingerMs: 100,
      keepAliveTimeoutMs: 5_000,
      bodyBytesMax: 1_000,
    },
    clock: systemClock,
    newRequestId: () => 'request',
    renderError: (_route, { status, code }) => ({ status, headers: {}, body: code }),
    onFault: (error) => assert.fail(String(error)),
  });
}

before(async () => {
  plain = startFront(false);
  node = startFront(true);
  ports.plain = (await plain.listen()).port;
  ports.node = (await node.listen()).port;
});

after(() => Promise.all([plain.close(0), node.close(0)]));

type Heard = { readonly closed: boolean; readonly answers: readonly string[] };

const farewell = 'GET /v1/echo HTTP/1.1\r\nHost: a\r\nX-Last: yes\r\nConnection: close\r\n\r\n';

/**
 * Sends the pieces, waits for the answer to the first request, then asks once more and for the
 * connection to be closed: what is heard until then is all there is.
 */
function converse(port: number, pieces: readonly Buffer[]): Promise<Heard> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let text = '';
    let over = false;
    const deadline = setTimeout(() => socket.destroy(), 30_000);
    const patience = setTimeout(() => sayFarewell(), 6_000);
    let said = false;
    const sayFarewell = (): void => {
      if (said || over) return;
      said = true;
      socket.write(farewell);
    };
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (isAnswered(text)) setTimeout(sayFarewell, text.includes(' 200 ') ? 30 : 0);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      over = true;
      clearTimeout(deadline);
      clearTimeout(patience);
      resolve({ closed: true, answers: answersOf(text) });
    });
    const send = (index: number): void => {
      const piece = pieces[index];
      if (piece === undefined || over || text.includes(' 4')) return;
      socket.write(piece);
      setImmediate(() => setImmediate(() => send(index + 1)));
    };
    socket.once('connect', () => send(0));
  });
}

function isAnswered(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  const length = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
  return end >= 0 && text.length >= end + 4 + length;
}

/** Status, the fields that matter and the body of each answer. */
function answersOf(text: string): string[] {
  return text
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter((answer) => answer !== '')
    .map((answer) => {
      const [head = '', body = ''] = answer.split('\r\n\r\n');
      const fields = head
        .split('\r\n')
        .slice(1)
        .map((line) => line.toLowerCase())
        .filter((line) => !line.startsWith('date:'))
        .toSorted();
      return [head.slice(9, 12), ...fields, body].join('\n');
    });
}

async function assertSame(pieces: readonly Buffer[], what: string): Promise<void> {
  const [ours, theirs] = await Promise.all([
    converse(ports.plain, pieces),
    converse(ports.node, pieces),
  ]);
  assert.deepEqual(ours, theirs, what);
}

function singleBytes(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_byte, index) => bytes.subarray(index, index + 1));
}

async function inTurns<T>(values: readonly T[], run: (value: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < values.length; at += 20)
    await Promise.all(values.slice(at, at + 20).map(run));
}

test('every case of the corpus is answered and closed as by node:http alone', async () => {
  await inTurns(rawCases, ({ name, bytes }) => assertSame([bytes], name));
});

test('the same when every byte comes alone', async () => {
  // Whether a request comes before a slow answer is here a matter of the machine's pace.
  const short = rawCases.filter(({ bytes }) => bytes.length < 600 && !bytes.includes('/v1/slow'));
  assert.ok(short.length > 120);
  await inTurns(short, ({ name, bytes }) => assertSame(singleBytes(bytes), name));
});

test('a request cut in two at any byte is answered as by node:http alone', async () => {
  const request = Buffer.from(
    'POST /v1/echo?a=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nX-Api-Key: k\r\n\r\nhello world',
  );
  const cuts = Array.from({ length: request.length - 1 }, (_, index) => index + 1);
  const before = plainServed;
  await inTurns(cuts, (cut) =>
    assertSame([request.subarray(0, cut), request.subarray(cut)], `cut at ${cut}`),
  );
  // Cut within its first line a request is Node's, and so is the one that follows.
  assert.ok(plainServed - before > cuts.length / 2, `${plainServed - before} were plain`);
});

const get = 'GET /v1/models/a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n';
const post = 'POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi';
const slow = 'POST /v1/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi';
const sequences: Readonly<Record<string, string>> = {
  'two at once': get + get,
  'a second behind a body': post + get,
  'a second before a slow answer': slow + get,
  'three before a slow answer': slow + post + get,
  'a line break behind a body': `${post}\r\n`,
  'a line break behind a slow one': `${slow}\r\n\r\n`,
  'half a request behind a slow one': `${slow}GET /v1/ec`,
  'garbage behind a body': `${post}\0\0\0`,
  'garbage with an end behind a body': `${post}nonsense\r\n\r\n`,
  'a chunked one behind a body': `${post}POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
};

for (const [name, text] of Object.entries(sequences))
  test(`more than one request on a connection: ${name}`, () =>
    assertSame([Buffer.from(text)], name));

for (const [name, [first, second]] of Object.entries({
  'a plain one': [slow, get],
  'an odd one': [slow, 'GET /v1/echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
  'line breaks': [slow, '\r\n\r\n'],
  'the half of one': [slow, 'GET /v1/ec'],
}))
  test(`a request that comes alone, but before the answer to another: ${name}`, () =>
    assertSame([Buffer.from(first ?? ''), Buffer.from(second ?? '')], name));

test('garbage before an answer does not cost that answer, and is the end', async () => {
  const { answers, closed } = await converse(ports.plain, [Buffer.from(slow), Buffer.alloc(3)]);
  assert.deepEqual([answers.map((answer) => answer.slice(0, 3)), closed], [['200'], true]);
});

test('a connection that has become one of node:http stays there, and its answers are the same', async () => {
  const odd =
    'POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n';
  await assertSame([Buffer.from(odd)], 'chunked first');
  await assertSame([Buffer.from('PUT /v1/echo HTTP/1.1\r\nHost: a\r\n\r\n')], 'a wrong method');
  await assertSame([Buffer.from('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n')], 'an unknown path');
});

const oneOf = (letters: string): fc.Arbitrary<string> => fc.constantFrom(...letters.split(''));

const field = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('Accept: */*', 'X-Api-Key: k', 'User-Agent: a/1 (b; c)'),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom('X-A:\t b\t', 'x-empty:', 'Connection: keep-alive', 'TE: trailers'),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.string({ unit: oneOf('aZ-_.!~9'), minLength: 1, maxLength: 12 }),
        fc.string({ unit: oneOf('aZ ,;="\\/\t:9'), maxLength: 20 }),
      )
      .map(([name, value]) => `${name}: ${value}`),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'Connection: close',
      'Connection: Upgrade',
      'Expect: 100-continue',
      'X-Api-Key: other',
      'Host: b',
      'Content-Length: 2',
      'Transfer-Encoding: identity',
      'Proxy-Connection: close',
      'Keep-Alive: timeout=5',
      'Trailer: x-a',
      'X\x00A: b',
      ' folded',
      'no colon',
      'X-A : b',
      'X-A: \x7f',
      'X-A: \xe9',
      'X-A: b\rc',
      'X-A: b\nX-B: c',
    ),
  },
);

const nearlyPlain = fc
  .record({
    line: fc.oneof(
      {
        weight: 8,
        arbitrary: fc.constantFrom(
          'POST /v1/echo HTTP/1.1',
          'GET /v1/echo?q=%20&r HTTP/1.1',
          'DELETE /v1/echo HTTP/1.1',
          'GET /v1/models/a/b%2Fc HTTP/1.1',
        ),
      },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          'GET /v1/echo HTTP/1.0',
          'GET  /v1/echo HTTP/1.1',
          'OPTIONS /v1/echo HTTP/1.1',
          'PATCH /v1/echo HTTP/1.1',
          'POST /v1/echo#a HTTP/1.1',
          'get /v1/echo HTTP/1.1',
          'GET /v1/models/.. HTTP/1.1',
          'GET /v1/models/%zz HTTP/1.1',
          'GET /v1/echo HTTP/1.1 ',
        ),
      },
    ),
    host: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom('Host: a', 'host: a.example:8080', 'HOST:[::1]:80') },
      { weight: 1, arbitrary: fc.constantFrom('X-Host: a', 'Host: a b', 'Host:') },
    ),
    fields: fc.array(field, { maxLength: 5 }),
    body: fc.option(fc.string({ unit: oneOf('ab\r\n\0G '), maxLength: 12 }), {
      freq: 2,
    }),
    cuts: fc.array(fc.nat(200), { maxLength: 3 }),
  })
  .map(({ line, host, fields, body, cuts }) => {
    const hasBody = body !== null && line.startsWith('POST');
    const length = hasBody ? [`Content-Length: ${body.length}`] : [];
    const head = [line, host, ...fields, ...length].join('\r\n');
    const bytes = Buffer.from(`${head}\r\n\r\n${hasBody ? body : ''}`, 'latin1');
    const places = [...new Set(cuts)].filter((cut) => cut < bytes.length).toSorted((a, b) => a - b);
    const edges = [0, ...places, bytes.length];
    return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
  });

test('requests that are nearly plain are answered as by node:http alone, and seen alike', async () => {
  const before = plainServed;
  const seed = Date.now() % 2 ** 31;
  const requests = fc.sample(nearlyPlain, { numRuns: 400, seed });
  await inTurns(requests, (pieces) => {
    const text = Buffer.concat(pieces).toString('latin1');
    return assertSame(pieces, `${JSON.stringify(text)}, seed ${seed}`);
  });
  assert.ok(plainServed - before >= 60, `only ${plainServed - before} were plain, seed ${seed}`);
});

test('both are alive after all of it and hold nothing', async () => {
  await assertSame([Buffer.from(post)], 'a plain one');
  for (const front of [plain, node]) {
    const { exchanges, heldBytes } = front.status();
    assert.deepEqual({ exchanges, heldBytes }, { exchanges: 0, heldBytes: 0 });
  }
});
