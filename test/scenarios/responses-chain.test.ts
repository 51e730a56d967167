/** Long conversations by `previous_response_id`: read for what was said, and to their beginning. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startRig, type Rig } from './rig.ts';

type Answer = { readonly id: string } & Readonly<Record<string, unknown>>;

const instructions = 'Be brief. '.repeat(2_000);

describe('a conversation that goes on by the id of its last answer', () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(() => rig.close());

  async function ask(input: string, previous?: string): Promise<Answer> {
    const response = await rig.post('/v1/responses', {
      model: 'sim-chat',
      instructions,
      input,
      ...(previous === undefined ? {} : { previous_response_id: previous }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as Answer;
  }

  it('is stored apart from the instructions that each answer repeats', async () => {
    const answer = await ask('Hello');
    const blob = await rig.books.store.blobs.get('responses', answer.id, rig.walletId);
    const step = Buffer.from(blob?.body ?? []).toString('utf8');
    assert.ok(step.includes('Hello') && step.length < 2_000, step);
    const got = await fetch(`${rig.url}/v1/responses/${answer.id}`, {
      headers: { authorization: `Bearer ${rig.key}` },
    });
    assert.deepEqual(await got.json(), answer);
  });

  it('is whole after more than a thousand steps', async () => {
    let previous = (await ask('The word is xylophone.')).id;
    const blob = await rig.books.store.blobs.get('responses', previous, rig.walletId);
    const stored = Buffer.from(blob?.body ?? []).toString('utf8');
    for (let step = 1; step <= 1_100; step += 1) {
      // As the gateway stores them, only faster.
      const body = stored.replace('{', `{"previous":${JSON.stringify(previous)},`);
      previous = `resp_step${step}`;
      await rig.books.store.blobs.put({
        namespace: 'responses',
        id: previous,
        owner: rig.walletId,
        body: Buffer.from(body.replaceAll('xylophone', 'other')),
        expiresAtMs: Date.now() + 60_000,
      });
    }
    await ask('Which was the word?', previous);
    const sent = JSON.stringify(rig.vendors['simulator']?.seen.at(-1)?.body['input']);
    assert.ok(sent.includes('xylophone'), sent.slice(0, 500));
  });
});
