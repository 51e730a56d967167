/** Requests for several answers at once: the hold covers all of them, whatever the field is called. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUsd } from '#std';
import { startOddVendor } from './odd-vendor.ts';
import { startRig, type Rig } from './rig.ts';

const units = { input: '1', output: '10' };

/**
 * A vendor that gives every answer its whole length, by the larger limit where there are two. Its legacy endpoint has
 * a length of its own for those who do not say `max_tokens`.
 */
async function withGreedyVendor(
  options: { readonly balanceUsd?: number },
  work: (rig: Rig, seen: Record<string, unknown>[]) => Promise<void>,
): Promise<void> {
  const seen: Record<string, unknown>[] = [];
  const vendor = await startOddVendor((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      const body = JSON.parse(text) as Record<string, unknown>;
      seen.push(body);
      const number = (key: string): number => Number(body[key] ?? 0);
      const prompts = Array.isArray(body['prompt']) ? body['prompt'].length : 1;
      const isLegacy = body['prompt'] !== undefined && body['max_tokens'] === undefined;
      const limit = isLegacy
        ? 2_000
        : Math.max(number('max_tokens'), number('max_completion_tokens'));
      const made = limit * prompts * Math.max(1, number('n'), number('best_of'));
      const content = 'word '.repeat(20);
      const choice = { index: 0, text: content, message: { role: 'assistant', content } };
      response.setHeader('content-type', 'application/json').end(
        JSON.stringify({
          id: 'x',
          object: 'chat.completion',
          created: 1,
          model: 'house',
          choices: [{ ...choice, finish_reason: 'length' }],
          usage: { prompt_tokens: 3, completion_tokens: made, total_tokens: made + 3 },
        }),
      );
    });
  });
  const house = { prices: units, context_tokens: 1_000_000, output_tokens: 4_000 };
  const models = { house: { ...house, operations: ['chat', 'completions'] } };
  const rig = await startRig({ ...options, vendors: [], channels: [vendor.channel({ models })] });
  try {
    await work(rig, seen);
    const verified = await rig.books.ledger.verify();
    assert.equal(verified.differenceCount, 0, JSON.stringify(verified.differences));
  } finally {
    await rig.close();
    vendor.close();
  }
}

const messages = [{ role: 'user', content: 'hi' }];
const prompt = Array.from({ length: 50 }, (_, index) => `prompt ${index}`);

for (const [path, body] of [
  ['/v1/chat/completions', { messages, max_tokens: 1_000, n: 8 }],
  ['/v1/chat/completions', { messages, max_tokens: 1_000, n: 2, best_of: 9 }],
  ['/v1/chat/completions', { messages, max_tokens: 3_000, max_completion_tokens: 5 }],
  ['/v1/chat/completions', { messages, max_tokens: 5, max_completion_tokens: 3_000 }],
  ['/v1/completions', { prompt: 'hi', max_tokens: 1_000, n: 2, best_of: 9 }],
  ['/v1/completions', { prompt, max_tokens: 1_000, n: 2 }],
  ['/v1/completions', { prompt: 'hi', max_tokens: 5, max_completion_tokens: 3_000 }],
  ['/v1/completions', { prompt: 'hi', max_tokens: 3_000, max_completion_tokens: 5 }],
  ['/v1/completions', { prompt: 'hi', max_completion_tokens: 5 }],
] as const)
  for (const balanceUsd of [10, 0.005])
    test(`${path} with ${Object.keys(body).join(', ')} costs what was held at most, of ${balanceUsd} USD`, async () => {
      await withGreedyVendor({ balanceUsd }, async (rig, seen) => {
        const response = await rig.post(path, { model: 'house', ...body });
        const text = await response.text();
        assert.equal(response.status, 200, text);
        const { receipts } = await rig.books.ledger.statement({ walletId: rig.walletId });
        const [receipt] = receipts;
        assert.equal(receipt?.kind, 'usage');
        assert.equal(receipt.ratedNanoUsd, receipt.chargeNanoUsd, JSON.stringify(seen[0]));
        assert.deepEqual(receipt.losses, []);
      });
    });

test('many answers that each would get less than a token are refused for want of money', async () => {
  await withGreedyVendor({ balanceUsd: 0.0005 }, async (rig, seen) => {
    const body = { model: 'house', messages, max_tokens: 100, n: 100 };
    const response = await rig.post('/v1/chat/completions', body);
    assert.equal(response.status, 402, await response.text());
    assert.equal(seen.length, 0);
    const { availableNanoUsd } = await rig.books.ledger.balance(rig.walletId);
    assert.equal(availableNanoUsd, parseUsd('0.0005'));
  });
});
