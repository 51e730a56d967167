/** Refusals of a megabyte: FastAPI, which serves many models, repeats the value of the field it refuses. */

import assert from 'node:assert/strict';
import { after, before, describe, it, test } from 'node:test';
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

describe('an error in which a vendor repeats our key', () => {
  const secret = 'operators+key/4711';
  const messages = [{ role: 'user', content: 'Hello' }];
  let rig: Rig;
  let vendor: OddVendor;
  let answer = { status: 0, type: '', body: '' };
  before(async () => {
    vendor = await startOddVendor((request, reply) => {
      request.resume();
      reply.writeHead(answer.status, { 'content-type': answer.type });
      reply.end(answer.body);
    });
    const models = { own: { prices: { input: '1', output: '2' }, output_tokens: 4_000 } };
    rig = await startRig({ vendors: [], channels: [vendor.channel({ models, secret })] });
  });
  after(async () => {
    await rig.close();
    vendor.close();
  });

  it('does not tell it, wherever it stands', async () => {
    const error = { message: `no {"x-api-key":"${secret}"}`, param: secret, code: 400 };
    const json = JSON.stringify({ error });
    const frame = { choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] };
    const begun = `data: ${JSON.stringify(frame)}\n\n`;
    const event = `data: ${json}\n\n`;
    answer = { status: 400, type: 'text/plain', body: `KeyError: {'x-api-key': '${secret}'}` };
    const answers = [
      answer,
      { status: 500, type: 'application/json', body: json },
      { status: 200, type: 'application/json', body: json },
      { status: 200, type: 'text/event-stream', body: event },
      { status: 200, type: 'text/event-stream', body: begun + event },
      { status: 200, type: 'text/event-stream', body: json },
    ];
    for (answer of answers)
      for (const path of ['/v1/chat/completions', '/v1/messages'])
        for (const stream of [false, true]) {
          const body = { model: 'own', max_tokens: 9, stream, messages };
          const response = await rig.post(path, body);
          const text = await response.text();
          assert.match(text, /\[hidden\]/, `${path} ${JSON.stringify(answer)} ${text}`);
          assert.ok(!text.includes(secret), text);
        }
  });
});

test('a redirect is not followed, and told as one', async (t) => {
  const asked: (string | undefined)[] = [];
  const vendor = await startOddVendor((request, reply) => {
    asked.push(request.url);
    request.resume();
    reply.writeHead(308, { location: '/elsewhere' }).end('<html>Moved</html>');
  });
  const models = { own: { prices: { input: '1', output: '2' }, output_tokens: 4_000 } };
  const rig = await startRig({ vendors: [], channels: [vendor.channel({ models })] });
  t.after(async () => {
    await rig.close();
    vendor.close();
  });
  for (const stream of [false, true]) {
    const messages = [{ role: 'user', content: 'Hello' }];
    const response = await rig.post('/v1/chat/completions', { model: 'own', messages, stream });
    assert.equal(response.status, 502);
    assert.match(await response.text(), /redirect \(308\), which is not followed/);
  }
  assert.ok(asked.every((url) => url === '/chat/completions'));
});
