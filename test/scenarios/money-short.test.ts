/** A balance, a budget or a cap that is too small: lowered limits, clear refusals, answers that end with their length. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { budgetScopes, type KeyLimits } from '#access';
import { asNumber, asObject, nanoUsd, parseJsonObject } from '#std';
import { clientDialects, finishOf, streamedText, toldBill } from './money-dialects.ts';
import { startRig, type Rig, type Vendor } from './rig.ts';

const units = { input: '1', output: '10' };
const messages = [{ role: 'user', content: 'Tell it in 3000 words' }];
/** Fast, but in pieces, so that the ledger gets its turns. */
const flow = [{ fault: { drip_ms: 1, drip_bytes: 4_000 } }];

function vendorOf(
  id: string,
  extra: Readonly<Record<string, unknown>> = {},
  stops = 'yes',
): Vendor {
  return {
    id,
    rules: flow,
    channel: {
      abort_stops_billing: stops,
      models: { long: { name: 'sim-chat', prices: units, output_tokens: 100_000, ...extra } },
    },
  };
}

async function withRig(
  options: { balanceUsd?: number; limits?: KeyLimits; vendors: readonly Vendor[] },
  work: (rig: Rig) => Promise<void>,
): Promise<void> {
  const rig = await startRig(options);
  try {
    await work(rig);
    const { pendingNanoUsd, availableNanoUsd } = await rig.books.ledger.balance(rig.walletId);
    assert.equal(pendingNanoUsd, 0);
    assert.ok(availableNanoUsd >= 0);
    assert.equal((await rig.books.ledger.verify()).differenceCount, 0);
  } finally {
    await rig.close();
  }
}

describe('a short balance', () => {
  it('lowers max_tokens to what is affordable, says so, and the vendor is told', async () => {
    await withRig({ balanceUsd: 0.005, vendors: [vendorOf('one', {}, 'no')] }, async (rig) => {
      const response = await rig.post('/v1/chat/completions', {
        model: 'long',
        max_tokens: 4_000,
        messages,
      });
      const answer = parseJsonObject(await response.text());
      const lowered = Number(response.headers.get('x-manifold-max-tokens'));
      assert.ok(lowered > 400 && lowered < 500, String(lowered));
      assert.equal(rig.vendors['one']?.seen[0]?.body['max_tokens'], lowered);
      assert.equal(asNumber(asObject(answer?.['usage'])?.['completion_tokens']), lowered);
      assert.equal(finishOf(JSON.stringify(answer)), 'length');
    });
  });

  it('lowers a budget for thinking with the limit that has to be above it', async () => {
    await withRig({ balanceUsd: 0.02, vendors: [vendorOf('one', {}, 'no')] }, async (rig) => {
      for (const [balance, wanted] of [
        ['first', 'enabled'],
        ['second', 'disabled'],
      ]) {
        const response = await rig.post('/v1/messages', {
          model: 'long',
          max_tokens: 8_000,
          thinking: { type: 'enabled', budget_tokens: 6_000 },
          messages,
        });
        assert.equal(response.status, 200, balance + (await response.text()));
        const body = rig.vendors['one']?.seen.at(-1)?.body;
        const thinking = asObject(body?.['thinking']);
        assert.equal(thinking?.['type'], wanted);
        if (wanted === 'enabled')
          assert.ok(
            (asNumber(thinking?.['budget_tokens']) ?? Infinity) <
              (asNumber(body?.['max_tokens']) ?? 0),
          );
        await rig.books.ledger.adjust({
          walletId: rig.walletId,
          amountNanoUsd: nanoUsd(
            5_000_000 - (await rig.books.ledger.balance(rig.walletId)).availableNanoUsd,
          ),
          lotKind: 'gift',
          eventId: wanted ?? '',
          actor: 'test',
          reason: 'test',
        });
      }
    });
  });

  it('is enough for the cheaper of two channels', async () => {
    const dear: Vendor = {
      id: 'dear',
      channel: {
        models: {
          long: {
            name: 'sim-chat',
            prices: { input: '1000', output: '1000' },
            output_tokens: 4_096,
          },
        },
      },
    };
    await withRig(
      { balanceUsd: 0.01, vendors: [dear, vendorOf('cheap', {}, 'no')] },
      async (rig) => {
        for (let turn = 0; turn < 3; turn += 1) {
          const response = await rig.post('/v1/chat/completions', {
            model: 'long',
            max_tokens: 20,
            messages,
          });
          assert.equal(response.status, 200, await response.text());
          assert.equal(response.headers.get('x-manifold-channel'), 'cheap');
        }
      },
    );
  });

  it('shares a lowered limit among several choices', async () => {
    await withRig({ balanceUsd: 0.005, vendors: [vendorOf('one', {}, 'no')] }, async (rig) => {
      const response = await rig.post('/v1/chat/completions', {
        model: 'long',
        max_tokens: 4_000,
        n: 4,
        messages,
      });
      await response.text();
      assert.ok(Number(rig.vendors['one']?.seen[0]?.body['max_tokens']) < 130);
    });
  });

  it('is a 402 with available and required for a key that wants no shorter answers, streamed too', async () => {
    await withRig(
      { balanceUsd: 0.03, limits: { when_short: 'refuse' }, vendors: [vendorOf('one')] },
      async (rig) => {
        for (const stream of [true, false]) {
          const response = await rig.post('/v1/chat/completions', {
            model: 'long',
            max_tokens: 4_000,
            stream,
            messages,
          });
          const text = await response.text();
          assert.equal(response.status, 402, text);
          assert.match(text, /0\.030* USD available, 0\.04\d* USD needed/);
        }
        const affordable = await rig.post('/v1/chat/completions', {
          model: 'long',
          max_tokens: 2_000,
          stream: true,
          messages,
        });
        assert.equal(affordable.status, 200, await affordable.text());
      },
    );
  });

  it('is told to everybody who waits for the same Idempotency-Key', async () => {
    await withRig({ balanceUsd: 0.000_01, vendors: [vendorOf('one')] }, async (rig) => {
      const answers = await Promise.all(
        Array.from({ length: 5 }, () =>
          rig.post('/v1/chat/completions', { model: 'long', messages }, { 'idempotency-key': 'k' }),
        ),
      );
      assert.deepEqual(
        answers.map((answer) => answer.status),
        [402, 402, 402, 402, 402],
      );
    });
  });
});

describe('a hold that grows with its stream', () => {
  it('is extended slice by slice and pays exactly what the vendor says', async () => {
    await withRig({ vendors: [vendorOf('one')] }, async (rig) => {
      const response = await rig.post('/v1/chat/completions', {
        model: 'long',
        stream: true,
        messages,
      });
      const text = await response.text();
      assert.equal(finishOf(text), 'stop');
      const receipt = await rig.books.ledger.receipt(toldBill(text)?.receiptId ?? '');
      const slice = 2_048 * 10_000;
      assert.ok((receipt?.holdNanoUsd ?? 0) > slice * 1.5, `held ${receipt?.holdNanoUsd}`);
      assert.ok((receipt?.holdNanoUsd ?? 0) < slice * 4, `held ${receipt?.holdNanoUsd}`);
      const [entry] = rig.vendors['one']?.bill.entries ?? [];
      assert.equal(receipt?.usage['outputTokens'], entry?.outputTokens);
      assert.equal(receipt?.chargeNanoUsd, receipt?.ratedNanoUsd);
    });
  });

  it('covers what a model thought unseen, when its usage tells', async () => {
    const lie = {
      usage: {
        prompt_tokens: 10,
        completion_tokens: 40_000,
        total_tokens: 40_010,
        completion_tokens_details: { reasoning_tokens: 39_000 },
      },
    };
    await withRig({ vendors: [{ ...vendorOf('one'), rules: [{ fault: lie }] }] }, async (rig) => {
      const text = await (
        await rig.post('/v1/chat/completions', {
          model: 'long',
          stream: true,
          stream_options: { include_usage: true },
          messages,
        })
      ).text();
      const receipt = await rig.books.ledger.receipt(toldBill(text)?.receiptId ?? '');
      assert.equal(receipt?.chargeNanoUsd, 10 * 1_000 + 40_000 * 10_000);
      assert.deepEqual(receipt.losses, []);
    });
  });

  for (const upstream of clientDialects) {
    for (const client of clientDialects) {
      const whole = client.id === 'openai-responses' && upstream.id === client.id;
      it(`${whole ? 'stops with a clear error' : 'ends the answer with its length'} when nothing is left: ${client.id} over ${upstream.id}`, async () => {
        await withRig(
          { balanceUsd: 0.03, vendors: [vendorOf('one', { dialects: [upstream.id] })] },
          async (rig) => {
            const body = client.body(
              'long',
              'Tell it in 3000 words',
              true,
              client.id === 'anthropic-messages' ? 90_000 : undefined,
            );
            const response = await rig.post(client.path('long', true), body);
            const text = await response.text();
            const words = streamedText(text);
            // The slice (2,048 tokens) and what was left for a second one.
            assert.ok(
              words.length > 10_000 && words.length < 12_500,
              `${words.length} characters: ${text.slice(-400)}`,
            );
            if (whole) assert.match(text, /balance ran out/i);
            else {
              assert.match(
                finishOf(text) ?? '',
                /^(length|max_tokens|max_output_tokens|MAX_TOKENS)$/,
                text.slice(-800),
              );
              assert.match(text, /: stopped=balance/);
              assert.ok(toldBill(text), text.slice(-800));
            }
            const receipt = await rig.books.ledger.receipt(
              response.headers.get('x-manifold-receipt') ?? '',
            );
            assert.equal(receipt?.detail['stopped'], 'balance');
            assert.ok(
              receipt.chargeNanoUsd <= receipt.holdNanoUsd &&
                receipt.chargeNanoUsd > 0.9 * receipt.holdNanoUsd,
            );
            assert.ok(rig.vendors['one']?.seen[0]?.closedEarly);
          },
        );
      });
    }
  }
});

describe('max_cost', () => {
  it('is never passed, streamed or whole, whatever the vendor is like', async () => {
    for (const stops of ['yes', 'no']) {
      await withRig({ vendors: [vendorOf('one', {}, stops)] }, async (rig) => {
        for (const cap of [0.0005, 0.004, 0.025, 0.05]) {
          for (const stream of [true, false]) {
            const response = await rig.post('/v1/chat/completions', {
              model: 'long',
              stream,
              max_cost: cap,
              messages,
            });
            const text = await response.text();
            assert.equal(response.status, 200, text);
            const receipt = await rig.books.ledger.receipt(
              response.headers.get('x-manifold-receipt') ?? '',
            );
            assert.ok(
              (receipt?.chargeNanoUsd ?? Infinity) <= cap * 1e9,
              `${stops} ${cap} ${stream}: ${receipt?.chargeNanoUsd}`,
            );
            assert.ok(
              cap > 0.03 || (receipt?.chargeNanoUsd ?? 0) > cap * 0.75e9,
              `${stops} ${cap} ${stream}: ${receipt?.chargeNanoUsd} is far less than allowed`,
            );
            assert.deepEqual(receipt?.losses, []);
          }
        }
      });
    }
  });

  it('that does not pay for the question is refused before anything is sent', async () => {
    await withRig({ vendors: [vendorOf('one')] }, async (rig) => {
      const response = await rig.post('/v1/chat/completions', {
        model: 'long',
        max_cost: 0.000_001,
        messages,
      });
      assert.equal(response.status, 400);
      assert.match(await response.text(), /max_cost/);
      assert.equal(rig.vendors['one']?.seen.length, 0);
    });
  });

  it('that does not pay for the searches of an answer is refused, not answered with one token', async () => {
    const prices = { ...units, web_search: '10000' };
    const models = { long: { name: 'sim-chat', prices, output_tokens: 4_096 } };
    await withRig({ vendors: [{ id: 'one', channel: { models } }] }, async (rig) => {
      const ask = (cap: number) =>
        rig.post('/v1/chat/completions', {
          model: 'long',
          max_cost: cap,
          web_search_options: {},
          messages,
        });
      const refused = await ask(0.05);
      assert.equal(refused.status, 400);
      assert.match(await refused.text(), /max_cost/);
      assert.equal(rig.vendors['one']?.seen.length, 0);
      const served = await ask(0.2);
      assert.equal(served.status, 200, await served.text());
    });
  });

  it('leaves out the channels that it does not pay for, and pays for a short answer', async () => {
    const dear = {
      id: 'dear',
      channel: {
        models: {
          long: {
            name: 'sim-chat',
            prices: { input: '1000', output: '1000' },
            output_tokens: 4_096,
          },
        },
      },
    };
    await withRig({ vendors: [dear, vendorOf('cheap', {}, 'no')] }, async (rig) => {
      const response = await rig.post('/v1/chat/completions', {
        model: 'long',
        max_cost: 0.004,
        messages,
      });
      assert.equal(response.headers.get('x-manifold-channel'), 'cheap');
      assert.ok(Number(response.headers.get('x-manifold-max-tokens')) > 300);
      const short = await rig.post('/v1/chat/completions', {
        model: 'long',
        max_tokens: 1,
        max_cost: 0.000_08,
        messages,
      });
      assert.equal(short.status, 200, await short.text());
    });
  });
});

describe('the budget of a key', () => {
  for (const window of ['daily', 'total'] as const) {
    it(`is exact under a hundred requests at once: ${window}`, async () => {
      const limit = 2_000_000;
      await withRig(
        {
          limits: { budgets: [{ window, limit_nano_usd: limit }], when_short: 'refuse' },
          vendors: [
            {
              id: 'one',
              channel: {
                models: { long: { name: 'sim-chat', prices: units, output_tokens: 4_096 } },
              },
            },
          ],
        },
        async (rig) => {
          const question = [{ role: 'user', content: 'Tell it in 12 words' }];
          const answers = await Promise.all(
            Array.from({ length: 100 }, (_, index) =>
              rig.post('/v1/chat/completions', {
                model: 'long',
                stream: index % 2 === 0,
                max_tokens: 40,
                messages: question,
              }),
            ),
          );
          const statuses = await Promise.all(
            answers.map(async (answer) => ({ status: answer.status, text: await answer.text() })),
          );
          const refused = statuses.filter((answer) => answer.status !== 200);
          assert.ok(refused.length > 0 && refused.length < 100, String(refused.length));
          for (const { text } of refused) assert.match(text, /budget/);
          const { receipts } = await rig.books.ledger.statement({
            walletId: rig.walletId,
            limit: 500,
          });
          const spent = receipts
            .filter((receipt) => receipt.kind === 'usage')
            .reduce((sum, receipt) => sum + receipt.chargeNanoUsd, 0);
          assert.ok(spent <= limit, `${spent} spent`);
          const [keyRecord] = await rig.books.access.listKeys({ walletId: rig.walletId });
          assert.ok(keyRecord);
          const [state] = await rig.books.ledger.budgets(
            budgetScopes(keyRecord.keyId, keyRecord.limits),
          );
          assert.equal(state?.window, window);
          assert.equal(state.spentNanoUsd, spent);
          assert.equal(state.pendingNanoUsd, 0);
          assert.equal(state.remainingNanoUsd, limit - spent);
        },
      );
    });
  }
});
