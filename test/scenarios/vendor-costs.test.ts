import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startOddVendor, type OddVendor } from './odd-vendor.ts';
import { startRig } from './rig.ts';

/** What the operator paid, as OpenRouter, DeepInfra and xAI tell it, in every place of a usage object. */
const told = {
  cost: 0.777,
  is_byok: true,
  cost_details: { upstream_inference_cost: 0.777, upstream_inference_prompt_cost: 0.777 },
  estimated_cost: 0.777,
  cost_in_usd_ticks: 7_770_000_000,
  market_cost: 0.777,
  gateway_cost: 0.777,
};

/** As Vercel's gateway tells it beside the words. */
const metadata = {
  anthropic: { signature: 'kept' },
  gateway: {
    routing: { finalProvider: 'vertex' },
    cost: '0.777',
    marketCost: '0.777',
    surchargeCost: '0.777',
    generationId: 'gen_1',
  },
};

const chatUsage = { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10, ...told };
const messagesUsage = { input_tokens: 5, output_tokens: 5, ...told };

/** A reseller that tells its own price, in streams already with the first words. */
function startReseller(): Promise<OddVendor> {
  return startOddVendor((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      const isMessages = request.url?.endsWith('/messages') === true;
      const isStream = text.includes('"stream":true');
      response.setHeader('content-type', isStream ? 'text/event-stream' : 'application/json');
      if (isStream) response.end(isMessages ? messagesStream() : chatStream());
      else response.end(JSON.stringify(isMessages ? wholeMessage() : wholeChat()));
    });
  });
}

function wholeChat() {
  const message = { role: 'assistant', content: 'hello', provider_metadata: metadata };
  const choices = [{ index: 0, message, finish_reason: 'stop' }];
  const usage = chatUsage;
  return { id: 'c', object: 'chat.completion', created: 1, model: 'house', choices, usage };
}

function chatStream(): string {
  const chunk = (delta: object, finish_reason: string | null): string => {
    const choices = [{ index: 0, delta, finish_reason }];
    const head = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'house' };
    return `data: ${JSON.stringify({ ...head, choices, usage: chatUsage })}\n\n`;
  };
  const words = chunk({ role: 'assistant', content: 'hello' }, null);
  const end = chunk({ provider_metadata: metadata }, 'stop');
  return `${words}${chunk({ content: ' you' }, null)}${end}data: [DONE]\n\n`;
}

function wholeMessage() {
  const content = [{ type: 'text', text: 'hello' }];
  const head = { id: 'm', type: 'message', role: 'assistant', model: 'house' };
  return { ...head, content, stop_reason: 'end_turn', stop_sequence: null, usage: messagesUsage };
}

function messagesStream(): string {
  const whole = wholeMessage();
  const events = [
    { type: 'message_start', message: { ...whole, content: [], stop_reason: null } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hello' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: messagesUsage },
    { type: 'message_stop' },
  ];
  return events.map((each) => `event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`).join('');
}

const ways = [
  ['openai-chat', '/v1/chat/completions'],
  ['openai-chat', '/v1/messages'],
  ['openai-chat', '/v1/responses'],
  ['anthropic-messages', '/v1/messages'],
  ['anthropic-messages', '/v1/chat/completions'],
] as const;

for (const [dialect, path] of ways)
  for (const stream of [false, true])
    test(`a client of ${path} is not told what the operator paid to a vendor of ${dialect}, stream ${stream}`, async () => {
      const vendor = await startReseller();
      const models = { house: { prices: { input: '1', output: '2' }, context_tokens: 10_000 } };
      const rig = await startRig({
        vendors: [],
        channels: [vendor.channel({ dialect, models }, dialect === 'openai-chat' ? '' : '/v1')],
      });
      try {
        const content = 'hi';
        const messages = [{ role: 'user', content }];
        const asked = path === '/v1/responses' ? { input: content } : { messages };
        const body = { model: 'house', stream, max_tokens: 100, ...asked };
        const usageToo = stream ? { ...body, stream_options: { include_usage: true } } : body;
        const isChat = path === '/v1/chat/completions';
        const answer = await rig.post(path, isChat ? usageToo : body);
        const text = await answer.text();
        assert.equal(answer.status, 200, text);
        assert.match(text, /hello/);
        assert.doesNotMatch(text, /777|is_byok|_cost|Cost|cost_|ticks/);
        if (isChat && dialect === 'openai-chat') assert.match(text, /"signature":"kept"/);
        assert.match(text, /"cost":0\.000015\b/, 'our own price is told');
      } finally {
        await rig.close();
        vendor.close();
      }
    });
