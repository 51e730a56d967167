import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRig, type Rig, type Vendor } from './rig.ts';

for (const path of ['/v1/chat/completions', '/v1/embeddings'])
  for (const stream of path === '/v1/embeddings' ? [false] : [false, true])
    test(`a charge that a fault of ours keeps from being booked frees its hold, ${path}, stream ${stream}`, async () => {
      const rig = await startRig({
        services: (services) => ({
          ...services,
          ledger: {
            ...services.ledger,
            settle: () => Promise.reject(new RangeError('a fault')),
          },
        }),
      });
      try {
        const body = path === '/v1/embeddings' ? { input: 'x' } : { stream };
        const response = await rig.post(path, {
          model: path === '/v1/embeddings' ? 'sim-embedding' : 'sim-chat',
          messages: [{ role: 'user', content: 'hi' }],
          ...body,
        });
        assert.match(await response.text(), /internal_error/);
        const balance = await rig.books.ledger.balance(rig.walletId);
        assert.equal(balance.pendingNanoUsd, 0);
        assert.equal(balance.availableNanoUsd, 10_000_000_000);
        assert.equal((await rig.books.ledger.verify()).differenceCount, 0);
      } finally {
        await rig.close();
      }
    });

/** A rig whose first settlement fails by a fault of ours. */
function rigWithFirstSettlementLost(vendors: readonly Vendor[]): Promise<Rig> {
  let isFirst = true;
  return startRig({
    vendors,
    services: (services) => ({
      ...services,
      ledger: {
        ...services.ledger,
        settle: (settlement) => {
          if (!isFirst) return services.ledger.settle(settlement);
          isFirst = false;
          return Promise.reject(new RangeError('a fault'));
        },
      },
    }),
  });
}

const ways = [
  ['openai-chat', '/v1/chat/completions', { messages: [{ role: 'user', content: 'hi' }] }],
  ['openai-responses', '/v1/responses', { input: 'hi' }],
  ['anthropic-messages', '/v1/messages', { messages: [{ role: 'user', content: 'hi' }] }],
] as const;

for (const [dialect, path, question] of ways)
  for (const upstream of [dialect, dialect === 'openai-chat' ? 'gemini-generate' : 'openai-chat'])
    test(`a stream whose charge is lost at its end goes on with the error alone, ${path} from ${upstream}`, async () => {
      const rig = await rigWithFirstSettlementLost([{ id: 'one', channel: { dialect: upstream } }]);
      try {
        const body = { model: 'sim-chat', stream: true, max_tokens: 50, ...question };
        const text = await (await rig.post(path, body)).text();
        assert.match(text, /internal_error|api_error/);
        assert.ok(
          (text.match(/^event: (?:response.created|message_start)$/gm) ?? []).length <= 1,
          text,
        );
        assert.equal((await rig.books.ledger.balance(rig.walletId)).pendingNanoUsd, 0);
      } finally {
        await rig.close();
      }
    });

test('a stream of a JSON array whose charge is lost at its end stays an array', async () => {
  const rig = await rigWithFirstSettlementLost([
    { id: 'one', channel: { dialect: 'gemini-generate' } },
  ]);
  try {
    const response = await rig.post('/v1beta/models/sim-chat:streamGenerateContent', {
      contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
    });
    const text = await response.text();
    assert.ok(Array.isArray(JSON.parse(text)), text);
  } finally {
    await rig.close();
  }
});

test('an empty answer is not told behind one that has begun', async () => {
  const chunk = (finish: string | null): string =>
    `data: ${JSON.stringify({ id: 'e', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta: { content: '' }, finish_reason: finish }] })}\n\n`;
  const body = `${chunk(null)}${chunk('stop')}data: [DONE]\n\n`;
  const empty = { fault: { body, content_type: 'text/event-stream' } };
  const rig = await rigWithFirstSettlementLost([{ id: 'mute', rules: [empty] }, { id: 'well' }]);
  try {
    const messages = [{ role: 'user', content: 'hi' }];
    const asked = {
      model: 'sim-chat',
      stream: true,
      messages,
      provider: { order: ['mute', 'well'] },
    };
    const text = await (await rig.post('/v1/chat/completions', asked)).text();
    assert.equal(rig.vendors['mute']?.seen.length, 1);
    assert.match(text, /internal_error/);
    assert.doesNotMatch(text, /DONE/);
  } finally {
    await rig.close();
  }
});
