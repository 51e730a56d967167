/** Failover in short: the long runs with the same code are `test/lab/failover.ts`. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Rule } from '#simulator';
import {
  blackHole,
  midStreamCuts,
  predicted429,
  retryAmplification,
} from '../lab/failover-runs.ts';
import { recordOf, startRig, type Rig } from './rig.ts';

describe('failover among simulated vendors', () => {
  it('makes of a request no more than 1.2 upstream calls while every channel fails, and charges nothing', async () => {
    const run = await retryAmplification({ requests: 300, concurrency: 10 });
    assert.ok(run.upstreamCalls <= 1.2 * run.requests + 1, JSON.stringify(run));
    assert.equal(run.chargedNanoUsd, 0);
  });

  it('never waits for a channel that swallows requests longer than its time-out and a second', async () => {
    const run = await blackHole({ requests: 100, concurrency: 10 });
    assert.equal(run.failed, 0);
    assert.ok(run.hit > 0, 'the hole was never asked: nothing was tested');
    assert.ok(run.slowestBeyondTimeoutMs <= 1_000, JSON.stringify(run));
  });

  it('knows from headers when a vendor has no room, and refuses by itself with a 429', async () => {
    const run = await predicted429({
      requests: 400,
      concurrency: 8,
      perMinute: 100,
      tokensPerMinute: 1_000_000,
    });
    assert.ok(run.upstream429 <= 1, JSON.stringify(run));
    // Of their hundred each vendor may have two left: what is refused too late costs more than what is kept back.
    assert.ok(run.refused > 100 && run.answered >= 196, JSON.stringify(run));
    assert.equal(run.other, 0);
  });

  it('tells the official SDKs of every stream that is cut, and never repeats a text', async () => {
    for (const cuts of await midStreamCuts(8, 7)) {
      assert.equal(cuts.silent, 0, JSON.stringify(cuts));
      assert.equal(cuts.wrongTexts, 0, JSON.stringify(cuts));
      assert.ok(cuts.afterContent > 0, JSON.stringify(cuts));
    }
  });
});

describe('a request that names a picture by its URL', () => {
  it('fetches it once for all vendors that do not fetch, however many are asked', async () => {
    let fetches = 0;
    const models = { pictured: { prices: 'free', dialects: ['openai-chat'] } };
    const channel = { models, quirks: { fetchesUrls: false } };
    const ill: Rule = { fault: { status: 500 } };
    const rig = await startRig({
      vendors: ['one', 'two', 'three'].map((id) => ({ id, rules: [ill], channel })),
      services: (services) => ({
        ...services,
        egress: {
          fetchMedia: async () => {
            fetches += 1;
            return { bytes: Buffer.from('a picture'), mimeType: 'image/png' };
          },
        },
      }),
    });
    const image = { type: 'image', source: { type: 'url', url: 'https://pictures.test/1.png' } };
    const messages = [{ role: 'user', content: [image, image] }];
    const body = { model: 'pictured', max_tokens: 20, messages };
    const response = await rig.post('/v1/messages', body);
    const asked = Object.values(rig.vendors).map(({ seen }) => seen.length);
    await rig.close();
    assert.equal(response.status, 502);
    const calls = asked.reduce((sum, count) => sum + count);
    assert.ok(calls > 1, `${calls} vendors were asked`);
    assert.equal(fetches, 1);
  });
});

const tooLong: Rule = {
  model: 'small',
  fault: {
    status: 400,
    content_type: 'application/json',
    body: '{"error":{"message":"This model\'s maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}',
  },
};
const filtered: Rule = {
  model: 'small',
  fault: {
    status: 400,
    content_type: 'application/json',
    body: '{"error":{"message":"The response was filtered.","type":"invalid_request_error","code":"content_filter"}}',
  },
};

/** Two channels; `one` has all models, `two` the small and the large one. */
async function withModels(rule: Rule, work: (rig: Rig) => Promise<void>): Promise<void> {
  const offer = (contextTokens: number): object => ({
    name: undefined,
    context_tokens: contextTokens,
    prices: { input: '1', output: '2' },
  });
  const models = { small: offer(8_192), middle: offer(8_192), large: offer(200_000) };
  const rig = await startRig({
    vendors: [
      { id: 'one', rules: [rule], channel: { models } },
      {
        id: 'two',
        rules: [rule],
        channel: { models: { small: models.small, large: models.large } },
      },
    ],
  });
  try {
    await work(rig);
  } finally {
    await rig.close();
  }
}

const asked = (fields: object): object => ({
  model: 'small',
  messages: [{ role: 'user', content: 'Hello' }],
  ...fields,
});

function seenBy(rig: Rig): readonly string[] {
  return Object.values(rig.vendors).flatMap(({ seen }) =>
    seen.map(({ body }) => String(body['model'])),
  );
}

describe('an upstream that cannot serve the request', () => {
  for (const stream of [false, true]) {
    it(`for its length is followed by the next model with a larger context, ${stream ? 'streamed' : 'whole'}`, async () => {
      await withModels(tooLong, async (rig) => {
        const response = await rig.post(
          '/v1/chat/completions',
          asked({ stream, models: ['small', 'middle', 'large'] }),
        );
        const text = await response.text();
        assert.equal(response.status, 200, text);
        assert.match(text, /simulator/);
        // Neither the other channel of the small model nor the middle one can do better.
        assert.deepEqual(seenBy(rig).toSorted(), ['large', 'small']);
        assert.equal(response.headers.get('x-manifold-attempts'), '2');
      });
    });
  }

  it('for its length is told to the client when it named no other model', async () => {
    await withModels(tooLong, async (rig) => {
      const response = await rig.post('/v1/chat/completions', asked({}));
      const body = (await response.json()) as { error: { code: string } };
      assert.equal(response.status, 400);
      assert.equal(body.error.code, 'context_length_exceeded');
      assert.equal(seenBy(rig).length, 1);
      assert.equal((await rig.books.ledger.balance(rig.walletId)).availableNanoUsd, 10_000_000_000);
    });
  });

  it('for its length is told when fallbacks are not allowed', async () => {
    await withModels(tooLong, async (rig) => {
      const fields = { models: ['small', 'large'], provider: { allow_fallbacks: false } };
      const response = await rig.post('/v1/chat/completions', asked(fields));
      assert.equal(response.status, 400);
      assert.equal(seenBy(rig).length, 1);
    });
  });

  it('for its filter is followed by the next model that the client named, never by another channel', async () => {
    await withModels(filtered, async (rig) => {
      const named = await rig.post('/v1/chat/completions', asked({ models: ['small', 'middle'] }));
      assert.equal(named.status, 200, await named.text());
      assert.deepEqual(seenBy(rig).toSorted(), ['middle', 'small']);
      const alone = await rig.post('/v1/chat/completions', asked({}));
      assert.equal(alone.status, 400);
      assert.equal(
        ((await alone.json()) as { error: { code: string } }).error.code,
        'content_filtered',
      );
      assert.equal(seenBy(rig).length, 3);
    });
  });

  it('is explained in the record with both decisions', async () => {
    await withModels(tooLong, async (rig) => {
      const response = await rig.post('/v1/chat/completions', asked({ models: ['large'] }));
      await response.text();
      const id = response.headers.get('x-request-id') ?? '';
      const record = await recordOf(rig, id);
      const routing = record.detail['routing'] as {
        decisions: unknown[];
        attempts: { outcome: string }[];
      };
      assert.equal(routing.decisions.length, 2);
      assert.deepEqual(
        routing.attempts.map(({ outcome }) => outcome),
        ['unsuitable', 'finished'],
      );
    });
  });
});

describe('an empty answer', () => {
  const empty: Rule = {
    fault: {
      content_type: 'application/json',
      body: '{"id":"e","object":"chat.completion","created":1,"model":"sim-chat","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9}}',
    },
  };
  const body = { model: 'sim-chat', messages: [{ role: 'user', content: 'Hello' }] };

  it('is mended by another channel', async () => {
    const rig = await startRig({ vendors: [{ id: 'mute', rules: [empty] }, { id: 'well' }] });
    try {
      for (let turn = 0; turn < 4; turn += 1) {
        const text = await (await rig.post('/v1/chat/completions', body)).text();
        assert.match(text, /simulator/);
      }
    } finally {
      await rig.close();
    }
  });

  it('is given to the client free of charge when nobody has more to say', async () => {
    const vendors = ['one', 'two'].map((id) => ({ id, rules: [empty] }));
    const rig = await startRig({ vendors });
    try {
      const response = await rig.post('/v1/chat/completions', body);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('x-manifold-cost-usd'), '0');
      const balance = await rig.books.ledger.balance(rig.walletId);
      assert.equal(balance.availableNanoUsd, 10_000_000_000);
    } finally {
      await rig.close();
    }
  });
});
