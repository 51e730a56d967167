import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { nanoUsd } from '#std';
import { startRig, type Rig } from './rig.ts';

const question = {
  model: 'sim-chat',
  stream: true,
  messages: [{ role: 'user', content: 'a question that is answered once' }],
};

/** Reads the first `bytes` of a stream, then hangs up. */
async function readSome(
  rig: Rig,
  path: string,
  body: unknown,
  key: string,
  bytes: number,
): Promise<string> {
  const hangUp = new AbortController();
  const response = await rig.post(path, body, { 'idempotency-key': key }, hangUp.signal);
  const reader = response.body?.getReader();
  let text = '';
  while (reader && text.length < bytes) {
    const { done, value } = await reader.read();
    if (done) break;
    text += Buffer.from(value).toString('utf8');
  }
  hangUp.abort();
  return text;
}

describe('an Idempotency-Key', () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig({ vendors: [{ id: 'simulator', simulator: { paceMs: 3 } }] });
  });
  after(() => rig.close());
  const calls = (): number => rig.vendors['simulator']?.seen.length ?? 0;

  it('makes one upstream call and one charge of a hundred requests at once', async () => {
    const before = calls();
    const balance = await rig.books.ledger.balance(rig.walletId);
    const texts = await Promise.all(
      Array.from({ length: 100 }, async () =>
        (await rig.post('/v1/chat/completions', question, { 'idempotency-key': 'one' })).text(),
      ),
    );
    assert.equal(calls() - before, 1);
    assert.equal(new Set(texts).size, 1);
    const [receipt] = (await rig.books.ledger.statement({ walletId: rig.walletId, limit: 1 }))
      .receipts;
    const after = await rig.books.ledger.balance(rig.walletId);
    assert.equal(balance.availableNanoUsd - after.availableNanoUsd, receipt?.chargeNanoUsd);
  });

  it('keeps the answers of two wallets that chose the same one', async () => {
    const { transcripts } = rig.runtime.services;
    const walletId = 'wallet_other';
    await rig.books.ledger.credit({
      walletId,
      amountNanoUsd: nanoUsd(1e9),
      lotKind: 'paid',
      source: 'test',
      eventId: 'other',
      actor: 'test',
    });
    const { key } = await rig.books.access.createKey({ name: 'other', walletId });
    for (const [wallet, secret] of [
      [rig.walletId, rig.key],
      [walletId, key],
    ] as const) {
      const headers = { 'idempotency-key': 'shared', authorization: `Bearer ${secret}` };
      const body = { ...question, stream: false };
      const first = await (await rig.post('/v1/chat/completions', body, headers)).text();
      const place = `${wallet} shared`;
      while (!(await rig.books.store.blobs.get('answers', place, wallet)))
        await new Promise((resolve) => setTimeout(resolve, 5));
      const remembered = transcripts.get(place);
      if (remembered) transcripts.remove(place, remembered);
      const again = await rig.post('/v1/chat/completions', body, headers);
      assert.equal(again.headers.get('x-manifold-replayed'), 'true');
      assert.equal(await again.text(), first);
    }
  });

  it('gives a client that lost its network the whole answer when it asks again', async () => {
    const before = calls();
    const part = await readSome(rig, '/v1/chat/completions', question, 'two', 600);
    const whole = await (
      await rig.post('/v1/chat/completions', question, { 'idempotency-key': 'two' })
    ).text();
    assert.ok(whole.startsWith(part.slice(0, 300)));
    assert.match(whole, /data: \[DONE\]/);
    assert.equal(calls() - before, 1);
  });

  it('continues after the event that the client names as its last', async () => {
    const whole = await (
      await rig.post('/v1/chat/completions', question, { 'idempotency-key': 'three' })
    ).text();
    const events = whole.split(/(?=id: \d+\n)/);
    const response = await rig.post('/v1/chat/completions', question, {
      'idempotency-key': 'three',
      'last-event-id': '4',
    });
    assert.equal(response.headers.get('x-manifold-replayed'), 'true');
    const rest = await response.text();
    assert.equal(rest, events.slice(4).join(''));
  });

  it('works in every dialect, streamed or not', async () => {
    const asks: [string, unknown][] = [
      [
        '/v1/messages',
        { model: 'sim-chat', max_tokens: 90, stream: true, messages: question.messages },
      ],
      ['/v1/responses', { model: 'sim-chat', input: 'hello', stream: true }],
      [
        '/v1beta/models/sim-chat:streamGenerateContent?alt=sse',
        { contents: [{ role: 'user', parts: [{ text: 'hello' }] }] },
      ],
      ['/v1/chat/completions', { ...question, stream: false }],
    ];
    for (const [index, [path, body]] of asks.entries()) {
      const before = calls();
      await readSome(rig, path, body, `each-${index}`, 100);
      const first = await (
        await rig.post(path, body, { 'idempotency-key': `each-${index}` })
      ).text();
      const second = await (
        await rig.post(path, body, { 'idempotency-key': `each-${index}` })
      ).text();
      assert.equal(first, second, path);
      assert.ok(first.length > 100, path);
      assert.equal(calls() - before, 1, path);
    }
  });

  it('is refused with 422 for another body, and says so', async () => {
    await (await rig.post('/v1/chat/completions', question, { 'idempotency-key': 'four' })).text();
    const other = await rig.post(
      '/v1/chat/completions',
      { ...question, temperature: 1 },
      { 'idempotency-key': 'four' },
    );
    assert.equal(other.status, 422);
    assert.match(await other.text(), /other parameters/);
  });

  it('can be used again after a request that was refused', async () => {
    const refused = await rig.post(
      '/v1/chat/completions',
      { ...question, messages: 1 },
      { 'idempotency-key': 'five' },
    );
    assert.equal(refused.status, 400);
    const good = await rig.post('/v1/chat/completions', question, { 'idempotency-key': 'five' });
    assert.equal(good.status, 200);
    await good.text();
  });

  it('belongs to a wallet: another wallet’s same key is another request', async () => {
    await (await rig.post('/v1/chat/completions', question, { 'idempotency-key': 'six' })).text();
    await rig.books.ledger.credit({
      walletId: 'wallet_b',
      amountNanoUsd: 1_000_000_000 as never,
      lotKind: 'gift',
      source: 't',
      eventId: 'b',
      actor: 't',
    });
    const { key } = await rig.books.access.createKey({ name: 'b', walletId: 'wallet_b' });
    const before = calls();
    await (
      await rig.post('/v1/chat/completions', question, {
        authorization: `Bearer ${key}`,
        'idempotency-key': 'six',
      })
    ).text();
    assert.equal(calls() - before, 1);
  });

  it('belongs to whoever spends the wallet, also where the key stands in the address', async () => {
    const { key: other } = await rig.books.access.createKey({ name: 'x', walletId: rig.walletId });
    const contents = [{ role: 'user', parts: [{ text: 'hello' }] }];
    const before = calls();
    const texts: string[] = [];
    for (const key of [rig.key, other]) {
      const response = await fetch(
        `${rig.url}/v1beta/models/sim-chat:generateContent?key=${encodeURIComponent(key)}`,
        {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'idempotency-key': 'seven' },
          body: JSON.stringify({ contents }),
        },
      );
      assert.equal(response.status, 200);
      texts.push(await response.text());
    }
    assert.equal(texts[0], texts[1]);
    assert.equal(calls() - before, 1);
  });

  it('holds for embeddings', async () => {
    const before = calls();
    const body = { model: 'sim-embedding', input: 'hello' };
    const ask = async (path: string, key: string, asked: unknown): Promise<string> => {
      const response = await rig.post(path, asked, { 'idempotency-key': key });
      assert.equal(response.status, 200);
      return response.text();
    };
    const first = await ask('/v1/embeddings', 'eight', body);
    assert.equal(await ask('/v1/embeddings', 'eight', body), first);
    const gemini = '/v1beta/models/sim-embedding:embedContent';
    const content = { content: { parts: [{ text: 'hello' }] } };
    assert.equal(await ask(gemini, 'nine', content), await ask(gemini, 'nine', content));
    assert.equal(calls() - before, 2);
  });
});

describe('a request with an Idempotency-Key that has no answer in its time', () => {
  it('ends with an error for all who wait, and its key may be used again', async () => {
    const fault = { first_byte_delay_ms: 60_000 };
    // The first request and the third.
    const rules = [
      { times: 1, fault },
      { skip: 1, times: 1, fault },
    ];
    const rig = await startRig({
      vendors: [{ id: 'simulator', rules }],
      config: { request_ms: 400 },
    });
    try {
      for (const stream of [true, false]) {
        const ask = async (): Promise<number> => {
          const headers = { 'idempotency-key': `late-${stream}` };
          const signal = AbortSignal.timeout(10_000);
          const response = await rig.post(
            '/v1/chat/completions',
            { ...question, stream },
            headers,
            signal,
          );
          await response.text();
          return response.status;
        };
        assert.deepEqual(await Promise.all([ask(), ask()]), [504, 504]);
        assert.equal(await ask(), 200);
      }
    } finally {
      await rig.close();
    }
  });
});
