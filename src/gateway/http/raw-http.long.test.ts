import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { createHttpFront, type HttpFront, type HttpRoute } from './index.ts';
import { systemClock } from '#std';
import { rawCases as cases, type RawCase } from './raw-http-rig.ts';

let calls = 0;
const routes: readonly HttpRoute[] = [
  {
    pattern: '/v1/echo',
    methods: ['GET', 'POST'],
    handle(exchange) {
      calls += 1;
      exchange.respond(200, { 'content-type': 'text/plain' }, String(exchange.body.length));
    },
  },
  {
    pattern: '/v1/models/{model*}',
    methods: ['GET'],
    handle(exchange) {
      calls += 1;
      exchange.respond(200, {}, exchange.pathParameters['model'] ?? '');
    },
  },
  {
    pattern: '/v1/slow',
    methods: ['POST'],
    async handle(exchange) {
      calls += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
      exchange.respond(200, {}, 'slow');
    },
  },
];

let front: HttpFront;
let port = 0;

before(async () => {
  front = createHttpFront({
    listener: { host: '127.0.0.1', port: 0 },
    routes,
    limits: {
      headersTimeoutMs: 300,
      uploadTimeoutMs: 300,
      lingerMs: 100,
      keepAliveTimeoutMs: 5_000,
    },
    clock: systemClock,
    newRequestId: () => 'request',
    renderError: (_route, { status, code }) => ({
      status,
      headers: {},
      body: JSON.stringify({ code }),
    }),
    onFault: (error) => assert.fail(String(error)),
  });
  ({ port } = await front.listen());
});

after(() => front.close(1_000));

type Heard = {
  readonly statuses: readonly number[];
  readonly closed: boolean;
  readonly text: string;
};

/** Sends the bytes and listens until the server closes, or stays silent long enough after an answer. */
function converse(bytes: Buffer, served: boolean): Promise<Heard> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    let quiet: NodeJS.Timeout | undefined;
    const give = (closed: boolean): void => {
      clearTimeout(deadline);
      clearTimeout(quiet);
      socket.destroy();
      const statuses = [...text.matchAll(/HTTP\/1\.1 ([2-5]\d\d) /g)].map(([, status]) =>
        Number(status),
      );
      resolve({ statuses, closed, text });
    };
    const deadline = setTimeout(() => give(false), 4_000);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      clearTimeout(quiet);
      if (served) quiet = setTimeout(() => give(false), 100);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => give(true));
  });
}

function staysOpen(status: number): boolean {
  return (status > 0 && status < 400) || status === 404 || status === 405;
}

async function check({ name, verdicts, bytes }: RawCase): Promise<void> {
  const sequence = verdicts[0] === 200 && verdicts.length > 1;
  const served = verdicts.every(staysOpen);
  const heard = await converse(bytes, served && !name.startsWith('CONNECT'));
  const told = `${name}: ${heard.text.slice(0, 300)}`;
  if (sequence)
    assert.deepEqual(
      heard.statuses,
      verdicts.filter((status) => status > 0),
      told,
    );
  else {
    assert.ok(heard.statuses.length <= 1, told);
    assert.ok(verdicts.includes(heard.statuses[0] ?? 0), told);
  }
  if (!served) assert.ok(heard.closed, `not closed: ${told}`);
}

test(`the corpus of malformed HTTP holds ${cases.length} cases`, () => {
  assert.ok(cases.length >= 150);
});

for (const file of new Set(cases.map((one) => one.file))) {
  test(`each case of ${file} gets its verdict and reaches no handler unless served`, async () => {
    const own = cases.filter((one) => one.file === file);
    const callsBefore = calls;
    const outcomes = await Promise.allSettled(own.map(check));
    const failures = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [String(outcome.reason)] : [],
    );
    assert.deepEqual(failures, []);
    const served = own.flatMap((one) => one.verdicts).filter((status) => status === 200);
    assert.equal(calls - callsBefore, served.length, 'handler calls');
  });
}

test('every control character is refused in every part of the head', async () => {
  const callsBefore = calls;
  const wrong: string[] = [];
  const places: Record<string, (control: string) => string> = {
    method: (control) => `G${control}ET /v1/echo HTTP/1.1\r\nHost: a\r\n\r\n`,
    target: (control) => `GET /v1/ec${control}ho HTTP/1.1\r\nHost: a\r\n\r\n`,
    version: (control) => `GET /v1/echo HTTP/1${control}.1\r\nHost: a\r\n\r\n`,
    host: (control) => `GET /v1/echo HTTP/1.1\r\nHost: a${control}b\r\n\r\n`,
    name: (control) => `GET /v1/echo HTTP/1.1\r\nHost: a\r\nX${control}Y: z\r\n\r\n`,
    value: (control) => `GET /v1/echo HTTP/1.1\r\nHost: a\r\nX: y${control}z\r\n\r\n`,
  };
  const codes = [...Array(32).keys(), 0x7f];
  for (const [place, write] of Object.entries(places)) {
    const heard = codes.map(async (code) => {
      const allowed = place === 'value' && code === 0x09;
      const { statuses, closed } = await converse(
        Buffer.from(write(String.fromCharCode(code)), 'latin1'),
        allowed,
      );
      const [status = 0] = statuses;
      const right = allowed ? status === 200 : status >= 400 && closed;
      if (!right || statuses.length !== 1) wrong.push(`${code} in ${place}: ${statuses.join()}`);
    });
    await Promise.all(heard);
  }
  assert.deepEqual(wrong, []);
  assert.equal(calls - callsBefore, 1, 'the tab in a value');
});

test('the server is alive after all of them and holds nothing', async () => {
  const heard = await converse(
    Buffer.from('GET /v1/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
    false,
  );
  assert.deepEqual(heard.statuses, [200]);
  assert.deepEqual(front.status().exchanges, 0);
  assert.deepEqual(front.status().heldBytes, 0);
});
