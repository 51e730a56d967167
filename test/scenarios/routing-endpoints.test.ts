/** A channel with several addresses: dead ones are left, slow ones too, and nobody notices. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { testChannel } from '#gateway';
import { channelSchema } from '#providers';
import { startSimulator, type Rule, type RunningSimulator } from '#simulator';
import { systemClock, systemRandom } from '#std';
import { startRig, type Rig } from './rig.ts';

const body = { model: 'sim-chat', stream: true, messages: [{ role: 'user', content: 'Hello' }] };

function simulator(rules: readonly Rule[] = []): Promise<RunningSimulator> {
  return startSimulator({
    host: '127.0.0.1',
    port: 0,
    rules,
    clock: systemClock,
    random: systemRandom,
  });
}

async function withAddresses(
  urls: readonly string[],
  work: (rig: Rig) => Promise<void>,
): Promise<void> {
  const channel = channelSchema.parse({
    id: 'several',
    provider: 'simulator',
    base_urls: urls,
    secret: 'secret',
    allow_private: true,
    models: ['sim-chat'],
  });
  const rig = await startRig({ vendors: [], channels: [channel] });
  try {
    await work(rig);
  } finally {
    await rig.close();
  }
}

describe('a channel with several addresses', () => {
  it('is asked at the next one when an address cannot be reached, in the same attempt', async () => {
    const well = await simulator();
    try {
      await withAddresses(
        ['http://127.0.0.1:1', 'http://nowhere.invalid', well.url],
        async (rig) => {
          for (let turn = 0; turn < 3; turn += 1) {
            const startedAtMs = performance.now();
            const response = await rig.post('/v1/chat/completions', body);
            assert.match(await response.text(), /simulator/);
            assert.equal(response.headers.get('x-manifold-attempts'), '1');
            assert.ok(performance.now() - startedAtMs < 2_000);
          }
          assert.equal(well.seen.length, 3);
          const [channel] = rig.runtime.snapshot().channels.values();
          assert.ok(channel);
          const { ok, text } = await testChannel(rig.runtime.services, channel);
          assert.ok(ok);
          assert.match(
            text,
            /127\.0\.0\.1:1: failed: .*; http:.*nowhere\.invalid: failed: .*sim-chat answered in/,
          );
        },
      );
    } finally {
      await well.close();
    }
  });

  it('is asked at the faster one after the slower has shown what it is', async () => {
    const slow = await simulator([{ fault: { delay_ms: 150 } }]);
    const fast = await simulator();
    try {
      await withAddresses([slow.url, fast.url], async (rig) => {
        for (let turn = 0; turn < 8; turn += 1) {
          await (await rig.post('/v1/chat/completions', body)).text();
        }
        assert.ok(slow.seen.length <= 2, `${slow.seen.length} of 8 went to the slow one`);
        assert.equal(slow.seen.length + fast.seen.length, 8);
      });
    } finally {
      await slow.close();
      await fast.close();
    }
  });

  it('fails in one clear error, free of charge, when all are dead', async () => {
    await withAddresses(['http://127.0.0.1:1', 'http://127.0.0.1:9'], async (rig) => {
      const response = await rig.post('/v1/chat/completions', body);
      assert.equal(response.status, 502, await response.text());
      const { availableNanoUsd } = await rig.books.ledger.balance(rig.walletId);
      assert.equal(availableNanoUsd, 10_000_000_000);
    });
  });
});
