import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startRig, type Rig } from './rig.ts';

type Answer = {
  readonly id: string;
  readonly output: readonly { readonly id: string; readonly type: string }[];
};

describe('items of a stored response', () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(() => rig.close());

  async function ask(input: unknown, key = rig.key): Promise<Response> {
    return rig.post(
      '/v1/responses',
      { model: 'sim-reasoning', input, reasoning: { summary: 'auto' } },
      { authorization: `Bearer ${key}` },
    );
  }

  it('stand in a later input by their id alone, whatever else is in it', async () => {
    const first = (await (await ask('My name is Ada.')).json()) as Answer;
    assert.deepEqual(
      first.output.map((item) => item.type),
      ['reasoning', 'message'],
    );
    const references = first.output.map(({ id }) => ({ type: 'item_reference', id }));
    const second = await ask([
      { role: 'user', content: 'My name is Ada.' },
      ...references,
      { role: 'user', content: 'And now?' },
    ]);
    assert.equal(second.status, 200, await second.clone().text());
    const sent = JSON.stringify(rig.vendors['simulator']?.seen.at(-1)?.body['input']);
    assert.ok(
      sent.includes('item_reference') === false && sent.includes('simulator speaking'),
      sent,
    );
  });

  it('are named when they are not there, and hidden from another wallet', async () => {
    const unknown = await ask([{ type: 'item_reference', id: 'msg_unknown' }]);
    assert.equal(unknown.status, 400);
    assert.match(await unknown.text(), /msg_unknown/);
    const first = (await (await ask('secret')).json()) as Answer;
    const { key } = await rig.books.access.createKey({
      name: 'stranger',
      walletId: 'wallet_other',
    });
    const stranger = await ask([{ type: 'item_reference', id: first.output.at(-1)?.id }], key);
    assert.equal(stranger.status, 400);
  });
});
