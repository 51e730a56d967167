/** Refusals of a megabyte: FastAPI, which serves many models, repeats the value of the field it refuses. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startOddVendor, type OddVendor } from './odd-vendor.ts';
import { startRig, type Rig } from './rig.ts';

const refusal = {
  detail: [
    {
      type: 'missing',
      loc: ['body', 'messages', 0, 'name'],
      msg: 'Field required',
      input: { role: 'user', content: 'the conversation of an agent '.repeat(40_000) },
    },
  ],
};

describe('a refusal that repeats the request', () => {
  let rig: Rig;
  let vendor: OddVendor;
  let asked = 0;
  before(async () => {
    vendor = await startOddVendor((request, reply) => {
      asked += 1;
      request.resume();
      reply.writeHead(422, { 'content-type': 'application/json' });
      reply.end(JSON.stringify(refusal));
    });
    const models = { own: { prices: { input: '1', output: '2' }, output_tokens: 4_000 } };
    const channels = ['first', 'second'].map((id) => vendor.channel({ id, models }));
    rig = await startRig({ vendors: [], channels });
  });
  after(async () => {
    await rig.close();
    vendor.close();
  });

  it('is told as what it is, and asked of no other channel', async () => {
    const response = await rig.post('/v1/chat/completions', {
      model: 'own',
      messages: [{ role: 'user', content: 'Hello' }],
    });
    const text = await response.text();
    assert.equal(response.status, 422, text);
    assert.match(text, /body\.messages\.0\.name: Field required/);
    assert.equal(asked, 1);
  });
});
