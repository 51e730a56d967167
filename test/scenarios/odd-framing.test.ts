/** Answers with a good status whose head or body is not what was asked for. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startOddVendor, type OddVendor } from './odd-vendor.ts';
import { sseData, startRig, type Rig } from './rig.ts';

describe('an answer in an odd form', () => {
  let rig: Rig;
  let vendor: OddVendor;
  let answer = { type: '', body: '' };
  before(async () => {
    vendor = await startOddVendor((request, response) => {
      request.resume();
      response.writeHead(200, answer.type === '' ? {} : { 'content-type': answer.type });
      response.end(answer.body);
    });
    const models = { m: { prices: { input: '1', output: '2' }, output_tokens: 100 } };
    rig = await startRig({ vendors: [], channels: [vendor.channel({ models })] });
  });
  after(async () => {
    await rig.close();
    vendor.close();
  });

  const ask = (): Promise<Response> =>
    rig.post('/v1/chat/completions', {
      model: 'm',
      stream: true,
      messages: [{ role: 'user', content: 'q' }],
    });
  const frames =
    'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';

  it('is read as a stream although its head says otherwise or nothing', async () => {
    for (const type of ['text/plain', '']) {
      answer = { type, body: frames };
      const response = await ask();
      assert.equal(response.headers.get('content-type')?.split(';')[0], 'text/event-stream');
      const [first] = sseData(await response.text());
      assert.deepEqual(first?.['choices'], [
        { index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' },
      ]);
    }
  });

  it('tells of an overlong prompt as such, though the error came with a good status', async () => {
    const message = "This model's maximum context length is 100 tokens.";
    const body = JSON.stringify({ error: { message, code: 400 } });
    answer = { type: 'application/json', body };
    const response = await ask();
    assert.equal(response.status, 400);
    assert.match(await response.text(), /context_length_exceeded/);
  });

  it('is no answer when it is a page', async () => {
    answer = { type: 'text/html', body: '<html>data: soon</html>' };
    assert.equal((await ask()).status, 502);
  });
});
