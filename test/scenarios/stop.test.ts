/** A server that is told to stop while work goes on for clients that are no longer there. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Receipt } from '#ledger';
import { openData, type ServerProcess } from '../crash/gateway-process.ts';
import { place, type Place } from './server-place.ts';

/** A vendor goes on charging for clients that have left. */
function placeOf(
  t: TestContext,
  paceMs: number,
  settings: Readonly<Record<string, unknown>>,
): Promise<Place> {
  return place(t, { paceMs, settings, channel: { abort_stops_billing: 'no' } });
}

const question = {
  model: 'sim-chat',
  stream: true,
  messages: [{ role: 'user', content: 'Say something long about nothing in particular.' }],
};

/** How each dialect says in the middle of a stream that no more of it comes. */
const streamsOfDialects = {
  'OpenAI chat': {
    path: '/v1/chat/completions',
    body: question,
    ends: /data: \{"error":\{[^\n]*"code":"shutting_down"[^\n]*\n\n/,
  },
  'OpenAI Responses': {
    path: '/v1/responses',
    body: { model: 'sim-chat', stream: true, input: 'Say something long.' },
    ends: /event: (?:error|response\.failed)\ndata: \{[^\n]*shutting_down[^\n]*\n\n/,
  },
  'Anthropic Messages': {
    path: '/v1/messages',
    body: { ...question, max_tokens: 500 },
    ends: /event: error\ndata: \{"type":"error","error":\{"type":"overloaded_error"[^\n]*\n\n/,
  },
  'Gemini as events': {
    path: '/v1beta/models/sim-chat:streamGenerateContent?alt=sse',
    body: { contents: [{ role: 'user', parts: [{ text: 'Say something long.' }] }] },
    ends: /data: \{"error":\{"code":503,[^\n]*"UNAVAILABLE"[^\n]*\r\n\r\n/,
  },
  'Gemini as an array': {
    path: '/v1beta/models/sim-chat:streamGenerateContent',
    body: { contents: [{ role: 'user', parts: [{ text: 'Say something long.' }] }] },
    ends: /,\s*\{"error":\{"code":503,[^\n]*"UNAVAILABLE"[^\n]*\]\s*$/,
  },
} as const;

function ask(
  { key }: Place,
  { url }: ServerProcess,
  headers: Readonly<Record<string, string>>,
  body: unknown = question,
  signal?: AbortSignal,
): Promise<Response> {
  return askAt(`${url}/v1/chat/completions`, key, headers, body, signal);
}

function askAt(
  url: string,
  key: string,
  headers: Readonly<Record<string, string>>,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

/** Resolves when some of the answer is here; `rest` is all of it, once it has ended. */
async function readBeginning(
  asked: Promise<Response>,
): Promise<{ readonly rest: () => Promise<string> }> {
  const reader = (await asked).body?.getReader();
  assert.ok(reader);
  const decoder = new TextDecoder();
  let text = decoder.decode((await reader.read()).value, { stream: true });
  return {
    async rest() {
      for (let read = await reader.read(); !read.done; read = await reader.read())
        text += decoder.decode(read.value, { stream: true });
      return text;
    },
  };
}

/** Reads the beginning of an answer and leaves. */
async function leaveEarly(
  at: Place,
  server: ServerProcess,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const hangUp = new AbortController();
  const response = await ask(at, server, headers, question, hangUp.signal);
  await response.body?.getReader().read();
  hangUp.abort();
  await pause(50);
}

/** The books of a server that has stopped; nothing may be left for a recovery. */
async function receiptsLeft({ files }: Place): Promise<readonly Receipt[]> {
  const books = await openData(files.folder);
  const { differenceCount } = await books.ledger.verify();
  const { pendingNanoUsd } = await books.ledger.balance('w');
  const { receipts } = await books.ledger.statement({ walletId: 'w', limit: 10 });
  await books.store.close();
  assert.equal(differenceCount, 0);
  assert.equal(pendingNanoUsd, 0, 'a hold was left');
  return receipts;
}

for (const workers of [1, 2])
  describe(`a server of ${workers} that is told to stop`, () => {
    it('lets its streams end when its terminal closes', async (t) => {
      const at = await placeOf(t, 60, { workers });
      const server = await at.start({ atTerminal: true });
      const reader = await readBeginning(ask(at, server, {}));
      server.stopListening();
      // A terminal tells every process that it started, and its shell may tell them once more.
      for (const worker of server.workers()) process.kill(worker, 'SIGHUP');
      const told = [server.end('SIGHUP'), server.end('SIGHUP')];
      assert.match(await reader.rest(), /\[DONE\]/);
      assert.equal(await told[0], 0);
      assert.equal((await receiptsLeft(at))[0]?.usageSource, 'provider');
    });

    it('serves on when a terminal closes that it was detached from, as `nohup` does', async (t) => {
      const at = await placeOf(t, 0, { workers });
      const server = await at.start();
      process.kill(server.pid, 'SIGHUP');
      for (const worker of server.workers()) process.kill(worker, 'SIGHUP');
      // A signal that ended it would have done so by then.
      await pause(300);
      assert.equal((await ask(at, server, {})).status, 200);
      assert.equal(await server.end('SIGTERM'), 0);
    });

    it('serves on when nobody reads its log any more', async (t) => {
      const at = await placeOf(t, 0, { workers });
      // A vendor that knows its key no more is worth a line.
      at.vendor.script.replace([{ fault: { status: 401 } }]);
      const server = await at.start();
      server.stopListening();
      for (let index = 0; index < 3; index += 1)
        assert.ok((await ask(at, server, {})).status >= 500);
      assert.equal(await server.end('SIGTERM'), 0);
    });

    it('reads on for the usage of an answer whose client has left', async (t) => {
      const at = await placeOf(t, 60, { workers });
      const server = await at.start();
      await leaveEarly(at, server);
      await server.end('SIGTERM');
      const [receipt] = await receiptsLeft(at);
      assert.equal(receipt?.kind, 'usage');
      assert.equal(receipt.usageSource, 'provider');
    });

    it('charges what is known when its time is over before that reading is', async (t) => {
      const at = await placeOf(t, 1_000, { workers, stop_ms: 200 });
      const server = await at.start();
      await leaveEarly(at, server);
      await server.end('SIGTERM');
      const [receipt] = await receiptsLeft(at);
      assert.equal(receipt?.kind, 'usage');
      assert.equal(receipt.usageSource, 'estimated');
    });

    it('finishes and keeps the answer to an Idempotency-Key whose client has left', async (t) => {
      const at = await placeOf(t, 60, { workers });
      const server = await at.start();
      const headers = { 'idempotency-key': 'one' };
      await leaveEarly(at, server, headers);
      await server.end('SIGTERM');
      const [receipt] = await receiptsLeft(at);
      assert.equal(receipt?.kind, 'usage');
      const next = await at.start();
      const again = await ask(at, next, headers);
      assert.equal(again.headers.get('x-manifold-replayed'), 'true');
      assert.match(await again.text(), /\[DONE\]/);
      await next.end('SIGTERM');
      assert.equal(at.vendor.seen.length, 1);
    });

    it('ends a request with an Idempotency-Key when its time is over', async (t) => {
      const at = await placeOf(t, 1_000, { workers, stop_ms: 200 });
      const server = await at.start();
      await leaveEarly(at, server, { 'idempotency-key': 'one' });
      await server.end('SIGTERM');
      assert.equal((await receiptsLeft(at))[0]?.kind, 'usage');
    });

    it('tells a client that still waits when its time is over that it may ask again', async (t) => {
      const at = await placeOf(t, 1_000, { workers, stop_ms: 300 });
      at.vendor.script.replace([{ fault: { first_byte_delay_ms: 10_000 } }]);
      const server = await at.start();
      const asked = [true, false].map((stream) => ask(at, server, {}, { ...question, stream }));
      while (at.vendor.seen.length < 2) await pause(10);
      const ended = server.end('SIGTERM');
      for (const answer of await Promise.all(asked)) {
        assert.equal(answer.status, 503);
        assert.match(await answer.text(), /shutting_down/);
      }
      await ended;
      const [last, before] = await receiptsLeft(at);
      assert.deepEqual([last?.kind, before?.kind], ['void', 'void']);
    });

    for (const [name, { path, body, ends }] of Object.entries(streamsOfDialects))
      it(`ends a stream that outlasts its time with an error of ${name}, and charges what left`, async (t) => {
        const at = await placeOf(t, 400, { workers, stop_ms: 300 });
        const server = await at.start();
        const asked = [{}, { 'idempotency-key': 'one' }].map((headers) =>
          askAt(`${server.url}${path}`, at.key, headers, body),
        );
        const readers = await Promise.all(asked.map(readBeginning));
        const ended = server.end('SIGTERM');
        // A connection that is cut rejects here.
        for (const reader of readers) assert.match(await reader.rest(), ends);
        await ended;
        const receipts = (await receiptsLeft(at)).slice(0, 2);
        for (const receipt of receipts) {
          assert.equal(receipt.kind, 'usage');
          assert.equal(receipt.usageSource, 'estimated');
          assert.ok(receipt.chargeNanoUsd > 0);
        }
      });
  });
