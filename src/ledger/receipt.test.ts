import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nanoUsd } from '#std';
import { anyCharacter } from '../../test/support/characters.ts';
import { openBooks } from './books.ts';
import { chainStart, readReceipt, writeReceipt, type ReceiptDraft } from './receipt.ts';

const books = (): ReturnType<typeof openBooks> =>
  openBooks(
    1_000,
    { nodeId: 'n', epoch: 1 },
    { chainId: 'main', number: 0, sequence: 0, hash: chainStart, indexed: 0 },
  );

function draftOf(word: string, amount: number): ReceiptDraft {
  const amountNanoUsd = nanoUsd(amount);
  return {
    receiptId: `r${word}`,
    kind: 'usage',
    walletId: word,
    requestId: word,
    createdAtMs: 1_000,
    chargeNanoUsd: amountNanoUsd,
    ratedNanoUsd: amountNanoUsd,
    holdNanoUsd: amountNanoUsd,
    balanceAfterNanoUsd: nanoUsd(0),
    attempts: [
      {
        attemptId: word,
        channelId: word,
        providerId: word,
        outcome: 'succeeded',
        costNanoUsd: amountNanoUsd,
      },
    ],
    postedAttemptId: word,
    usage: { [word]: word },
    usageSource: 'provider',
    priceVersion: word,
    formula: word,
    lines: [{ unit: word, quantity: amount, priceNanoUsdPerMillion: amount }],
    losses: [{ reason: 'overrun', amountNanoUsd }],
    lots: [{ lotId: word, kind: 'paid', amountNanoUsd }],
    transfers: [],
    scopeKeys: [word],
    detail: { [word]: [word, amount] },
  };
}

test('a receipt is read as it was written, whatever its texts hold', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: anyCharacter }),
        fc.constantFrom('"', '\\', '\u2028', 'a"b\\n', '\ud800'),
      ),
      fc.maxSafeNat(),
      (word, amount) => {
        const written = books();
        const draft = draftOf(word, amount);
        writeReceipt(written, draft);
        const [stored] = written.newReceipts;
        assert.ok(stored);
        const { transfers, chainNumber, sequence, previousHash, hash, ...read } =
          readReceipt(stored);
        const { transfers: none, ...expected } = draft;
        assert.deepEqual(read, JSON.parse(JSON.stringify(expected)));
        assert.deepEqual(
          [chainNumber, sequence, previousHash, hash],
          [0, 1, chainStart, stored.hash],
        );
        assert.ok(none.length === 0 && transfers.length > 0 === amount > 0);
      },
    ),
    { numRuns: 200 },
  );
});

test('a receipt of a movement holds its transfers, and what it lacks is left out', () => {
  const written = books();
  const transfer = {
    transferId: 'topup:e',
    kind: 'topup',
    debitAccount: 'cash:test',
    creditAccount: 'wallet:w',
    amountNanoUsd: nanoUsd(5),
  } as const;
  const { walletId, requestId, postedAttemptId, ...rest } = draftOf('w', 5);
  writeReceipt(written, {
    ...rest,
    kind: 'topup',
    walletId: undefined,
    requestId: undefined,
    postedAttemptId: undefined,
    transfers: [transfer],
  });
  const [stored] = written.newReceipts;
  assert.ok(stored && walletId && requestId && postedAttemptId);
  assert.doesNotMatch(stored.body, /wallet_id|request_id|posted_attempt_id|undefined/);
  assert.deepEqual(readReceipt(stored).transfers, [transfer]);
  assert.deepEqual(
    written.newTransfers.map(({ transferId }) => transferId),
    ['topup:e'],
  );
});
