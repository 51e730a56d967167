/** What a key may do, seen by its client: headers that count down, refusals that say when, revocation. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { KeyLimits } from '#access';
import { startRig, type Rig } from './rig.ts';

const question = { model: 'sim-chat', messages: [{ role: 'user', content: 'Hello there' }] };

async function rigWith(t: TestContext, limits: KeyLimits): Promise<Rig> {
  const rig = await startRig({ limits });
  t.after(() => rig.close());
  return rig;
}

async function ask(rig: Rig, body: object = question): Promise<Response> {
  const response = await rig.post('/v1/chat/completions', body);
  await response.clone().text();
  return response;
}

test('requests per minute count down, then the refusal says when to come again', async (t) => {
  const rig = await rigWith(t, { requests_per_minute: 2 });
  const first = await ask(rig);
  assert.equal(first.headers.get('x-ratelimit-limit-requests'), '2');
  assert.equal(first.headers.get('x-ratelimit-remaining-requests'), '1');
  assert.equal(
    (await ask(rig, { ...question, stream: true })).headers.get('x-ratelimit-remaining-requests'),
    '0',
  );
  const refused = await ask(rig);
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get('x-ratelimit-limit-requests'), '2');
  assert.equal(refused.headers.get('x-ratelimit-remaining-requests'), '0');
  const { error } = (await refused.json()) as { error: { code: string; request_id: string } };
  assert.equal(error.code, 'rate_limited');
  assert.equal(error.request_id, refused.headers.get('x-request-id'), 'the id that the log has');
  const seconds = Number(refused.headers.get('retry-after'));
  assert.ok(seconds > 0 && seconds <= 30, `${seconds}`);
});

test('what costs nothing counts as a request of the key, and needs and takes no tokens', async (t) => {
  const rig = await rigWith(t, { requests_per_minute: 5, tokens_per_minute: 20 });
  assert.equal((await ask(rig)).status, 200, 'its answer leaves a debt of tokens');
  const left: (string | null)[] = [];
  for (const path of ['/v1/messages/count_tokens', '/v1/quote', '/v1/route']) {
    const response = await rig.post(path, question);
    assert.equal(response.status, 200, `${path} ${await response.text()}`);
    left.push(response.headers.get('x-ratelimit-remaining-requests'));
  }
  assert.deepEqual(left, ['3', '2', '1']);
  const counted = await rig.post('/v1beta/models/sim-chat:countTokens', {
    contents: [{ parts: [{ text: 'Hello' }] }],
  });
  assert.equal(counted.status, 200, await counted.text());
  const refused = await rig.post('/v1/messages/count_tokens', question);
  assert.equal(refused.status, 429, await refused.text());
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
});

test('what only reads is bounded apart: it neither takes requests nor waits for them', async (t) => {
  const rig = await rigWith(t, { requests_per_minute: 1, concurrency: 1 });
  const read = async (path: string, method = 'GET'): Promise<number> => {
    const headers = { authorization: `Bearer ${rig.key}` };
    const response = await fetch(rig.url + path, { method, headers });
    await response.text();
    return response.status;
  };
  for (let count = 0; count < 30; count += 1) assert.equal(await read('/v1/models'), 200);
  const answer = await ask(rig);
  assert.equal(answer.status, 200);
  assert.equal((await ask(rig)).status, 429);
  assert.equal(await read('/v1/models/sim-chat'), 200, 'requests that are used up stop no reading');
  assert.equal(await read('/v1/responses/resp_none'), 404);
  assert.equal(await read('/v1/responses/resp_none', 'DELETE'), 404);
  const statuses: number[] = [];
  for (let count = 0; count < 40; count += 1)
    statuses.push(await read('/v1/responses/resp_none/input_items'));
  assert.equal(statuses.at(0), 404);
  assert.equal(statuses.at(-1), 429);
});

test('tokens per minute count the answer as well', async (t) => {
  const rig = await rigWith(t, { tokens_per_minute: 10_000 });
  await ask(rig);
  const second = await ask(rig);
  const left = Number(second.headers.get('x-ratelimit-remaining-tokens'));
  const { usage } = (await second.json()) as {
    usage: { total_tokens: number; prompt_tokens: number };
  };
  assert.ok(usage.total_tokens > usage.prompt_tokens);
  // The first answer in full and the estimate of the second question; a little has come back since.
  assert.ok(left <= 10_000 - usage.total_tokens, `${left} left`);
});

test('a key for some models sees and uses only those', async (t) => {
  const rig = await rigWith(t, { models: ['sim-r*'] });
  const headers = { authorization: `Bearer ${rig.key}` };
  const listed = await (await fetch(`${rig.url}/v1/models`, { headers })).json();
  assert.deepEqual(
    (listed as { data: { id: string }[] }).data.map(({ id }) => id),
    ['sim-reasoning'],
  );
  assert.equal((await ask(rig)).status, 403);
  assert.equal((await ask(rig, { ...question, model: 'sim-reasoning' })).status, 200);
});

test('a revoked key is refused at once', async (t) => {
  const rig = await rigWith(t, {});
  assert.equal((await ask(rig)).status, 200);
  const [record] = await rig.books.access.listKeys({});
  await rig.books.access.revokeKey(record?.keyId ?? '');
  const refused = await ask(rig);
  assert.equal(refused.status, 401);
  assert.match(await refused.text(), /was revoked/);
});

test('a key for some addresses asks a trusted proxy for its client, and nobody else', async (t) => {
  const limits = { ip_ranges: ['203.0.113.0/24'] };
  for (const [proxies, client, status] of [
    [['127.0.0.0/8'], '203.0.113.7', 200],
    [['127.0.0.0/8'], '198.51.100.7', 403],
    [['127.0.0.0/8'], '203.0.113.7, 198.51.100.7', 403],
    [[], '203.0.113.7', 403],
  ] as const) {
    const config = { listen: { port: 0, trusted_proxies: proxies } };
    const rig = await startRig({ limits, config });
    t.after(() => rig.close());
    const response = await rig.post('/v1/chat/completions', question, {
      'x-forwarded-for': client,
    });
    assert.equal(response.status, status, `${client} through ${proxies.join(', ')}`);
    await response.text();
  }
});
