/** Refusals of a megabyte: FastAPI, which serves many models, repeats the value of the field it refuses. */

import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { channelSchema } from '#providers';
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
  let server: Server;
  let asked = 0;
  before(async () => {
    server = createServer((request, reply) => {
      asked += 1;
      request.resume();
      reply.writeHead(422, { 'content-type': 'application/json' });
      reply.end(JSON.stringify(refusal));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const channels = ['first', 'second'].map((id) =>
      channelSchema.parse({
        id,
        dialect: 'openai-chat',
        base_url: origin,
        secret: 'x',
        allow_private: true,
        models: { own: { prices: { input: '1', output: '2' }, output_tokens: 4_000 } },
      }),
    );
    rig = await startRig({ vendors: [], channels });
  });
  after(async () => {
    await rig.close();
    server.close();
    server.closeAllConnections();
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
