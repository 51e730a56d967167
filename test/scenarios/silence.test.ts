/** How long a stream may be silent is a matter of the model: some think for minutes without a word. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startOddVendor, type OddVendor } from './odd-vendor.ts';
import { startRig, type Rig } from './rig.ts';

describe('a stream that falls silent', () => {
  let rig: Rig;
  let vendor: OddVendor;
  before(async () => {
    const chunk = (content: string, finish: string | null): string =>
      `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
    vendor = await startOddVendor((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk('First', null));
      setTimeout(() => response.end(`${chunk(', last.', 'stop')}data: [DONE]\n\n`), 1_500);
    });
    const model = (silenceMs: number) => ({
      prices: { input: '1', output: '2' },
      output_tokens: 100,
      silence_ms: silenceMs,
    });
    const models = { patient: model(30_000), hasty: model(300) };
    rig = await startRig({ vendors: [], channels: [vendor.channel({ models })] });
  });
  after(async () => {
    await rig.close();
    vendor.close();
  });

  const ask = async (model: string): Promise<string> => {
    const messages = [{ role: 'user', content: 'q' }];
    const response = await rig.post('/v1/chat/completions', { model, stream: true, messages });
    return response.text();
  };

  it('is waited for as long as its model may think', async () => {
    const text = await ask('patient');
    assert.match(text, /, last\./);
    assert.match(text, /\[DONE\]/);
  });

  it('ends as an error when that time is over, never as an answer', async () => {
    const text = await ask('hasty');
    assert.match(text, /First/);
    assert.match(text, /"error":/);
    assert.doesNotMatch(text, /, last\.|\[DONE\]/);
  });
});
