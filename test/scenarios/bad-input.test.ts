/** Bad input gets the status that the client's dialect defines; it reserves nothing and reaches nobody. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startRig, type Rig } from './rig.ts';

type Case = {
  readonly name: string;
  readonly path: string;
  readonly body: string | (() => string);
  readonly status: number;
  readonly method?: string;
  readonly headers?: Record<string, string>;
};

const chat = '/v1/chat/completions';
const cases: readonly Case[] = [
  { name: 'an empty body', path: chat, body: '', status: 400 },
  { name: 'text that is not JSON', path: chat, body: 'hello', status: 400 },
  { name: 'an array instead of an object', path: chat, body: '[]', status: 400 },
  {
    name: 'JSON nested five million deep',
    path: chat,
    body: () => '['.repeat(5_000_000),
    status: 400,
  },
  {
    name: 'a body of 40 MiB',
    path: chat,
    body: () =>
      `{"model":"sim-chat","messages":[{"role":"user","content":"${'a'.repeat(40 * 2 ** 20)}"}]}`,
    status: 413,
  },
  {
    name: 'two models in one body',
    path: chat,
    body: '{"model":"sim-chat","model":"other","messages":[]}',
    status: 400,
  },
  {
    name: 'an unknown model',
    path: chat,
    body: '{"model":"nobody-knows","messages":[{"role":"user","content":"x"}]}',
    status: 404,
  },
  { name: 'no messages', path: chat, body: '{"model":"sim-chat"}', status: 400 },
  {
    name: 'a temperature that is text',
    path: chat,
    body: '{"model":"sim-chat","temperature":"hot","messages":[{"role":"user","content":"x"}]}',
    status: 400,
  },
  {
    name: 'a max_tokens of 1e400',
    path: chat,
    body: '{"model":"sim-chat","max_tokens":1e400,"messages":[{"role":"user","content":"x"}]}',
    status: 400,
  },
  {
    name: 'a negative max_tokens',
    path: chat,
    body: '{"model":"sim-chat","max_tokens":-5,"messages":[{"role":"user","content":"x"}]}',
    status: 400,
  },
  {
    name: 'a max_cost of more than an amount can be',
    path: chat,
    body: '{"model":"sim-chat","max_cost":9500000,"messages":[{"role":"user","content":"x"}]}',
    status: 400,
  },
  { name: 'a wrong method', path: chat, body: '{}', status: 405, method: 'PUT' },
  { name: 'an unknown path', path: '/v1/nothing/here', body: '{}', status: 404 },
  {
    name: 'a bad key',
    path: chat,
    body: '{}',
    status: 401,
    headers: { authorization: 'Bearer sk-nope' },
  },
  { name: 'no key at all', path: chat, body: '{}', status: 401, headers: { authorization: '' } },
  {
    name: 'no max_tokens, in Anthropic’s dialect',
    path: '/v1/messages',
    body: '{"model":"sim-chat","messages":[{"role":"user","content":"x"}]}',
    status: 400,
  },
  {
    name: 'contents that are no list, in Gemini’s dialect',
    path: '/v1beta/models/sim-chat:generateContent',
    body: '{"contents":7}',
    status: 400,
  },
  {
    name: 'an input that is a number, in the Responses dialect',
    path: '/v1/responses',
    body: '{"model":"sim-chat","input":7}',
    status: 400,
  },
  {
    name: 'a background response',
    path: '/v1/responses',
    body: '{"model":"sim-chat","input":"x","background":true}',
    status: 400,
  },
  {
    name: 'an embedding of nothing',
    path: '/v1/embeddings',
    body: '{"model":"sim-embedding"}',
    status: 400,
  },
];

/** Where each dialect says what went wrong. */
function messageOf(path: string, text: string): string {
  const body = JSON.parse(text) as {
    error?: { message?: string; code?: unknown; type?: string; status?: string };
    type?: string;
  };
  if (path.startsWith('/v1/messages')) assert.equal(body.type, 'error');
  if (path.startsWith('/v1beta')) assert.equal(typeof body.error?.status, 'string');
  return body.error?.message ?? '';
}

describe('bad input', () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(() => rig.close());

  for (const { name, path, body, status, method, headers } of cases) {
    it(`gets ${status} and a reason: ${name}`, async () => {
      const before = await rig.books.ledger.balance(rig.walletId);
      const response = await fetch(rig.url + path, {
        method: method ?? 'POST',
        headers: {
          authorization: `Bearer ${rig.key}`,
          'content-type': 'application/json',
          ...headers,
        },
        body: typeof body === 'string' ? body : body(),
      });
      const text = await response.text();
      assert.equal(response.status, status, text.slice(0, 300));
      assert.ok(messageOf(path, text).length > 10);
      assert.deepEqual(await rig.books.ledger.balance(rig.walletId), before);
      assert.equal(rig.vendors['simulator']?.seen.length, 0);
    });
  }

  it('does not stall the others: the event loop keeps turning under five million brackets', async () => {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const body = Buffer.from('['.repeat(5_000_000));
    await rig.post(chat, 'warm');
    delay.enable();
    await (
      await fetch(rig.url + chat, {
        method: 'POST',
        headers: { authorization: `Bearer ${rig.key}` },
        body,
      })
    ).text();
    delay.disable();
    console.log(
      `longest stall while refusing 5 MB of brackets: ${(delay.max / 1e6).toFixed(1)} ms`,
    );
    // The client runs in this process too, and the machine is shared: the bound is generous.
    assert.ok(delay.max < 1e9);
  });

  it('leaves the server alive', async () => {
    const response = await rig.post(chat, {
      model: 'sim-chat',
      messages: [{ role: 'user', content: 'still there?' }],
    });
    assert.equal(response.status, 200);
  });
});
