import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startOddVendor, type OddVendor } from './odd-vendor.ts';
import { sseData, startRig } from './rig.ts';

/** A vendor whose answers all have one id, as Ollama's have one of 999. */
function startForgetfulVendor(): Promise<OddVendor> {
  return startOddVendor((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      const { messages, stream } = JSON.parse(text) as {
        messages: readonly { role: string; content: unknown }[];
        stream?: boolean;
      };
      const content = `heard: ${JSON.stringify(messages)}`;
      const head = { id: 'chatcmpl-1', created: 1, model: 'house' };
      const usage = { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 };
      const choice = { index: 0, finish_reason: 'stop' };
      if (stream === true) {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        for (const chunk of [
          { ...head, choices: [{ ...choice, delta: { role: 'assistant', content } }], usage },
        ])
          response.write(
            `data: ${JSON.stringify({ ...chunk, object: 'chat.completion.chunk' })}\n\n`,
          );
        response.end('data: [DONE]\n\n');
        return;
      }
      const message = { role: 'assistant', content };
      const whole = {
        ...head,
        object: 'chat.completion',
        choices: [{ ...choice, message }],
        usage,
      };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(whole));
    });
  });
}

for (const stream of [false, true])
  test(`conversations are kept apart where a vendor gives all answers one id, stream ${stream}`, async () => {
    const vendor = await startForgetfulVendor();
    const models = { house: { prices: 'free', context_tokens: 10_000 } };
    const rig = await startRig({ vendors: [], channels: [vendor.channel({ models })] });
    try {
      const ask = async (body: object): Promise<{ readonly id: string; readonly text: string }> => {
        const answer = await rig.post('/v1/responses', { model: 'house', stream, ...body });
        const text = await answer.text();
        assert.equal(answer.status, 200, text);
        const last = stream ? sseData(text).at(-1)?.['response'] : JSON.parse(text);
        return { id: (last as { id: string }).id, text };
      };
      const ada = await ask({ input: 'My name is Ada.' });
      const bob = await ask({ input: 'My name is Bob.' });
      assert.notEqual(ada.id, bob.id);
      assert.match(ada.id, /^resp_/);
      const { text } = await ask({ input: 'What is it?', previous_response_id: ada.id });
      assert.match(text, /Ada/);
      assert.doesNotMatch(text, /Bob/);
    } finally {
      await rig.close();
      vendor.close();
    }
  });
