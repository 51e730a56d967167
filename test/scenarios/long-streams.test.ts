/** Conversations of many bytes whose answers take long: the bytes are held until an answer begins. */

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { startOddVendor, type OddVendor } from './odd-vendor.ts';
import { startRig, type Rig } from './rig.ts';

const question = 'a conversation of an agent '.repeat(8_000);
const heldBytes = 500_000;

const messages = [{ role: 'user', content: question }];
const asked = {
  '/v1/chat/completions': { model: 'own', stream: true, messages },
  '/v1/messages': { model: 'own', stream: true, max_tokens: 100, messages },
  '/v1/responses': { model: 'own', stream: true, store: false, input: question },
  '/v1beta/models/own:streamGenerateContent?alt=sse': {
    contents: [{ role: 'user', parts: [{ text: question }] }],
  },
};

const chunk = (delta: object, rest: object = {}): string =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'own', choices: [{ index: 0, delta, finish_reason: null }], ...rest })}\n\n`;

const ending = [
  chunk({ content: 'last' }),
  chunk({}, { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  chunk({}, { choices: [], usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 } }),
  'data: [DONE]\n\n',
].join('');

describe('a stream that goes on for long', () => {
  let rig: Rig;
  let vendor: OddVendor;
  let isSilent = false;
  const open: ServerResponse[] = [];
  before(async () => {
    vendor = await startOddVendor((request, reply) => {
      request.resume();
      request.on('end', () => {
        reply.writeHead(200, { 'content-type': 'text/event-stream' });
        reply.flushHeaders();
        if (!isSilent) reply.write(chunk({ role: 'assistant', content: 'first ' }));
        open.push(reply);
      });
    });
    const models = { own: { prices: { input: '1', output: '2' }, output_tokens: 4_000 } };
    rig = await startRig({
      vendors: [],
      channels: [vendor.channel({ models })],
      config: { limits: { body_bytes: heldBytes, held_bytes: heldBytes } },
    });
  });
  after(async () => {
    for (const reply of open) reply.destroy();
    await rig.close();
    vendor.close();
  });
  beforeEach(() => {
    isSilent = false;
    open.length = 0;
  });

  const ask = (path: string, signal?: AbortSignal): Promise<Response> =>
    rig.post(path, asked[path as keyof typeof asked], {}, signal);

  it('takes no room for its question from others once it has begun, and ends whole', async () => {
    const answers: Response[] = [];
    for (const path of [...Object.keys(asked), ...Object.keys(asked)]) {
      const answer = await ask(path);
      assert.equal(answer.status, 200, path);
      answers.push(answer);
    }
    for (const reply of open) reply.end(ending);
    for (const answer of answers) {
      const text = await answer.text();
      assert.match(text, /first /);
      assert.match(text, /last/);
      assert.doesNotMatch(text, /"error": ?\{/);
    }
  });

  it('is held to the bound until it begins', async () => {
    isSilent = true;
    const [path = ''] = Object.keys(asked);
    const leave = new AbortController();
    const waiting = [ask(path, leave.signal), ask(path, leave.signal)];
    while (open.length < waiting.length) await new Promise((resolve) => setTimeout(resolve, 5));
    const refused = await ask(path);
    assert.equal(refused.status, 503, await refused.text());
    leave.abort();
    await Promise.allSettled(waiting);
    for (const reply of open) reply.end(ending);
  });
});
