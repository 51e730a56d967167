/** As many vectors as a request may ask for, in the longest form that vendors write them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startOddVendor } from './odd-vendor.ts';
import { startRig } from './rig.ts';

/** A vendor that gives each text a vector of so many numbers. */
async function rigWith(numbers: number) {
  const vector = `[${Array(numbers).fill('-0.012345678').join(',')}]`;
  const vendor = await startOddVendor((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      const { input } = JSON.parse(text) as { input: string[] };
      const one = (index: number): string =>
        `{"object":"embedding","index":${index},"embedding":${vector}}`;
      response.setHeader('content-type', 'application/json');
      response.write('{"object":"list","model":"m","data":[');
      for (let index = 0; index < input.length; index += 1)
        response.write((index > 0 ? ',' : '') + one(index));
      response.end(`],"usage":{"prompt_tokens":${input.length},"total_tokens":${input.length}}}`);
    });
  });
  const models = { large: { prices: { input: '1' }, operations: ['embeddings'] } };
  const channel = vendor.channel({ models });
  const rig = await startRig({ vendors: [], channels: [channel] });
  const ask = (count: number): Promise<Response> =>
    rig.post('/v1/embeddings', { model: 'large', input: Array(count).fill('text') });
  const close = async (): Promise<void> => {
    await rig.close();
    vendor.close();
  };
  return { rig, ask, close };
}

test('2,048 vectors of 3,072 numbers each are no answer too many', async () => {
  const { ask, close } = await rigWith(3_072);
  try {
    const response = await ask(2_048);
    const text = await response.text();
    assert.equal(response.status, 200, text.slice(0, 300));
    assert.ok(text.length > 70 * 2 ** 20, `${text.length}`);
    assert.match(text.slice(-200), /"receipt_id"/);
  } finally {
    await close();
  }
});

test('one vector of 70 MiB is refused, and the hold is freed', async () => {
  const { rig, ask, close } = await rigWith(6_000_000);
  try {
    const response = await ask(1);
    assert.equal(response.status, 502);
    assert.match(await response.text(), /more than an answer may hold/);
    const { pendingNanoUsd } = await rig.books.ledger.balance(rig.walletId);
    assert.equal(pendingNanoUsd, 0);
  } finally {
    await close();
  }
});
