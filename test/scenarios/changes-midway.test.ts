/** The operator changes prices, channels, keys and wallets while a request runs: what was agreed at its start holds. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rateLines } from '#metering';
import { channelSchema, type ChannelDefinition } from '#providers';
import type { Rule } from '#simulator';
import type { Receipt } from '#ledger';
import { nanoUsd } from '#std';
import { startRig, type Rig } from './rig.ts';

const prices = { input: '1000', output: '2000' };

/** A channel that the operator made, to the vendor of this name. */
function made(rig: Rig, vendor: string, price: object | string = prices): ChannelDefinition {
  return channelSchema.parse({
    id: `made-${vendor}`,
    provider: 'simulator',
    base_url: rig.vendors[vendor]?.url,
    secret: 'secret',
    allow_private: true,
    abort_stops_billing: 'yes',
    models: { house: { name: 'sim-chat', prices: price, output_tokens: 50_000 } },
  });
}

type Change = { readonly what: string; apply(rig: Rig): Promise<void> | void };

const changes: readonly Change[] = [
  {
    what: 'dearer',
    apply: (rig) => rig.runtime.reload([made(rig, 'a', { input: '9000', output: '9000' })]),
  },
  {
    what: 'cheaper',
    apply: (rig) => rig.runtime.reload([made(rig, 'a', { input: '9', output: '9' })]),
  },
  { what: 'free', apply: (rig) => rig.runtime.reload([made(rig, 'a', 'free')]) },
  {
    what: 'without a price for what it gives',
    apply: (rig) => rig.runtime.reload([made(rig, 'a', { character: '1' })]),
  },
  {
    what: 'offered under another name only',
    apply(rig) {
      const { house, ...others } = made(rig, 'a').models as Record<string, never>;
      rig.runtime.reload([{ ...made(rig, 'a'), models: { ...others, home: house as never } }]);
    },
  },
  {
    what: 'switched off',
    apply: (rig) => rig.runtime.reload([{ ...made(rig, 'a'), enabled: false }]),
  },
  { what: 'taken away with its channel', apply: (rig) => rig.runtime.reload([]) },
  {
    what: 'asked for by a key that is revoked',
    async apply({ books }) {
      const [key] = await books.access.listKeys({});
      await books.access.revokeKey(key?.keyId ?? '');
    },
  },
  {
    what: 'paid from a wallet that is emptied',
    async apply({ books, walletId }) {
      const [lot] = (await books.ledger.balance(walletId)).lots;
      const refund = { walletId, lotId: lot?.lotId ?? '', eventId: 'close', actor: 'test' };
      const result = await books.ledger.refund({ ...refund, reason: 'closed' });
      assert.ok(result.ok);
    },
  },
];

async function withRig(rules: readonly Rule[], work: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = await startRig({
    vendors: ['a', 'b'].map((id) => ({
      id,
      rules: id === 'a' ? rules : [],
      channel: { models: [] },
    })),
  });
  try {
    await work(rig);
    const { pendingNanoUsd, availableNanoUsd } = await rig.books.ledger.balance(rig.walletId);
    assert.equal(pendingNanoUsd, 0, 'nothing is held any more');
    assert.ok(availableNanoUsd >= 0);
    const verified = await rig.books.ledger.verify({
      rate: ({ lines }) => rateLines(lines, 1_000_000),
    });
    assert.equal(verified.differenceCount, 0, JSON.stringify(verified.differences));
  } finally {
    await rig.close();
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (const endMs = performance.now() + 10_000; !holds();) {
    assert.ok(performance.now() < endMs, 'it did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function receiptsOf(rig: Rig): Promise<readonly Receipt[]> {
  const { receipts } = await rig.books.ledger.statement({ walletId: rig.walletId });
  return receipts.filter(({ kind }) => kind === 'usage' || kind === 'void');
}

function checkAgreed(receipt: Receipt | undefined): void {
  assert.equal(receipt?.kind, 'usage');
  assert.match(receipt.priceVersion, /^made-a\/sim-chat@2000-01-01#[0-9a-f]{8}$/);
  const priced = receipt.lines.map(({ unit, priceNanoUsdPerMillion: price }) => [unit, price]);
  assert.deepEqual(priced, [
    ['input', 1_000_000_000_000],
    ['output', 2_000_000_000_000],
  ]);
  assert.equal(receipt.chargeNanoUsd, receipt.ratedNanoUsd);
}

const question = { model: 'house', messages: [{ role: 'user', content: 'Tell it in 60 words' }] };
const pause = { pause_after_events: 10, pause_ms: 300 };

for (const { what, apply } of changes) {
  for (const stream of [false, true])
    test(`a model that is ${what} while it answers costs what was agreed, stream ${stream}`, async () => {
      await withRig([{ fault: stream ? pause : { delay_ms: 300 } }], async (rig) => {
        rig.runtime.reload([made(rig, 'a')]);
        const body = { ...question, stream, max_tokens: 500 };
        const asked = rig.post('/v1/chat/completions', body);
        await until(() => (rig.vendors['a']?.seen.length ?? 0) > 0);
        if (stream) await asked;
        await apply(rig);
        const response = await asked;
        const text = await response.text();
        assert.equal(response.status, 200, text);
        if (stream) assert.match(text, /\[DONE\]/);
        const [receipt, ...others] = await receiptsOf(rig);
        assert.equal(others.length, 0);
        checkAgreed(receipt);
      });
    });
}

test('a wallet that is emptied while a long answer is held in slices ends it with its length', async () => {
  await withRig([{ fault: { pace_ms: 1 } }], async (rig) => {
    rig.runtime.reload([made(rig, 'a')]);
    const response = await rig.post('/v1/chat/completions', {
      model: 'house',
      messages: [{ role: 'user', content: 'Tell it in 9000 words' }],
      stream: true,
      max_tokens: 30_000,
    });
    const { ledger } = rig.books;
    const [lot] = (await ledger.balance(rig.walletId)).lots;
    const close = { walletId: rig.walletId, lotId: lot?.lotId ?? '', eventId: 'close' };
    assert.ok((await ledger.refund({ ...close, actor: 'test', reason: 'closed' })).ok);
    const text = await response.text();
    assert.match(text, /"finish_reason":"length"/);
    const [receipt] = await receiptsOf(rig);
    assert.ok((receipt?.chargeNanoUsd ?? 0) <= (receipt?.holdNanoUsd ?? 0));
    assert.equal((await ledger.balance(rig.walletId)).postedNanoUsd, nanoUsd(0) + leftOf(receipt));
  });
});

/** What of the hold was not needed is free again. */
function leftOf(receipt: Receipt | undefined): number {
  return receipt ? receipt.holdNanoUsd - receipt.chargeNanoUsd : 0;
}

for (const left of ['b', 'none'])
  test(`channels that are taken away while the first of them fails leave no trace in the books, left: ${left}`, async () => {
    await withRig([{ fault: { delay_ms: 300, status: 500 } }], async (rig) => {
      const both = [made(rig, 'a'), { ...made(rig, 'b'), weight: 0.001 }];
      rig.runtime.reload(both);
      const asked = rig.post('/v1/chat/completions', question);
      await until(() => Object.values(rig.vendors).some(({ seen }) => seen.length > 0));
      rig.runtime.reload(left === 'b' ? both.slice(1) : []);
      const response = await asked;
      const text = await response.text();
      assert.ok([200, 502, 503].includes(response.status), `${response.status} ${text}`);
      const [receipt] = await receiptsOf(rig);
      assert.equal(receipt?.kind, response.status === 200 ? 'usage' : 'void');
    });
  });

test('a price that falls to nothing between two requests is that of the second, and of no earlier one', async () => {
  await withRig([], async (rig) => {
    for (const price of [prices, 'free', prices] as const) {
      rig.runtime.reload([made(rig, 'a', price)]);
      const response = await rig.post('/v1/chat/completions', { ...question, max_tokens: 100 });
      assert.equal(response.status, 200, await response.text());
      assert.equal(response.headers.get('x-manifold-cost-usd') === '0', price === 'free');
    }
  });
});

test('the version of a price on a receipt is another one as soon as the price is', async () => {
  await withRig([], async (rig) => {
    for (const price of [prices, { ...prices, output: '3' }, prices]) {
      rig.runtime.reload([made(rig, 'a', price)]);
      const response = await rig.post('/v1/chat/completions', { ...question, max_tokens: 100 });
      assert.equal(response.status, 200, await response.text());
    }
    const [again, changed, first] = (await receiptsOf(rig)).map((receipt) => receipt.priceVersion);
    assert.notEqual(changed, first);
    assert.equal(again, first);
  });
});
