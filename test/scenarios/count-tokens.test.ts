/** Counting at the vendor: what the client said of its dialect goes on, as it does with the question itself. */

import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { startOddVendor } from './odd-vendor.ts';
import { startRig } from './rig.ts';

test('a beta that the client names is counted with', async () => {
  const heard: IncomingHttpHeaders[] = [];
  const vendor = await startOddVendor((request, response) => {
    heard.push(request.headers);
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"input_tokens":7}');
  });
  const models = { m: { prices: { input: '1', output: '2' }, output_tokens: 100 } };
  const channel = vendor.channel({ provider: 'anthropic', dialect: undefined, models });
  const rig = await startRig({ vendors: [], channels: [channel] });
  const question = { model: 'm', messages: [{ role: 'user', content: 'q' }] };
  const headers = { 'anthropic-version': '2026-10-21', 'anthropic-beta': 'compact-2026-01-12' };
  const answer = await rig.post('/v1/messages/count_tokens', question, headers);
  const counted = await answer.json();
  await rig.close();
  vendor.close();
  assert.deepEqual(counted, { input_tokens: 7 });
  assert.equal(heard[0]?.['anthropic-beta'], 'compact-2026-01-12');
  assert.equal(heard[0]['anthropic-version'], '2026-10-21');
});

test('the vendor is told its own name of the model, also where a whole request names it', async () => {
  const heard: [string | undefined, unknown][] = [];
  const vendor = await startOddVendor((request, response) => {
    void text(request).then((body) => {
      heard.push([request.url, JSON.parse(body)]);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"totalTokens":7}');
    });
  });
  const models = { m: { prices: { input: '1', output: '2' }, name: 'gemini-x' } };
  const channel = vendor.channel({ provider: 'gemini', dialect: undefined, models });
  const rig = await startRig({ vendors: [], channels: [channel] });
  const contents = [{ role: 'user', parts: [{ text: 'q' }] }];
  const generateContentRequest = { model: 'models/m', contents };
  const answer = await rig.post('/v1beta/models/m:countTokens', { generateContentRequest });
  const counted = await answer.json();
  await rig.close();
  vendor.close();
  assert.deepEqual(counted, { totalTokens: 7 });
  assert.deepEqual(heard, [
    [
      '/models/gemini-x:countTokens',
      { generateContentRequest: { model: 'models/gemini-x', contents } },
    ],
  ]);
});
