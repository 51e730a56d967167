/** Conversations of many bytes whose answers take long: the bytes are held until an answer begins. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function bytesInUse(): Promise<number> {
  // What waits for another turn of the event loop is not kept.
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

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

  it('keeps nothing of its question in memory once it has begun', async () => {
    const began = async (path: string): Promise<IncomingMessage> => {
      const answer = await new Promise<IncomingMessage>((resolve) => {
        const headers = { authorization: `Bearer ${rig.key}`, 'content-type': 'application/json' };
        const sent = request(rig.url + path, { method: 'POST', headers }, resolve);
        sent.end(JSON.stringify(asked[path as keyof typeof asked]));
      });
      await once(answer, 'data');
      return answer;
    };
    for (const path of Object.keys(asked)) {
      const answers = [await began(path)];
      const before = await bytesInUse();
      for (let count = 0; count < 10; count += 1) answers.push(await began(path));
      const grown = ((await bytesInUse()) - before) / 10;
      assert.ok(grown < question.length / 2, `${path}: ${Math.round(grown)} bytes a stream`);
      for (const reply of open.splice(0)) reply.end(ending);
      for (const answer of answers) await once(answer.resume(), 'end');
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
