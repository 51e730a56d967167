import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sseData, startRig, type Rig } from './rig.ts';

const question = { model: 'sim-chat', messages: [{ role: 'user', content: 'Hello there' }] };

describe('a chat request through the whole gateway', () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(() => rig.close());

  it('answers with usage, the cost and the id of a receipt that says the same', async () => {
    const response = await rig.post('/v1/chat/completions', question);
    assert.equal(response.status, 200);
    const body = (await response.json()) as {
      usage: { cost: number; receipt_id: string; prompt_tokens: number; completion_tokens: number };
    };
    const receipt = await rig.books.ledger.receipt(body.usage.receipt_id);
    assert.equal(
      receipt?.chargeNanoUsd,
      Math.ceil((body.usage.prompt_tokens * 100 + body.usage.completion_tokens * 400) / 1),
    );
    assert.equal(body.usage.cost, (receipt?.chargeNanoUsd ?? 0) / 1e9);
    assert.equal(response.headers.get('x-manifold-receipt'), body.usage.receipt_id);
  });

  it('streams the same words with the finish, the usage and [DONE] in that order', async () => {
    const response = await rig.post('/v1/chat/completions', {
      ...question,
      stream: true,
      stream_options: { include_usage: true },
    });
    const text = await response.text();
    const chunks = sseData(text) as {
      choices: { delta: { content?: string }; finish_reason: string | null }[];
      usage: { cost: number } | null;
    }[];
    assert.match(
      chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''),
      /You said: "Hello there"/,
    );
    assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, 'stop');
    assert.ok((chunks.at(-1)?.usage?.cost ?? 0) > 0);
    assert.ok(text.trimEnd().endsWith('data: [DONE]'));
  });

  it('hides the usage chunk from a client that did not ask, and tells the price in a comment', async () => {
    const text = await (
      await rig.post('/v1/chat/completions', { ...question, stream: true })
    ).text();
    assert.ok(sseData(text).every((chunk) => (chunk['choices'] as unknown[]).length > 0));
    assert.match(text, /\n: cost_usd=0\.0000\d+ receipt_id=rcpt_req_/);
  });

  it('holds nothing when it is over', async () => {
    await (await rig.post('/v1/chat/completions', { ...question, stream: true })).text();
    const balance = await rig.books.ledger.balance(rig.walletId);
    assert.equal(balance.pendingNanoUsd, 0);
    assert.ok(balance.availableNanoUsd < 10_000_000_000);
  });

  it('answers the clients of all other dialects over the same upstream', async () => {
    const anthropic = await rig.post('/v1/messages', {
      model: 'sim-chat',
      max_tokens: 50,
      messages: question.messages,
    });
    assert.equal(((await anthropic.json()) as { type: string }).type, 'message');
    const gemini = await rig.post('/v1beta/models/sim-chat:generateContent', {
      contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
    });
    assert.equal(
      ((await gemini.json()) as { candidates: { finishReason: string }[] }).candidates[0]
        ?.finishReason,
      'STOP',
    );
    const responses = await rig.post('/v1/responses', { model: 'sim-chat', input: 'hi' });
    assert.equal(((await responses.json()) as { status: string }).status, 'completed');
    const array = (await (
      await rig.post('/v1beta/models/sim-chat:streamGenerateContent', {
        contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
      })
    ).json()) as unknown[];
    assert.ok(array.length > 1);
  });

  it('continues a stored response by its id, over any upstream', async () => {
    const first = (await (
      await rig.post('/v1/responses', { model: 'sim-chat', input: 'My name is Ada.' })
    ).json()) as { id: string };
    const second = await rig.post('/v1/responses', {
      model: 'sim-chat',
      input: 'And now?',
      previous_response_id: first.id,
    });
    assert.equal(second.status, 200);
    const sent = rig.vendors['simulator']?.seen.at(-1)?.body['input'] as { role?: string }[];
    assert.equal(sent.length, 3);
    const unknown = await rig.post('/v1/responses', {
      model: 'sim-chat',
      input: 'x',
      previous_response_id: 'resp_unknown',
    });
    assert.equal(unknown.status, 400);
    assert.match(await unknown.text(), /resp_unknown/);
  });

  it('lets no client see another wallet’s stored response', async () => {
    const first = (await (
      await rig.post('/v1/responses', { model: 'sim-chat', input: 'secret' })
    ).json()) as { id: string };
    const { key } = await rig.books.access.createKey({
      name: 'stranger',
      walletId: 'wallet_other',
    });
    const stranger = await fetch(`${rig.url}/v1/responses/${first.id}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    assert.equal(stranger.status, 404);
    const owner = await fetch(`${rig.url}/v1/responses/${first.id}`, {
      headers: { authorization: `Bearer ${rig.key}` },
    });
    assert.equal(owner.status, 200);
  });
});

describe('a request that cannot be served', () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig({ balanceUsd: 0 });
  });
  after(() => rig.close());

  it('is refused with 402 and the amounts when the wallet is empty, without an upstream call', async () => {
    const response = await rig.post('/v1/chat/completions', question);
    assert.equal(response.status, 402);
    assert.match(await response.text(), /0 USD available/);
    assert.equal(rig.vendors['simulator']?.seen.length, 0);
  });

  it('names the nearest models when the model is unknown', async () => {
    const response = await rig.post('/v1/chat/completions', { ...question, model: 'sim-chatt' });
    assert.equal(response.status, 404);
    assert.match(await response.text(), /sim-chat/);
  });

  it('is told what is wrong with a bad key in the words of its dialect', async () => {
    const openai = await rig.post('/v1/chat/completions', question, {
      authorization: 'Bearer sk-wrong',
    });
    assert.equal(openai.status, 401);
    const anthropic = await rig.post(
      '/v1/messages',
      {},
      { authorization: '', 'x-api-key': 'nope' },
    );
    assert.equal(
      ((await anthropic.json()) as { error: { type: string } }).error.type,
      'authentication_error',
    );
    const gemini = await rig.post(
      '/v1beta/models/sim-chat:generateContent',
      {},
      { authorization: '', 'x-goog-api-key': 'nope' },
    );
    assert.equal(
      ((await gemini.json()) as { error: { status: string } }).error.status,
      'UNAUTHENTICATED',
    );
  });

  it('names the field that is wrong', async () => {
    const response = await rig.post('/v1/chat/completions', {
      model: 'sim-chat',
      messages: [{ role: 'user', content: 7 }],
    });
    assert.equal(response.status, 400);
    assert.match(await response.text(), /messages\[0\]\.content/);
  });
});
