/** What a client can do with a key to others, or without paying: nothing. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Services } from '#gateway';
import { recordOf, startRig, type Rig } from './rig.ts';

const messages = [{ role: 'user', content: 'hello' }];

describe('a request that no channel can be asked', () => {
  const mebibytes: { each: number } = { each: 1 };
  let rig: Rig;
  let fetched: AbortSignal[] = [];
  let running = 0;
  let runningMost = 0;
  const egress: Services['egress'] = {
    fetchMedia: async (_url, wish) => {
      if (wish?.signal) fetched.push(wish.signal);
      running += 1;
      runningMost = Math.max(running, runningMost);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return { bytes: new Uint8Array(mebibytes.each * 2 ** 20), mimeType: 'image/png' };
    },
  };
  before(async () => {
    const sim = { prices: 'free', dialects: ['openai-chat'] };
    const quirks = { fetchesUrls: false };
    rig = await startRig({
      vendors: [
        { id: 'first' },
        { id: 'second' },
        { id: 'inlined', channel: { models: { 'sim-inlined': sim }, quirks } },
      ],
      services: (services) => ({ ...services, egress }),
    });
  });
  after(() => rig.close());

  const withImages = (count: number): unknown => ({
    model: 'sim-inlined',
    max_tokens: 20,
    messages: [
      {
        role: 'user',
        content: Array.from({ length: count }, (_, index) => ({
          type: 'image',
          source: { type: 'url', url: `https://pictures.test/${index}.png` },
        })),
      },
    ],
  });

  it('for a header that cannot be sent on is refused, and no channel is taken for dead', async () => {
    const body = { model: 'sim-chat', max_tokens: 20, messages };
    for (let count = 0; count < 4; count += 1) {
      const response = await rig.post('/v1/messages', body, { 'anthropic-beta': 'café' });
      assert.equal(response.status, 400, await response.text());
    }
    for (const { error_level, active, channel } of rig.runtime.owned.router.status().lanes) {
      assert.equal(error_level, 0, channel);
      assert.equal(active, 0, channel);
    }
    assert.equal((await rig.post('/v1/messages', body)).status, 200);
  });

  it('for too many URLs is refused before any of them is fetched', async () => {
    fetched = [];
    const response = await rig.post('/v1/messages', withImages(101));
    assert.equal(response.status, 400, await response.text());
    assert.equal(fetched.length, 0);
  });

  it('for files that are too large together is refused as soon as they are', async () => {
    mebibytes.each = 16;
    fetched = [];
    const response = await rig.post('/v1/messages', withImages(20));
    assert.equal(response.status, 400, await response.text());
    // The fifth is too much, and some were on their way.
    assert.ok(fetched.length >= 5 && fetched.length <= 8, String(fetched.length));
    assert.equal(new Set(fetched).size, 1);
    assert.ok(fetched[0]?.aborted);
  });

  it('is asked with all its files, fetched a few at a time', async () => {
    mebibytes.each = 0.1;
    fetched = [];
    runningMost = 0;
    const response = await rig.post('/v1/messages', withImages(20));
    assert.equal(response.status, 200, await response.text());
    assert.equal(fetched.length, 20);
    assert.equal(runningMost, 4);
  });
});

describe('what a client names as it likes', () => {
  let rig: Rig;
  let session = '';
  before(async () => {
    rig = await startRig({
      services: (services) => ({
        ...services,
        router: {
          plan: (request) => {
            session = request.sessionKey ?? '';
            return services.router.plan(request);
          },
        },
      }),
    });
  });
  after(() => rig.close());

  it('is no weight on the memory of sessions, and still tells one from another', async () => {
    const sessions: string[] = [];
    for (const last of ['a', 'b', 'a']) {
      const prompt_cache_key = 's'.repeat(1_000_000) + last;
      const body = { model: 'sim-chat', messages, prompt_cache_key };
      assert.equal((await rig.post('/v1/chat/completions', body)).status, 200);
      sessions.push(session);
    }
    assert.ok(session.length < 256, String(session.length));
    assert.equal(sessions[0], sessions[2]);
    assert.notEqual(sessions[0], sessions[1]);
  });

  it('is kept in the record with its beginning only', async () => {
    const body = { model: 'm'.repeat(1_000_000), messages };
    const response = await rig.post('/v1/chat/completions', body);
    assert.equal(response.status, 404);
    const record = await recordOf(rig, response.headers.get('x-request-id') ?? '');
    assert.equal(record.model, `${'m'.repeat(200)}…`);
  });
});

describe('a request that lives long', () => {
  it('has its money held for longer than it may live', async () => {
    let lifeMs = 0;
    const rig = await startRig({
      config: { request_ms: 7_200_000 },
      services: (services) => ({
        ...services,
        ledger: {
          ...services.ledger,
          reserve: (request) => {
            lifeMs = request.expiresAtMs - services.clock.now();
            return services.ledger.reserve(request);
          },
        },
      }),
    });
    const body = { model: 'sim-chat', messages };
    assert.equal((await rig.post('/v1/chat/completions', body)).status, 200);
    await rig.close();
    assert.ok(lifeMs > 7_200_000, String(lifeMs));
  });

  it('because its client hardly reads is ended in time and pays for what was written', async () => {
    const choices = [{ index: 0, delta: { content: 'x' } }];
    const piece = { choices, padding: 'x'.repeat(1_000) };
    const body = `data: ${JSON.stringify(piece)}\n\n`.repeat(20_000);
    const rig = await startRig({
      config: { request_ms: 1_000 },
      vendors: [{ id: 'long', rules: [{ fault: { body, content_type: 'text/event-stream' } }] }],
    });
    try {
      const answer = { model: 'sim-chat', stream: true, messages };
      const response = await rig.post('/v1/chat/completions', answer);
      assert.equal(response.status, 200);
      const record = await recordOf(rig, response.headers.get('x-request-id') ?? '');
      assert.equal(record.status, 499);
      assert.ok(record.chargeNanoUsd > 0);
      assert.equal((await rig.books.ledger.balance(rig.walletId)).pendingNanoUsd, 0);
    } finally {
      await rig.close();
    }
  });
});
