/** T-B8: whatever a vendor says about usage, the charge stays within the hold and zero stays zero. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { estimateGeneratedTokens } from '#metering';
import { usageFaults, type UsageFault } from '#simulator';
import { textSize } from '#std';
import { clientDialects, streamedText } from './money-dialects.ts';
import { startRig, type Rig } from './rig.ts';

const words = 60;
const question = `Tell it in ${words} words`;
const outputTokensMax = 400;

/** What a vendor that lies so is charged by; `either`: what comes after the end may count or not. */
const expected: { readonly [fault in UsageFault]: 'provider' | 'estimated' | 'either' } = {
  missing: 'estimated',
  null: 'estimated',
  zero: 'provider',
  negative: 'estimated',
  float: 'estimated',
  string: 'provider',
  huge: 'estimated',
  decreasing: 'provider',
  twice: 'provider',
  after_end: 'either',
  in_error: 'estimated',
};

for (const upstream of clientDialects) {
  describe(`a vendor of ${upstream.id} that lies about usage`, () => {
    let rig: Rig;
    before(async () => {
      const offer = {
        name: 'sim-chat',
        dialects: [upstream.id],
        prices: { input: '1', output: '4' },
        output_tokens: 4096,
      };
      rig = await startRig({ vendors: [{ id: 'liar', channel: { models: { lying: offer } } }] });
    });
    after(() => rig.close());

    for (const client of clientDialects) {
      for (const stream of [true, false]) {
        it(`is charged within the hold by clients of ${client.id}, ${stream ? 'streamed' : 'whole'}`, async () => {
          for (const fault of usageFaults) {
            rig.runtime.reload([]);
            rig.vendors['liar']?.script.replace([{ fault: { usage: fault } }]);
            await checkLie(rig, client, stream, fault);
          }
          const { pendingNanoUsd } = await rig.books.ledger.balance(rig.walletId);
          assert.equal(pendingNanoUsd, 0);
        });
      }
    }

    it('leaves books without a difference', async () => {
      const verified = await rig.books.ledger.verify();
      assert.equal(verified.differenceCount, 0, JSON.stringify(verified.differences));
    });
  });
}

async function checkLie(
  rig: Rig,
  client: (typeof clientDialects)[number],
  stream: boolean,
  fault: UsageFault,
): Promise<void> {
  const response = await rig.post(
    client.path('lying', stream),
    client.body('lying', question, stream, outputTokensMax),
  );
  const text = await response.text();
  const name = `${fault}: ${text.slice(-600)}`;
  assert.equal(response.status, 200, name);
  const receipt = await rig.books.ledger.receipt(response.headers.get('x-manifold-receipt') ?? '');
  assert.equal(receipt?.kind, 'usage', name);
  assert.ok(receipt.chargeNanoUsd <= receipt.holdNanoUsd, name);
  assert.equal(receipt.chargeNanoUsd, receipt.ratedNanoUsd, `${name} rated over the hold`);
  if (stream && fault === 'in_error') assert.match(text, /error/);
  // Lies about the order of events are the plain truth in a whole answer.
  const wanted =
    !stream && (fault === 'after_end' || fault === 'in_error') ? 'provider' : expected[fault];
  const source = receipt.usageSource;
  if (wanted !== 'either') assert.equal(source, wanted, name);
  if (fault === 'zero') assert.equal(receipt.chargeNanoUsd, 0, name);
  else assert.ok(receipt.chargeNanoUsd > 0, name);
  const [entry] = rig.vendors['liar']?.bill.entries.slice(-1) ?? [];
  if (source === 'provider' && fault !== 'zero' && fault !== 'decreasing') {
    assert.deepEqual(
      [receipt.usage['inputTokens'], receipt.usage['outputTokens']],
      [entry?.inputTokens, entry?.outputTokens],
      name,
    );
  }
  if (stream && source === 'estimated' && fault !== 'in_error' && fault !== 'float') {
    assert.equal(
      receipt.usage['outputTokens'],
      estimateGeneratedTokens(textSize(streamedText(text))),
      name,
    );
  }
}
