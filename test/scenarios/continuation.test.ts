/** Answers that are continued by another channel after a cut; the long run is `test/lab/failover.ts`. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Rule } from '#simulator';
import { continuedCuts } from '../lab/continued-cuts.ts';
import { startRig, sseData, type Rig, type Vendor } from './rig.ts';

const question = 'Please say it in 120 words: again and again.';
const cut: Rule = { fault: { cut_at_byte: 16_000 }, times: 1 };
const prefill = { quirks: { prefill: 'partial' } };

type Answer = { readonly text: string; readonly error: string | undefined; readonly raw: string };

async function ask(rig: Rig, more: object = {}): Promise<Answer> {
  const messages = [{ role: 'user', content: question }];
  const body = { model: 'sim-chat', stream: true, max_tokens: 400, messages, ...more };
  const response = await rig.post('/v1/chat/completions', body);
  const raw = await response.text();
  let text = '';
  let error: string | undefined;
  for (const chunk of sseData(raw)) {
    const [choice] = (chunk['choices'] ?? []) as { delta?: { content?: string } }[];
    text += choice?.delta?.content ?? '';
    error ??= (chunk['error'] as { code?: string } | undefined)?.code;
  }
  return { text, error, raw };
}

async function withRig(
  vendors: readonly Vendor[],
  work: (rig: Rig) => Promise<void>,
  config: object = { streaming: { continue_cut_answers: true } },
): Promise<void> {
  const rig = await startRig({ vendors, config: { ...config } });
  try {
    await work(rig);
  } finally {
    await rig.close();
  }
}

/** What both vendors do from now on. */
function setRules(rig: Rig, rules: readonly Rule[]): void {
  for (const { script } of Object.values(rig.vendors)) script.replace(rules);
}

const two: readonly Vendor[] = [
  { id: 'one', channel: prefill },
  { id: 'two', channel: prefill },
];

describe('an answer that its upstream breaks off', () => {
  it('arrives whole in every dialect or ends as an error, without a word said twice', async () => {
    for (const cuts of await continuedCuts(8, 11)) {
      assert.equal(cuts.silent, 0, JSON.stringify(cuts));
      assert.equal(cuts.wrongTexts, 0, JSON.stringify(cuts));
      assert.equal(cuts.wrongReceipts, 0, JSON.stringify(cuts));
      assert.ok(cuts.continued > 0, JSON.stringify(cuts));
    }
  });

  it('is one stream, one hold and one receipt that names both attempts, and is paid once', async () => {
    await withRig(two, async (rig) => {
      const whole = await ask(rig);
      const [plain] = (await rig.books.ledger.statement({ walletId: rig.walletId, limit: 1 }))
        .receipts;
      setRules(rig, [cut]);
      const { text, error, raw } = await ask(rig);
      assert.equal(error, undefined);
      assert.equal(text, whole.text);
      const chunks = sseData(raw);
      assert.equal(new Set(chunks.map((chunk) => chunk['id'])).size, 1);
      assert.equal(raw.match(/\[DONE\]/g)?.length, 1);
      assert.equal(raw.match(/"finish_reason":"stop"/g)?.length, 1);
      const { receipts } = await rig.books.ledger.statement({ walletId: rig.walletId, limit: 10 });
      const [receipt] = receipts;
      assert.equal(receipts.filter((each) => each.requestId === receipt?.requestId).length, 1);
      assert.deepEqual(
        receipt?.attempts.map((attempt) => attempt.outcome),
        ['failed', 'succeeded'],
      );
      assert.equal(receipt?.usageSource, 'estimated');
      const charge = receipt?.chargeNanoUsd ?? 0;
      assert.ok(Math.abs(charge / (plain?.chargeNanoUsd ?? NaN) - 1) < 0.25, `${charge}`);
      // Both vendors were paid for the prompt; the user pays for it once.
      const costs = receipt?.attempts.reduce((sum, attempt) => sum + attempt.costNanoUsd, 0) ?? 0;
      const goodwill = receipt?.losses.find((loss) => loss.reason === 'goodwill');
      assert.equal(goodwill?.amountNanoUsd, costs - (receipt?.ratedNanoUsd ?? 0));
      assert.ok((goodwill?.amountNanoUsd ?? 0) > 0);
      const { pendingNanoUsd } = await rig.books.ledger.balance(rig.walletId);
      assert.equal(pendingNanoUsd, 0);
    });
  });

  it('is continued across dialects: a translated stream, and by a way of speaking that takes a beginning', async () => {
    const models = {
      'sim-chat': { dialects: ['anthropic-messages'], prices: { input: '1', output: '2' } },
    };
    await withRig([{ id: 'one', channel: { models } }, { id: 'two' }], async (rig) => {
      const whole = await ask(rig);
      for (let round = 0; round < 4; round += 1) {
        setRules(rig, [cut]);
        const { text, error } = await ask(rig);
        assert.equal(error, undefined);
        assert.equal(text, whole.text);
      }
    });
  });

  it('is continued by the same channel where it is the only one', async () => {
    await withRig([{ id: 'only', channel: prefill }], async (rig) => {
      const whole = await ask(rig);
      setRules(rig, [cut]);
      assert.equal((await ask(rig)).text, whole.text);
    });
  });

  it('ends as an error where nobody takes a beginning, and where the operator did not ask for more', async () => {
    const never = { quirks: { prefillAllowed: false } };
    const vendors = [
      { id: 'one', channel: never },
      { id: 'two', channel: never },
    ];
    await withRig(vendors, async (rig) => {
      setRules(rig, [cut]);
      assert.equal((await ask(rig)).error, 'upstream_cut');
    });
    await withRig(
      two,
      async (rig) => {
        setRules(rig, [cut]);
        assert.equal((await ask(rig)).error, 'upstream_cut');
      },
      {},
    );
  });

  it('ends as an error when the continuation begins anew, with the first part as it was', async () => {
    await withRig(two, async (rig) => {
      const whole = await ask(rig);
      setRules(rig, [{ fault: { cut_at_byte: 16_000, prefill: 'ignored' } }]);
      const { text, error } = await ask(rig);
      assert.equal(error, 'upstream_cut');
      assert.ok(text.length > 20 && whole.text.startsWith(text));
    });
  });

  it('is not continued when it thinks, or when its form was asked for', async () => {
    await withRig(two, async (rig) => {
      const forms = [
        { reasoning_effort: 'low' },
        { response_format: { type: 'json_object' } },
        { model: 'sim-reasoning' },
      ];
      for (const form of forms) {
        setRules(rig, [{ fault: { cut_at_byte: 1_200 }, times: 1 }]);
        const { error } = await ask(rig, form);
        assert.equal(error, 'upstream_cut', JSON.stringify(form));
      }
    });
  });
});
