import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startOddVendor } from './odd-vendor.ts';
import { startRig } from './rig.ts';

for (const rewritten of [false, true])
  test(`a vendor that routes by itself is not told of other models to answer with, body rewritten: ${rewritten}`, async () => {
    const seen: Record<string, unknown>[] = [];
    const vendor = await startOddVendor((request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      request.on('end', () => {
        seen.push(JSON.parse(text) as Record<string, unknown>);
        const message = { role: 'assistant', content: 'hello' };
        const choices = [{ index: 0, message, finish_reason: 'stop' }];
        const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
        response
          .setHeader('content-type', 'application/json')
          .end(JSON.stringify({ id: 'x', object: 'chat.completion', choices, usage }));
      });
    });
    const channel = vendor.channel({
      dialect: undefined,
      provider: 'openrouter',
      models: { cheap: { prices: { input: '1', output: '1' }, context_tokens: 10_000 } },
      ...(rewritten ? { quirks: { outputTokensField: 'max_tokens' } } : {}),
    });
    const rig = await startRig({ vendors: [], channels: [channel], limits: { models: ['cheap'] } });
    try {
      const provider = { order: ['fireworks'] };
      const response = await rig.post('/v1/chat/completions', {
        model: 'cheap',
        models: ['anthropic/claude-opus-4.5'],
        route: 'fallback',
        provider,
        max_completion_tokens: 9,
        messages: [{ role: 'user', content: 'hi' }],
      });
      assert.equal(response.status, 200, await response.text());
      const [body] = seen;
      assert.deepEqual(body?.['provider'], provider, 'where to run it is the vendor’s business');
      assert.equal(body?.['models'], undefined);
      assert.equal(body?.['route'], undefined);
    } finally {
      await rig.close();
      vendor.close();
    }
  });
