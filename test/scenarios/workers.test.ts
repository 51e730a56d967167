/** `serve --workers 2` as users run it: processes of their own that serve as one. */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { KeyLimits } from '#access';
import { asArray, asObject, asString, parseJsonObject, type JsonObject } from '#std';
import { openData, type ServerProcess } from '../crash/gateway-process.ts';
import { place, type Place } from './server-place.ts';

const operatorToken = 'an operator token of these tests alone';
/** Two workers over a folder of their own. */
function placeOf(
  t: TestContext,
  paceMs: number,
  limits: KeyLimits = {},
  more: Readonly<Record<string, unknown>> = {},
): Promise<Place> {
  const settings = { workers: 2, operator_token: operatorToken, ...more };
  return place(t, { paceMs, limits, settings });
}

type Answer = { readonly status: number; readonly text: string; readonly whole: boolean };

/** One request on a connection of its own: the owner of the port deals them out in turns. */
function ask(
  url: string,
  key: string,
  body: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/v1/chat/completions`, {
      method: 'POST',
      agent: false,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    });
    asked.on('error', reject);
    asked.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.once('error', () => {});
      response.once('close', () =>
        resolve({ status: response.statusCode ?? 0, text, whole: response.complete }),
      );
    });
    asked.end(JSON.stringify({ model: 'sim-chat', messages: [question], ...body }));
  });
}

const question = { role: 'user', content: 'Say something long about nothing in particular.' };

async function control(url: string, path: string, method = 'GET'): Promise<JsonObject> {
  const response = await fetch(`${url}/admin${path}`, {
    method,
    headers: { authorization: `Bearer ${operatorToken}` },
  });
  return parseJsonObject(await response.text()) ?? {};
}

/** Another takes its place. */
async function replaced(server: ServerProcess, victim: number): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (server.workers().length < 2 || server.workers().includes(victim)) {
    assert.ok(performance.now() < deadline, 'no worker came for the one that died');
    await pause(20);
  }
}

async function verified(at: Place): Promise<void> {
  const books = await openData(at.files.folder);
  const { differenceCount } = await books.ledger.verify();
  const { pendingNanoUsd } = await books.ledger.balance('w');
  await books.store.close();
  assert.equal(differenceCount, 0);
  assert.equal(pendingNanoUsd, 0);
}

/** After a worker was lost: every other one answers, nothing is held, and the books are right. */
async function servesOn(server: ServerProcess, at: Place): Promise<void> {
  for (let index = 0; index < 4; index += 1)
    assert.equal((await ask(server.url, at.key, {})).status, 200);
  const { held_usd: held } = await control(server.url, '/wallets/w');
  assert.equal(held, '0');
  await server.end('SIGTERM');
  await verified(at);
}

test('what both workers serve is one account: limits of a key hold, every answer has its receipt', async (t) => {
  const at = await placeOf(t, 0, { requests_per_minute: 10 });
  const server = await at.start();
  assert.equal(server.workers().length, 2);
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => ask(server.url, at.key, { stream: false })),
  );
  const statuses = answers.map(({ status }) => status).sort();
  assert.deepEqual(statuses, [...Array(10).fill(200), ...Array(20).fill(429)]);
  const receipts = answers
    .filter(({ status }) => status === 200)
    .map(({ text }) => asString(asObject(parseJsonObject(text)?.['usage'])?.['receipt_id']));
  assert.equal(new Set(receipts).size, 10);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /manifold_requests_total\{[^}]*status_class="2xx"\} 10\n/);
  // The request log waits for company, on its way from a worker too.
  const deadline = performance.now() + 10_000;
  const logged = async (): Promise<number | undefined> =>
    asArray((await control(server.url, '/requests?limit=100'))['requests'])?.length;
  while ((await logged()) !== 30) assert.ok(performance.now() < deadline, 'requests not logged');
  await server.end('SIGTERM');
  await verified(at);
});

test('repeats of a request meet, whichever worker they come to', async (t) => {
  const at = await placeOf(t, 20);
  const server = await at.start();
  const headers = { 'idempotency-key': 'one' };
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => ask(server.url, at.key, { stream: true }, headers)),
  );
  for (const { text } of answers) assert.equal(text, answers[0]?.text);
  assert.match(answers[0]?.text ?? '', /\[DONE\]/);
  assert.equal(at.vendor.seen.length, 1);
  await server.end('SIGTERM');
  await verified(at);
});

test('what the owner answers at once reaches the client, though the owner closes behind it', async (t) => {
  const at = await placeOf(t, 0);
  const server = await at.start();
  // Refused as soon as the body is there; one in twenty-five of these was lost.
  const body = 'no gzip';
  const headers = { 'idempotency-key': 'one', 'content-encoding': 'gzip' };
  for (let round = 0; round < 300; round += 1) {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers,
      body,
    });
    const text = await response.text();
    assert.equal(response.status, 400, `${round}: ${text}`);
    assert.match(text, /no valid gzip data/);
  }
});

test('a key that is revoked is refused by all workers at once', async (t) => {
  const at = await placeOf(t, 0);
  const server = await at.start();
  const ten = (): Promise<readonly number[]> =>
    Promise.all(Array.from({ length: 10 }, async () => (await ask(server.url, at.key, {})).status));
  assert.deepEqual(new Set(await ten()), new Set([200]));
  const { keys } = await control(server.url, '/keys');
  const keyId = asString(asObject(asArray(keys)?.[0])?.['key_id']);
  await control(server.url, `/keys/${keyId}`, 'DELETE');
  assert.deepEqual(new Set(await ten()), new Set([401]));
  await server.end('SIGTERM');
});

test('a worker that is killed takes its own streams along and nothing else', async (t) => {
  const at = await placeOf(t, 60);
  const server = await at.start();
  // Of a stream that the vendor has seen nothing need have reached its client yet.
  const nothing: Answer = { status: 0, text: '', whole: false };
  const answers = Array.from({ length: 20 }, () =>
    ask(server.url, at.key, { stream: true }).catch(() => nothing),
  );
  while (at.vendor.seen.length < 20) await pause(10);
  const [victim] = server.workers();
  assert.ok(victim !== undefined);
  process.kill(victim, 'SIGKILL');
  const ended = await Promise.all(answers);
  const whole = ended.filter((answer) => answer.whole && answer.text.includes('[DONE]'));
  // The one who deals them out does so to whoever is free.
  assert.ok(whole.length >= 5 && whole.length <= 15, `${whole.length} of 20 streams were whole`);
  for (const { text } of ended.filter((answer) => !whole.includes(answer)))
    assert.doesNotMatch(text, /\[DONE\]/);
  await replaced(server, victim);
  await servesOn(server, at);
});

test('a worker that hangs is replaced, and what it held is released', async (t) => {
  const at = await placeOf(t, 200, {}, { worker_silence_ms: 5_000 });
  const server = await at.start();
  const answers = Array.from({ length: 10 }, () =>
    ask(server.url, at.key, { stream: true }).catch(() => undefined),
  );
  while (at.vendor.seen.length < 10) await pause(10);
  const [victim] = server.workers();
  assert.ok(victim !== undefined);
  process.kill(victim, 'SIGSTOP');
  await replaced(server, victim);
  const whole = (await Promise.all(answers)).filter((answer) => answer?.text.includes('[DONE]'));
  assert.ok(whole.length >= 1 && whole.length <= 9, `${whole.length} of 10 streams were whole`);
  await servesOn(server, at);
});

test('when the owner of the books is killed the workers end, and its next life puts things right', async (t) => {
  const at = await placeOf(t, 60);
  const server = await at.start();
  const workers = server.workers();
  const answers = Array.from({ length: 10 }, () =>
    ask(server.url, at.key, { stream: true }).catch(() => undefined),
  );
  while (at.vendor.seen.length < 10) await pause(10);
  await server.end('SIGKILL');
  await Promise.all(answers);
  const deadline = performance.now() + 10_000;
  while (workers.some(isAlive)) {
    assert.ok(performance.now() < deadline, 'workers live on without their owner');
    await pause(20);
  }
  const next = await at.start();
  assert.equal((await ask(next.url, at.key, {})).status, 200);
  await next.end('SIGTERM');
  await verified(at);
});

test('a server that is told to stop lets the streams of its workers end', async (t) => {
  const at = await placeOf(t, 30);
  const server = await at.start();
  const answers = Array.from({ length: 8 }, () => ask(server.url, at.key, { stream: true }));
  while (at.vendor.seen.length < 8) await pause(10);
  await server.end('SIGTERM');
  for (const { text, whole } of await Promise.all(answers)) {
    assert.ok(whole);
    assert.match(text, /\[DONE\]/);
  }
  await verified(at);
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('what a worker cannot pass on is refused, and no head of a client ends a process', async (t) => {
  const at = await placeOf(t, 0);
  const server = await at.start();
  const { port } = new URL(server.url);
  const pids = server.workers();
  const heads = [
    'GET /metrics HTTP/1.1\r\nHost: x\r\nTrailer: x\r\n\r\n',
    'GET /metrics HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nmanifold-peer-address: 9.9.9.9\r\n\r\n',
    'GET /metrics HTTP/1.0\r\n\r\n',
    'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\nTrailer: x\r\nContent-Length: 2\r\n\r\n{}',
  ];
  const answers = await Promise.all(heads.map((head) => raw(Number(port), head)));
  assert.match(answers[0] ?? '', /^HTTP\/1\.1 200 /);
  assert.match(answers[1] ?? '', /^HTTP\/1\.1 200 /);
  assert.match(answers[2] ?? '', /^HTTP\/1\.1 200 [\s\S]*\r\n\r\n# HELP /);
  assert.match(answers[3] ?? '', /^HTTP\/1\.1 401 /);
  assert.deepEqual(server.workers(), pids);
});

test('a key with one place at a time serves one request after another, whichever worker has it', async (t) => {
  const at = await placeOf(t, 0, { concurrency: 1 });
  const server = await at.start();
  for (let index = 0; index < 40; index += 1)
    assert.equal((await ask(server.url, at.key, { stream: index % 2 === 0 })).status, 200);
});

test('channels that are refused reach no worker, also none that starts later', async (t) => {
  const at = await placeOf(t, 0);
  const server = await at.start();
  const [victim] = server.workers();
  assert.ok(victim !== undefined);
  // As a command writes it whose environment has the secret; the server's has not.
  const books = await openData(at.files.folder);
  const secret = '${A_SECRET_THAT_IS_NOT_THERE}';
  await books.store.channels.put('other', { id: 'other', provider: 'openai', secret });
  await books.store.close();
  process.kill(victim, 'SIGKILL');
  await replaced(server, victim);
  for (let index = 0; index < 4; index += 1)
    assert.equal((await ask(server.url, at.key, {})).status, 200);
});

/** What comes back on a connection until it is closed or silent. */
function raw(port: number, head: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(head));
    socket.setTimeout(2_000, () => socket.destroy());
    socket.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    socket.once('error', reject);
    socket.once('close', () => resolve(text));
  });
}
